// Package backfill runs a job over a time in the past, window by window. Each window is one tick, whose time is the end of
// the window. The job has its own ledger, which is empty at the start.
//
//	[from, from+step) ─▶ collect ─▶ apply ─▶ deliver ─▶ sinks ─▶ receivers
//	      └─ the next window, unless too many samples wait for a response
package backfill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// Walk is a backfill of one job.
type Walk struct {
	Job      *run.Worker // Run sets its Ledger to a new one
	Sinks    []run.Sink
	From, To time.Time
	Step     time.Duration // length of a window; 0 = the job's own windows, or, if it has none, one window from each due time to the next
	Patience time.Duration // how long to wait for the receivers' responses
	Log      *slog.Logger
	Progress func(done, all int, end time.Time) // called after each window; may be nil
}

// Reasons why a walk ends early.
var (
	ErrFetch    = errors.New("a window could not be measured")
	ErrDelivery = errors.New("what was measured could not be delivered")
)

// Report is the result of a walk.
type Report struct {
	Windows  int       // number of windows measured
	Partial  int       // number of these windows in which at least one metric was not measured
	Next     time.Time // where another walk can continue: the receivers have responded to all samples before it
	measured time.Time // all windows before it are measured
	Readings int
	Outside  int                   // readings left out because their own times are before From or after To
	Drops    map[metric.Reason]int // number of readings dropped, by reason
	Problem  string                // why a metric was not measured; only the first such problem
	Err      error                 // why the walk ended early: ErrFetch, ErrDelivery, or the cause of the end of the context; else nil
}

// Run runs the job window by window. It ends when all windows are done, when a window cannot be measured, when the receivers accept
// nothing, or when ctx ends.
func (w *Walk) Run(ctx context.Context) *Report {
	r := &Report{Next: w.From, measured: w.From, Drops: map[metric.Reason]int{}}
	// A metric that cannot be measured keeps its last value for two windows, as in a running job.
	w.Job.Ledger = ledger.New(func(measured time.Time) time.Time { return w.next(w.next(measured)) }, w.Job.MaxSeries)
	end := w.startSinks(ctx)
	r.Err = w.walk(ctx, r)
	if ctx.Err() != nil {
		r.Err = context.Cause(ctx)
	}
	// Wait for the responses even if the walk has ended early.
	if err := w.settle(context.WithoutCancel(ctx), w.patience(ctx)); err == nil {
		r.Next = r.measured
	} else if r.Err == nil {
		r.Err = err
	}
	end()
	return r
}

// startSinks starts the sinks and returns a function that stops them.
func (w *Walk) startSinks(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, s := range w.Sinks {
		if r, ok := s.Sink.(sinks.Runner); ok {
			running.Go(func() {
				if err := r.Run(ctx); err != nil {
					s.Log.Error("the sink has failed", "error", err)
				}
			})
		}
	}
	return func() {
		cancel()
		running.Wait()
	}
}

func (w *Walk) walk(ctx context.Context, r *Report) error {
	for all := w.Windows(); r.measured.Before(w.To); {
		tick := w.tick(r.measured)
		result, err := w.measure(ctx, r, tick)
		if err != nil {
			return err
		}
		r.add(result)
		r.Windows++
		r.measured = tick.End
		if w.Progress != nil {
			w.Progress(r.Windows, all, tick.End)
		}
		if err := w.pace(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) add(result *ledger.Result) {
	r.Readings += result.Readings
	for _, d := range result.Drops {
		r.Drops[d.Reason] += d.Count
	}
	if len(result.Problems) > 0 {
		r.Partial++
		if p := result.Problems[0]; r.Problem == "" {
			r.Problem = fmt.Sprintf("%s: %v", p.Metric, p.Err)
		}
	}
}

// tries is how often a window is tried. firstPause is the pause before the second try. Each further pause is twice as long.
const (
	tries      = 4
	firstPause = 500 * time.Millisecond
)

// measure runs the job over one window and delivers the batch. If the window cannot be measured, it tries again, since an
// API may refuse one of thousands of requests. If the API asks for a pause, measure waits that long. It does not try again
// if the ledger has lost its totals, since the results of later windows would be wrong.
func (w *Walk) measure(ctx context.Context, r *Report, tick sources.Tick) (*ledger.Result, error) {
	outside := 0
	steps := run.Steps{
		Collected: func(readings metric.Readings) { outside = w.keepInside(readings) },
		Deliver:   func(b metric.Batch) error { return w.deliver(ctx, b) },
	}
	empty := w.Job.Ledger.Empty()
	pause := firstPause
	for n := 1; ; n++ {
		result, err := w.Job.Tick(ctx, tick, steps)
		if result != nil {
			r.Outside += outside
			return result, err
		}
		wait := pause
		if asked, ok := errors.AsType[*httpclient.WaitError](err); ok {
			wait = time.Until(asked.Until)
			n-- // no request was sent
		} else {
			pause *= 2
		}
		if ctx.Err() != nil || n == tries || !empty && w.Job.Ledger.Empty() {
			return nil, fmt.Errorf("%w: from %s to %s: %w", ErrFetch, format(tick.Start), format(tick.End), err)
		}
		w.Log.Warn("window not measured, trying again", "end", format(tick.End), "error", err, "pause", wait.Round(time.Millisecond).String())
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

func format(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// keepInside removes readings whose own times are outside the walk, and returns their number. Another walk that starts where
// this one ends would deliver them a second time.
func (w *Walk) keepInside(readings metric.Readings) (outside int) {
	from, to := w.From.UnixMilli(), w.To.UnixMilli()
	for i := range readings {
		m := &readings[i]
		before := len(m.Rows)
		m.Rows = slices.DeleteFunc(m.Rows, func(r metric.Reading) bool { return r.Time != 0 && (r.Time < from || r.Time > to) })
		outside += before - len(m.Rows)
	}
	return outside
}

// deliver writes a batch to the sinks.
func (w *Walk) deliver(ctx context.Context, b metric.Batch) error {
	b.Every = 0 // the sink must not send samples of the past again
	for _, s := range w.Sinks {
		if err := s.Sink.Write(ctx, b); err != nil {
			return fmt.Errorf("%w: sinks.%s: %w", ErrDelivery, s.Name, err)
		}
	}
	return nil
}
