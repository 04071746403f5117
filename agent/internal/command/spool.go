package command

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

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
