package command

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/internal/backfill"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
)

// report says what has come of it, and how to go on where something is left.
func (c *backfillCmd) report(a *App, g *globals, w *backfill.Walk, r *backfill.Report) error {
	say := func(format string, args ...any) { fmt.Fprintln(a.Out, a.vault.Scrub(fmt.Sprintf(format, args...))) }
	say("%s of %d, %s measured", count(r.Windows, "window"), w.Windows(), count(r.Readings, "reading"))
	if r.Outside > 0 {
		say("left out, before --from or after --to: %s", count(r.Outside, "reading"))
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Drops)) {
		say("left out as %s: %s", reason, count(r.Drops[reason], "reading"))
	}
	if r.Partial > 0 {
		say("not whole: %s; the first: %s", count(r.Partial, "window"), r.Problem)
	}
	lost := false
	for _, s := range w.Sinks {
		lost = sayDelivered(say, s, w.From) || lost
	}
	if r.Next.Before(w.To) {
		say("go on with: %s", c.again(g, r.Next))
	}
	switch {
	case errors.Is(r.Err, backfill.ErrFetch):
		return &exitError{exitFetch, r.Err}
	case r.Err != nil && !errors.Is(r.Err, backfill.ErrDelivery):
		return &exitError{exitPartial, errors.New("stopped before the end")}
	case r.Err != nil:
		return &exitError{exitDelivery, r.Err}
	case lost:
		return &exitError{exitDelivery, errors.New("not everything was taken")}
	case r.Partial > 0:
		return &exitError{exitPartial, errors.New("not every window is whole")}
	}
	return nil
}

// sayDelivered says what has come of a sink's samples, and tells whether some are lost.
func sayDelivered(say func(string, ...any), s run.Sink, from time.Time) (lost bool) {
	dropped := s.Stats.Dropped()
	say("%s took %s", s.Name, count(int(s.Stats.Sent.Load()), "sample"))
	for _, reason := range slices.Sorted(maps.Keys(dropped)) {
		if n := dropped[reason]; n > 0 {
			lost = true
			say("  left out as %s: %s", reason, count(int(n), "sample"))
		}
	}
	for _, r := range s.Stats.Refusals() {
		say("  %s: %s", count(int(r.Samples), "sample"), r.Why)
	}
	if dropped[sinks.Refused] > 0 {
		say("  a receiver refuses samples that are older than its newest, but for those within its out-of-order window: "+
			"set out_of_order_time_window of Prometheus or Mimir to at least %s", setting.Duration(time.Since(from).Truncate(time.Hour)+time.Hour))
	}
	if dropped[sinks.Past] > 0 {
		say("  max_sample_age leaves out what is older: raise it for a backfill")
	}
	return lost
}

// again is the command that goes on from a time.
func (c *backfillCmd) again(g *globals, from time.Time) string {
	args := []string{"cton", "backfill", c.Job, "--from", from.UTC().Format(time.RFC3339Nano), "--to", c.To.Format(time.RFC3339Nano)}
	if c.Step != 0 {
		args = append(args, "--step", c.Step.String())
	}
	for _, name := range c.Sink {
		args = append(args, "--sink", name)
	}
	if c.Deadline != time.Minute {
		args = append(args, "--deadline", c.Deadline.String())
	}
	if g.Named {
		args = append(args, "-c", g.Config)
	}
	for i, arg := range args {
		if strings.ContainsFunc(arg, func(r rune) bool { return !strings.ContainsRune("-_./:@%+=,", r) && !isWord(r) }) {
			args[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(args, " ")
}

func isWord(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}
