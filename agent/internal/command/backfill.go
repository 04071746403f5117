package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/internal/backfill"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sinks"
)

type backfillCmd struct {
	Job      string           `arg:"" optional:"" help:"The job to run over the past; needed if there are several."`
	From     moment           `required:"" help:"Start of the first window: 2026-01-31 (midnight UTC) or 2026-01-31T18:00:00Z." placeholder:"TIME"`
	To       moment           `help:"End of the last window; default now." placeholder:"TIME"`
	Step     setting.Duration `help:"Length of a window; default as in the job: its windows, or from one due time to the next." placeholder:"DURATION"`
	Sink     []string         `help:"The remote_write sink to deliver to; default all of the job." placeholder:"NAME"`
	Deadline time.Duration    `default:"60s" help:"How long to wait for the receivers' responses, including retries."`
}

// moment is a time on the command line.
type moment struct{ time.Time }

// UnmarshalText parses a time in RFC 3339, or a day, which means midnight UTC.
func (m *moment) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			m.Time = t.UTC()
			return nil
		}
	}
	return errors.New("want a day such as 2026-01-31, or a time such as 2026-01-31T18:00:00Z")
}

// Run runs the job over the past and shows a report.
func (c *backfillCmd) Run(ctx context.Context, a *App, g *globals) error {
	plan, err := a.loadOne(g, &c.Job)
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
	progress := &progress{out: a.Err, what: "windows", bar: isTerminal(a.Err)}
	w := &backfill.Walk{
		Job: run.NewWorker(built.Jobs[0]), Sinks: built.Sinks, From: c.From.Time, To: c.To.Time, Step: time.Duration(c.Step),
		Patience: c.Deadline, Log: built.Jobs[0].Log, Progress: func(done, all int, end time.Time) {
			progress.show(done, all, "up to "+end.UTC().Format(time.RFC3339))
		},
	}
	report := w.Run(ctx)
	a.logout(ctx)
	progress.end()
	return c.report(a, g, w, report)
}

// check sets the defaults of flags. It returns an error if the job cannot be run over the time from --from to --to.
func (c *backfillCmd) check(job *config.Job) error {
	now := time.Now().UTC().Truncate(time.Second)
	if c.To.IsZero() {
		c.To.Time = now
	}
	step := time.Duration(c.Step)
	switch {
	case c.Deadline <= 0:
		return errNoDeadline
	case step != 0 && job.Windows != nil:
		return fmt.Errorf("jobs.%s has its own windows (window): leave out --step", job.Name)
	case c.To.After(now):
		return fmt.Errorf("--to %s is in the future; leave it out to run up to now", c.To.Format(time.RFC3339))
	case !c.From.Before(c.To.Time):
		return fmt.Errorf("--from %s is not before --to %s", c.From.Format(time.RFC3339), c.To.Format(time.RFC3339))
	case step != 0 && step < time.Second:
		return errors.New("--step: want at least 1s")
	case !job.Dated():
		return fmt.Errorf("jobs.%s does not depend on the window: each window of the past would get today's numbers; "+
			"request the window, as in query: {from: \"{{ rfc3339 .Window.Start }}\"}, or give all its metrics a time", job.Name)
	}
	if w := job.Windows; w != nil {
		return c.wholeWindows(w, now)
	}
	return nil
}

// wholeWindows moves the time From back to the start of the window that contains it. It moves the time To back to the end of the last
// window that is already closed and does not end after To. A part of a window would give incomplete numbers.
func (c *backfillCmd) wholeWindows(w *schedule.Windows, now time.Time) error {
	from, to := w.Closed(c.From.Add(w.Settle)), w.Closed(c.To.Add(w.Settle))
	if closed := w.Closed(now); to.After(closed) {
		to = closed
	}
	if !from.Before(to) {
		return fmt.Errorf("want at least one whole window of %s between --from %s and --to %s that is over: the window of --from can be read from %s on",
			setting.Duration(w.Length), c.From.Format(time.RFC3339), c.To.Format(time.RFC3339), w.Ready(from).UTC().Format(time.RFC3339))
	}
	c.From.Time, c.To.Time = from.UTC(), to.UTC()
	return nil
}

// pastSinks returns the job's sinks that accept old samples, with their settings changed for a backfill.
func (c *backfillCmd) pastSinks(plan *config.Plan) ([]config.Sink, error) {
	var kept []config.Sink
	var able []string
	for _, s := range plan.Sinks {
		if s.Kind.ForBackfill == nil || !plan.Jobs[0].GoesTo(s.Name) {
			continue
		}
		able = append(able, s.Name)
		if len(c.Sink) == 0 || slices.Contains(c.Sink, s.Name) {
			s.Config = s.Kind.ForBackfill(s.Config)
			kept = append(kept, s)
		}
	}
	if len(able) == 0 {
		return nil, fmt.Errorf("jobs.%s has no sink that accepts samples of the past: add a remote_write sink", plan.Jobs[0].Name)
	}
	for _, name := range c.Sink {
		if !slices.Contains(able, name) {
			return nil, fmt.Errorf("jobs.%s: %w", plan.Jobs[0].Name, noSuch("sink that accepts samples of the past", name, able))
		}
	}
	return kept, nil
}

// report shows the result and, if not all windows are done, the command that continues. It returns an error with the exit code.
func (c *backfillCmd) report(a *App, g *globals, w *backfill.Walk, r *backfill.Report) error {
	say := func(format string, args ...any) { fmt.Fprintln(a.Out, a.vault.Scrub(fmt.Sprintf(format, args...))) }
	say("%s of %d, %s measured", text.Count(r.Windows, "window"), w.Windows(), text.Count(r.Readings, "reading"))
	if r.Outside > 0 {
		say("dropped as before --from or after --to: %s", text.Count(r.Outside, "reading"))
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Drops)) {
		say("dropped as %s: %s", reason, text.Count(r.Drops[reason], "reading"))
	}
	if r.Partial > 0 {
		say("measured in part: %s; the first: %s", text.Count(r.Partial, "window"), r.Problem)
	}
	lost := false
	for _, s := range w.Sinks {
		lost = sayDelivered(say, s, w.From) || lost
	}
	if counted := w.Job.Ledger.Counted(); len(counted) > 0 && r.Windows > 0 {
		say("totals begin at 0 in a backfill: %s. If the receiver has samples of the same series before or after that time, increase() and rate() "+
			"count the steps between them as well; give the backfill a label of its own then (const_labels)", list(counted))
	}
	if r.Next.Before(w.To) {
		say("continue with: %s", c.continuation(g, r.Next))
	}
	switch {
	case errors.Is(r.Err, backfill.ErrFetch):
		return &exitError{exitFetch, r.Err}
	case r.Err != nil && !errors.Is(r.Err, backfill.ErrDelivery):
		return &exitError{exitPartial, errors.New("stopped before the end")}
	case r.Err != nil:
		return &exitError{exitDelivery, r.Err}
	case lost:
		return &exitError{exitDelivery, errors.New("not everything was delivered")}
	case r.Partial > 0:
		return &exitError{exitPartial, errors.New("some windows were measured only in part: correct the first problem shown above, and run the backfill again")}
	}
	return nil
}

// sayDelivered shows how many samples a sink has delivered and dropped. It reports whether the sink has dropped any sample.
func sayDelivered(say func(string, ...any), s run.Sink, from time.Time) (lost bool) {
	dropped := s.Stats.Dropped()
	say("%s accepted %s", s.Name, text.Count(int(s.Stats.Sent.Load()), "sample"))
	for _, reason := range slices.Sorted(maps.Keys(dropped)) {
		if n := dropped[reason]; n > 0 {
			lost = true
			say("  dropped as %s: %s", reason, text.Count(int(n), "sample"))
		}
	}
	for _, r := range s.Stats.Refusals() {
		say("  %s: %s", text.Count(int(r.Samples), "sample"), r.Why)
	}
	if dropped[sinks.Refused] > 0 {
		say("  a receiver refuses samples that are older than its newest one and outside its out-of-order window: "+
			"set out_of_order_time_window of Prometheus or Mimir to at least %s", setting.Duration(time.Since(from).Truncate(time.Hour)+time.Hour))
	}
	if dropped[sinks.Past] > 0 {
		say("  the sink drops samples older than max_sample_age: raise it for the backfill")
	}
	return lost
}

// continuation returns the command that continues the backfill from a time.
func (c *backfillCmd) continuation(g *globals, from time.Time) string {
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
	args = append(args, g.arguments()...)
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
