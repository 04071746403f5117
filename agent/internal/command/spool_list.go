package command

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/collectington/collectington/sinks/remotewrite/spool"
)

type spoolListCmd struct {
	JSON bool `help:"As JSON, one request a line."`
}

// spooled is a request as --json shows it.
type spooled struct {
	ID       uint64    `json:"id"`
	Taken    time.Time `json:"taken"`
	Samples  int       `json:"samples"` // native histograms among them
	Bytes    int       `json:"bytes"`
	Oldest   time.Time `json:"oldest"`
	Newest   time.Time `json:"newest"`
	SetAside bool      `json:"set_aside"`
	Problem  string    `json:"problem,omitempty"` // of one that was set aside; none = replay takes it
}

func spooledOf(m spool.Meta) spooled {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	return spooled{
		ID: m.ID, Taken: at(m.Taken), Samples: m.Samples + m.Histograms, Bytes: m.Bytes, Oldest: at(m.Oldest), Newest: at(m.Newest),
	}
}

// Run lists what a spool holds.
func (c *spoolListCmd) Run(a *App, g *globals, of *cli) error {
	dir, err := of.Spool.dir(a, g)
	if err != nil {
		return err
	}
	waiting, bad, err := spool.List(dir)
	if err != nil {
		return err
	}
	all := make([]spooled, 0, len(waiting)+len(bad))
	for _, m := range waiting {
		all = append(all, spooledOf(m))
	}
	for _, b := range bad {
		one := spooledOf(b.Meta)
		if one.SetAside = true; b.Err != nil {
			one.Problem = b.Err.Error()
		}
		all = append(all, one)
	}
	if c.JSON {
		return a.listJSON(all)
	}
	return a.listTable(all, time.Now())
}

func (a *App) listJSON(all []spooled) error {
	to := json.NewEncoder(a.Out)
	for _, one := range all {
		if err := to.Encode(one); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) listTable(all []spooled, now time.Time) error {
	if len(all) == 0 {
		fmt.Fprintln(a.Out, "nothing waits")
		return nil
	}
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "id\tage\tsamples\tbytes\toldest\tnewest\tstate")
	for _, one := range all {
		state := "waits"
		switch {
		case one.Problem != "":
			state = "set aside: " + one.Problem
		case one.SetAside:
			state = "set aside, and whole: replay takes it"
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%s\t%s\t%s\n", one.ID, now.Sub(one.Taken).Round(time.Second), one.Samples, one.Bytes,
			one.Oldest.Format(time.RFC3339), one.Newest.Format(time.RFC3339), state)
	}
	return w.Flush()
}
