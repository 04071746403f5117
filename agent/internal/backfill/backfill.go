// Package backfill walks a job over the past: window after window, each as a tick at the window's end, through a ledger of
// its own.
//
//	[from, from+step) ▶ collect ▶ ledger ▶ batch ▶ sinks ──▶ the receivers' answers
//	      └─ the next window, as long as not too much waits for an answer
package backfill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// Walk is one way through the past.
type Walk struct {
	Job      *run.Job
	Sinks    []run.Sink
	From, To time.Time
	Step     time.Duration // 0 = as the job itself reads: its windows, or from one due time to the next
	Patience time.Duration // how long receivers may take to answer for what waits
	Log      *slog.Logger
	Progress func(done, all int, end time.Time) // told of each window; nil = nobody
}

// Why a walk ends early.
var (
	ErrFetch    = errors.New("a window could not be measured")
	ErrDelivery = errors.New("what was measured could not be delivered")
)

// Report is what a walk came to.
type Report struct {
	Windows  int       // measured
	Partial  int       // of those, in which some metric could not be
	Next     time.Time // up to here the receivers have answered for everything
	measured time.Time // up to here
	Readings int
	Outside  int                   // readings whose own times lie before From or after To
	Drops    map[metric.Reason]int // readings left out
	Problem  string                // the first metric that could not be measured, and why
	Err      error                 // why it ended early: ErrFetch, ErrDelivery or the context's
}

// Run walks until all is done, a window cannot be measured, the receivers take nothing, or ctx ends.
func (w *Walk) Run(ctx context.Context) *Report {
	r := &Report{Next: w.From, measured: w.From, Drops: map[metric.Reason]int{}}
	end := w.startSinks(ctx)
	r.Err = w.walk(ctx, r)
	if ctx.Err() != nil {
		r.Err = context.Cause(ctx)
	}
	// What was measured is worth waiting for, also where the walk ends early.
	if err := w.settle(context.WithoutCancel(ctx), w.patience(ctx)); err == nil {
		r.Next = r.measured
	} else if r.Err == nil {
		r.Err = err
	}
	end()
	return r
}

// stopPatience is how long what waits may take once the walk was told to stop.
const stopPatience = 10 * time.Second

func (w *Walk) patience(ctx context.Context) time.Duration {
	if ctx.Err() != nil {
		return min(w.Patience, stopPatience)
	}
	return w.Patience
}

func (w *Walk) walk(ctx context.Context, r *Report) error {
	// A metric that cannot be measured shows its last value for two windows, as in a job that runs.
	book := ledger.New(func(measured time.Time) time.Time { return w.next(w.next(measured)) }, w.Job.MaxSeries)
	for all := w.Windows(); r.measured.Before(w.To); {
		tick := w.tick(r.measured)
		result, err := w.measure(ctx, r, book, tick)
		if err != nil {
			return err
		}
		r.note(result)
		batch := metric.Batch{Job: w.Job.Name, Time: tick.Time, Families: result.Families}
		for _, s := range w.Sinks {
			if err := s.Sink.Write(ctx, batch); err != nil {
				return fmt.Errorf("%w: sinks.%s: %w", ErrDelivery, s.Name, err)
			}
		}
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

func (r *Report) note(result *ledger.Result) {
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

// startSinks has the sinks send what they are given; the function that it returns ends them.
func (w *Walk) startSinks(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, s := range w.Sinks {
		if r, ok := s.Sink.(sinks.Runner); ok {
			running.Go(func() {
				if err := r.Run(ctx); err != nil {
					s.Log.Error(err.Error())
				}
			})
		}
	}
	return func() {
		cancel()
		running.Wait()
	}
}
