package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
)

type spoolCmd struct {
	Sink   string         `short:"s" help:"The sink; needed where several queue on disk." placeholder:"SINK"`
	Ls     spoolListCmd   `cmd:"" help:"List the requests that wait on disk, and those that were set aside and why."`
	Replay spoolReplayCmd `cmd:"" help:"Let requests that were set aside wait again, in their old place. Stop the agent first."`
	Drop   spoolDropCmd   `cmd:"" help:"Remove requests for good. Stop the agent first."`
}

type spoolReplayCmd struct {
	IDs []uint64 `arg:"" optional:"" name:"id" help:"Which: numbers that ls shows."`
	All bool     `help:"All that are set aside."`
}

type spoolDropCmd struct {
	IDs []uint64 `arg:"" optional:"" name:"id" help:"Which: numbers that ls shows."`
	Bad bool     `help:"All that are set aside."`
	All bool     `help:"All that wait and all that are set aside."`
}

// dir is the directory of the sink's queue.
func (c *spoolCmd) dir(a *App, g *globals) (string, error) {
	plan, err := a.load(g, "")
	if err != nil {
		return "", err
	}
	var names, dirs []string
	for _, s := range plan.Sinks {
		if dir := spoolDir(s); dir != "" && (c.Sink == "" || c.Sink == s.Name) {
			names, dirs = append(names, s.Name), append(dirs, dir)
		}
	}
	switch {
	case len(dirs) == 0 && c.Sink != "":
		return "", fmt.Errorf("no sink %q that queues on disk: give it a directory, spool: {dir: …}", c.Sink)
	case len(dirs) == 0:
		return "", errors.New("no sink queues on disk: give one a directory, spool: {dir: …}")
	case len(dirs) > 1:
		return "", fmt.Errorf("several sinks queue on disk: name one with -s: %s", strings.Join(names, ", "))
	case filepath.IsAbs(dirs[0]):
		return dirs[0], nil
	}
	return filepath.Join(a.vault.Dir, dirs[0]), nil
}

func spoolDir(s config.Sink) string {
	if c, ok := s.Config.(sinks.Spooler); ok {
		return c.SpoolDir()
	}
	return ""
}

// Run puts requests that were set aside back.
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
	a.tell("put back", done)
	return err
}

// Run removes requests.
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
	a.tell("dropped", done)
	return err
}

// chosen is the records that are meant: those named, those set aside, those waiting.
func chosen(dir string, ids []uint64, bad, waiting bool) ([]uint64, error) {
	if len(ids) == 0 && !bad && !waiting {
		return nil, errors.New("which requests? name their numbers, or --all")
	}
	wait, aside, err := spool.List(dir)
	if err != nil {
		return nil, err
	}
	known := make([]uint64, 0, len(wait)+len(aside))
	for _, m := range wait {
		if known = append(known, m.ID); waiting {
			ids = append(ids, m.ID)
		}
	}
	for _, b := range aside {
		if known = append(known, b.ID); bad {
			ids = append(ids, b.ID)
		}
	}
	for _, id := range ids {
		if !slices.Contains(known, id) {
			return nil, fmt.Errorf("no request %d; see them with: cton spool ls", id)
		}
	}
	return ids, nil
}

// tell says what was done to which records.
func (a *App) tell(what string, records []spool.Meta) {
	samples := 0
	for _, m := range records {
		samples += m.Samples + m.Histograms
	}
	fmt.Fprintf(a.Out, "%s: %s with %s\n", what, count(len(records), "request"), count(samples, "sample"))
}

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
