package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/internal/backfill"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
)

type backfillCmd struct {
	Job      string           `arg:"" help:"The job to run over the past."`
	From     moment           `required:"" help:"Where the first window begins: 2026-01-31, which is midnight in UTC, or 2026-01-31T18:00:00Z." placeholder:"TIME"`
	To       moment           `help:"Where the last window ends; default now." placeholder:"TIME"`
	Step     setting.Duration `help:"How long a window is; default as the job itself reads: its windows, or from one due time to the next." placeholder:"DURATION"`
	Sink     []string         `help:"The remote_write sink to deliver to; default all that the job goes to." placeholder:"NAME"`
	Deadline time.Duration    `default:"60s" help:"How long receivers may take to answer for what waits, tries included."`
}

// moment is a time on the command line.
type moment struct{ time.Time }

// UnmarshalText reads a time of RFC 3339, or a day, which begins at midnight in UTC.
func (m *moment) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			m.Time = t.UTC()
			return nil
		}
	}
	return errors.New("want a day such as 2026-01-31, or a time such as 2026-01-31T18:00:00Z")
}

// Run walks the job over the past.
func (c *backfillCmd) Run(ctx context.Context, a *App, g *globals) error {
	plan, err := a.load(g, c.Job)
	if err != nil {
		return err
	}
	if err := c.check(&plan.Jobs[0]); err != nil {
		return err
	}
	if plan.Sinks, err = c.pastSinks(plan); err != nil {
		return err
	}
	built, err := (&assembly{App: a, drain: time.Second}).build(plan)
	if err != nil {
		return err
	}
	progress := &progress{out: a.Err, bar: isTerminal(a.Err)}
	w := &backfill.Walk{
		Job: &built.Jobs[0], Sinks: built.Sinks, From: c.From.Time, To: c.To.Time, Step: time.Duration(c.Step),
		Patience: c.Deadline, Log: built.Jobs[0].Log, Progress: progress.tell,
	}
	report := w.Run(ctx)
	progress.end()
	return c.report(a, g, w, report)
}

// check fills in what was not given, and says why the job cannot be run over that past.
func (c *backfillCmd) check(job *config.Job) error {
	now := time.Now().UTC().Truncate(time.Second)
	if c.To.IsZero() {
		c.To.Time = now
	}
	step := time.Duration(c.Step)
	switch {
	case step != 0 && job.Windows != nil:
		return fmt.Errorf("jobs.%s reads windows of its own: leave out --step", job.Name)
	case c.To.After(now):
		return fmt.Errorf("--to %s has not come yet; leave it out for now", c.To.Format(time.RFC3339))
	case !c.From.Before(c.To.Time):
		return fmt.Errorf("--from %s is not before --to %s", c.From.Format(time.RFC3339), c.To.Format(time.RFC3339))
	case step != 0 && step < time.Second:
		return errors.New("--step: want at least 1s")
	case !job.Dated():
		return fmt.Errorf("jobs.%s gets the same whatever the window is: each of the past would get today's numbers; "+
			"ask for a window, as in query: {from: \"{{ rfc3339 .Window.Start }}\"}, or give all its metrics a time", job.Name)
	}
	if w := job.Windows; w != nil {
		return c.wholeWindows(w, now)
	}
	return nil
}

// wholeWindows has the walk begin with the window that --from is in, and end with the last that is over by --to and can be
// read: a part of one would be told with a part of its numbers.
func (c *backfillCmd) wholeWindows(w *schedule.Windows, now time.Time) error {
	from, to := w.Closed(c.From.Add(w.Settle)), w.Closed(c.To.Add(w.Settle))
	if closed := w.Closed(now); to.After(closed) {
		to = closed
	}
	if !from.Before(to) {
		return fmt.Errorf("no window of %s is closed between --from %s and --to %s; the one that --from is in can be read from %s on",
			setting.Duration(w.Length), c.From.Format(time.RFC3339), c.To.Format(time.RFC3339), w.Ready(from).UTC().Format(time.RFC3339))
	}
	c.From.Time, c.To.Time = from.UTC(), to.UTC()
	return nil
}

// pastSinks are the plan's sinks whose receivers keep samples of the past, without the spools that the agent holds.
func (c *backfillCmd) pastSinks(plan *config.Plan) ([]config.Sink, error) {
	var kept []config.Sink
	var able []string
	for _, s := range plan.Sinks {
		past, ok := s.Config.(sinks.Backfiller)
		if !ok || !plan.Jobs[0].GoesTo(s.Name) {
			continue
		}
		able = append(able, s.Name)
		if len(c.Sink) == 0 || slices.Contains(c.Sink, s.Name) {
			s.Config = past.ForBackfill()
			kept = append(kept, s)
		}
	}
	if len(able) == 0 {
		return nil, fmt.Errorf("jobs.%s goes to no sink that takes samples of the past: add a remote_write sink", plan.Jobs[0].Name)
	}
	for _, name := range c.Sink {
		if !slices.Contains(able, name) {
			return nil, fmt.Errorf("--sink %s: not a sink of the job that takes samples of the past; there are %s", name, strings.Join(able, ", "))
		}
	}
	return kept, nil
}
