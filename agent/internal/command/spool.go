package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
)

type spoolCmd struct {
	Sink   string         `short:"s" help:"The sink; needed if several have a spool." placeholder:"SINK"`
	Ls     spoolListCmd   `cmd:"" help:"List the requests that wait, and the damaged files that were set aside and why. What a receiver refuses is dropped, not kept."`
	Replay spoolReplayCmd `cmd:"" help:"Put requests that were set aside, and can be read again, back in their place in the queue. Stop the agent first."`
	Drop   spoolDropCmd   `cmd:"" help:"Delete requests. Stop the agent first."`
}

type spoolReplayCmd struct {
	IDs []uint64 `arg:"" optional:"" name:"id" help:"The requests, by the numbers that ls shows."`
	All bool     `help:"All requests that are set aside."`
}

type spoolDropCmd struct {
	IDs []uint64 `arg:"" optional:"" name:"id" help:"The requests, by the numbers that ls shows."`
	Bad bool     `help:"All requests that are set aside."`
	All bool     `help:"All requests: those that wait and those that are set aside."`
}

// dir returns the directory of the sink's spool.
func (c *spoolCmd) dir(a *App, g *globals) (string, error) {
	plan, err := a.load(g, "")
	if err != nil {
		return "", err
	}
	var known, names, dirs []string
	for _, s := range plan.Sinks {
		dir := spoolDir(s)
		if dir == "" {
			continue
		}
		known = append(known, s.Name)
		if c.Sink == "" || c.Sink == s.Name {
			names, dirs = append(names, s.Name), append(dirs, dir)
		}
	}
	switch {
	case len(dirs) == 0 && len(known) > 0:
		return "", noSuch("sink with a spool", c.Sink, known)
	case len(dirs) == 0:
		return "", errors.New("no sink has a spool; set spool: {dir: …} of a remote_write sink")
	case len(dirs) > 1:
		return "", fmt.Errorf("several sinks have a spool; name one with -s: %s", strings.Join(names, ", "))
	case filepath.IsAbs(dirs[0]):
		return dirs[0], nil
	}
	return filepath.Join(a.vault.Dir, dirs[0]), nil
}

func spoolDir(s config.Sink) string {
	if s.Kind.SpoolDir == nil {
		return ""
	}
	return s.Kind.SpoolDir(s.Config)
}

// Run moves requests that were set aside back into the queue.
func (c *spoolReplayCmd) Run(a *App, g *globals, of *cli) error {
	dir, err := of.Spool.dir(a, g)
	if err != nil {
		return err
	}
	ids, err := chosen(dir, c.IDs, c.All, false)
	if err != nil {
		return err
	}
	done, err := spool.Replay(dir, ids...)
	return summarize(a, "put back", done, err)
}

// Run deletes requests.
func (c *spoolDropCmd) Run(a *App, g *globals, of *cli) error {
	dir, err := of.Spool.dir(a, g)
	if err != nil {
		return err
	}
	ids, err := chosen(dir, c.IDs, c.Bad || c.All, c.All)
	if err != nil {
		return err
	}
	done, err := spool.Drop(dir, ids...)
	return summarize(a, "dropped", done, err)
}

// chosen returns the ids of the named requests. If the argument "bad" is true, it adds all requests that are set aside. If the argument
// "waiting" is true, it adds all waiting requests.
func chosen(dir string, ids []uint64, bad, waiting bool) ([]uint64, error) {
	if len(ids) == 0 && !bad && !waiting {
		return nil, errors.New("no request is named; give numbers that cton spool ls shows, or --all")
	}
	all, err := spool.List(dir)
	if err != nil {
		return nil, err
	}
	known := make([]uint64, 0, len(all))
	for _, l := range all {
		known = append(known, l.ID)
		if l.State == spool.Waiting && waiting || l.State == spool.SetAside && bad {
			ids = append(ids, l.ID)
		}
	}
	for _, id := range ids {
		if !slices.Contains(known, id) {
			return nil, fmt.Errorf("no request %d; list them with: cton spool ls", id)
		}
	}
	return ids, nil
}

// summarize shows what was done and to how many requests, unless nothing was done because of err. It returns err.
func summarize(a *App, what string, records []spool.Meta, err error) error {
	if err != nil && len(records) == 0 {
		return err
	}
	samples := 0
	for _, m := range records {
		samples += m.Samples + m.Histograms
	}
	fmt.Fprintf(a.Out, "%s: %s with %s\n", what, text.Count(len(records), "request"), text.Count(samples, "sample"))
	return err
}

type spoolListCmd struct {
	JSON bool `help:"As JSON, one request a line."`
}

// spooled is a request as --json shows it.
type spooled struct {
	ID       uint64    `json:"id"`
	Taken    time.Time `json:"taken"`
	Samples  int       `json:"samples"` // number of samples, including native histograms
	Bytes    int       `json:"bytes"`
	Oldest   time.Time `json:"oldest"`
	Newest   time.Time `json:"newest"`
	SetAside bool      `json:"set_aside"`
	Later    bool      `json:"later_version,omitempty"` // the request has a later format: only a later version of cton can send it
	Problem  string    `json:"problem,omitempty"`       // why the request is not sent; if it is "" for a request that is set aside, replay accepts the request
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

// Run lists the requests in a spool.
func (c *spoolListCmd) Run(a *App, g *globals, of *cli) error {
	dir, err := of.Spool.dir(a, g)
	if err != nil {
		return err
	}
	listed, err := spool.List(dir)
	if errors.Is(err, fs.ErrNotExist) && !c.JSON { // the agent creates the directory when it starts
		fmt.Fprintf(a.Out, "the spool is empty: its directory %s does not exist yet\n", dir)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	all := make([]spooled, 0, len(listed))
	for _, l := range listed {
		all = append(all, spooledOf(l))
	}
	if c.JSON {
		return listJSON(a.Out, all)
	}
	return listTable(a.Out, all, time.Now())
}

func listJSON(w io.Writer, all []spooled) error {
	to := json.NewEncoder(w)
	for _, one := range all {
		if err := to.Encode(one); err != nil {
			return err
		}
	}
	return nil
}

func listTable(out io.Writer, all []spooled, now time.Time) error {
	if len(all) == 0 {
		fmt.Fprintln(out, "the spool is empty")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "id\tage\tsamples\tbytes\toldest\tnewest\tstate")
	for _, one := range all {
		state := "waits"
		switch {
		case one.Later:
			state = "waits for a later cton: " + one.Problem
		case one.Problem != "":
			state = "set aside: " + one.Problem
		case one.SetAside:
			state = "set aside, undamaged: replay accepts it"
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%s\t%s\t%s\n", one.ID, now.Sub(one.Taken).Round(time.Second), one.Samples, one.Bytes,
			one.Oldest.Format(time.RFC3339), one.Newest.Format(time.RFC3339), state)
	}
	return w.Flush()
}
