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
	Later    bool      `json:"later_version,omitempty"` // it stays until a later cton sends it
	Problem  string    `json:"problem,omitempty"`       // why it is not sent; replay takes one that is set aside without a problem
}

func spooledOf(l spool.Listed) spooled {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	one := spooled{
		ID: l.ID, Taken: at(l.Taken), Samples: l.Samples + l.Histograms, Bytes: l.Bytes, Oldest: at(l.Oldest), Newest: at(l.Newest),
		SetAside: l.State == spool.SetAside, Later: l.State == spool.Later,
	}
	if l.Err != nil {
		one.Problem = l.Err.Error()
	}
	return one
}

// Run lists what a spool holds.
func (c *spoolListCmd) Run(a *App, g *globals, of *cli) error {
	dir, err := of.Spool.dir(a, g)
	if err != nil {
		return err
	}
	listed, err := spool.List(dir)
	if err != nil {
		return err
	}
	all := make([]spooled, 0, len(listed))
	for _, l := range listed {
		all = append(all, spooledOf(l))
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
		case one.Later:
			state = "waits for a later cton: " + one.Problem
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
