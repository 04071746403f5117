package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// Worker runs the ticks of one job, one at a time. It keeps the state that a tick needs from earlier ticks.
type Worker struct {
	Job
	Ledger      *ledger.Ledger
	LastSuccess time.Time // time of the last successful tick
	Cursor      time.Time // end of the window of that tick; everything before was read

	abandoned chan struct{} // closed when the abandoned Collect has returned; nil if no Collect was abandoned
}

// NewWorker returns a worker for a job that has not run yet.
func NewWorker(job Job) *Worker {
	w := &Worker{Job: job}
	w.Ledger = ledger.New(w.ValidUntil, w.MaxSeries)
	return w
}

// Steps are functions that a command adds to a tick. Each of them can be nil.
type Steps struct {
	// Collected gets the readings before the ledger gets them. It may remove rows.
	Collected func(readings metric.Readings)
	// Commit makes the tick durable. It is called when the ledger, LastSuccess and Cursor have their new values and no sink
	// has the batch yet. If Commit returns an error, no sink gets the batch.
	Commit func(result *ledger.Result) error
	// Deliver queues the batch for the sinks.
	Deliver func(batch metric.Batch) error
}

// Tick runs the job once. The argument "tick" is what [Job.NextWindow] returned: the window that the job reads.
//
//	window ─▶ collect ─▶ apply ─▶ commit ─▶ deliver
//
// After an error in collect or apply, the ledger and the cursor are unchanged, so the window can be read again. A panic of the source or
// the ledger becomes the tick's error, and also leaves them unchanged, with one exception: a ledger that panics while it changes totals
// loses its state, and its totals start from zero. Commit comes before Deliver. So if the process is killed, the restored state is never
// older than what was delivered. If Deliver fails, Tick returns the result and the error, because the tick has been applied.
func (w *Worker) Tick(ctx context.Context, tick sources.Tick, do Steps) (*ledger.Result, error) {
	readings, err := w.collect(ctx, tick)
	if err != nil {
		return nil, err
	}
	if do.Collected != nil {
		err := contain(w.Log, "the step after collect", func() error { do.Collected(readings); return nil })
		if err != nil {
			return nil, err
		}
	}
	result, err := w.apply(tick, readings)
	if err != nil {
		return nil, err
	}
	w.LastSuccess, w.Cursor = tick.Time, tick.End
	if do.Commit != nil {
		if err := do.Commit(result); err != nil {
			return nil, err
		}
	}
	if do.Deliver == nil {
		return result, nil
	}
	return result, do.Deliver(w.batch(result))
}

// batch returns the batch of the last successful tick.
func (w *Worker) batch(result *ledger.Result) metric.Batch {
	return metric.Batch{
		Job: w.Name, Time: w.LastSuccess, Families: result.Families, Complete: len(result.Problems) == 0, Every: w.interval(w.LastSuccess),
	}
}

// abandonAfter is how long a source may continue after its context has ended, in addition to its overtime. After that, the tick ends
// without the source.
const abandonAfter = 3 * time.Second

// collect calls the source and waits for it. The context of the source ends after the job's timeout and the source's overtime. A source
// that does not return soon after that (see abandonAfter) is abandoned: it is not called again until the abandoned call has returned.
func (w *Worker) collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	if w.abandoned != nil {
		select {
		case <-w.abandoned:
			w.abandoned = nil
		default:
			return nil, errors.New("the source is still busy with an earlier run that timed out: this run is left out; if its runs take that long, raise timeout")
		}
	}
	timeout, overtime := time.Duration(w.Timeout), w.overtime()
	tick.Timeout, tick.Deadline = timeout, time.Now().Add(timeout)
	ctx, cancel := context.WithDeadlineCause(ctx, tick.Deadline.Add(overtime), fmt.Errorf("timed out after %s (timeout)", timeout))
	defer cancel()
	var readings metric.Readings
	var err error
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		err = contain(w.Log, "source", func() (err error) {
			readings, err = w.Source.Collect(ctx, tick)
			return err
		})
	}()
	select {
	case <-returned:
	case <-ctx.Done():
		select {
		case <-returned:
		case <-time.After(abandonAfter + overtime):
			w.abandoned = returned
			return nil, fmt.Errorf("%w, and the source did not stop", context.Cause(ctx))
		}
	}
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil: // the readings came too late
		return nil, context.Cause(ctx)
	}
	return readings, nil
}

// overtime returns how long after the timeout the source may continue to work.
func (w *Worker) overtime() (longest time.Duration) {
	for _, config := range []any{w.SourceConfig, w.FetcherConfig} {
		if o, ok := config.(sources.Overrunner); ok {
			longest = max(longest, o.Overtime())
		}
	}
	return longest
}

// apply applies the readings to the ledger. It returns an error if no metric could be measured.
func (w *Worker) apply(tick sources.Tick, readings metric.Readings) (*ledger.Result, error) {
	var result *ledger.Result
	empty := w.Ledger.Empty()
	err := contain(w.Log, "ledger", func() (err error) {
		for i := range readings {
			readings[i].FailIfTooFew()
		}
		if err := unmeasured(readings); err != nil {
			return err
		}
		result, err = w.Ledger.ApplyWindow(tick.Time, tick.End, readings)
		return err
	})
	switch {
	case err != nil && !empty && w.Ledger.Empty():
		return nil, fmt.Errorf("%w; the job's totals start from zero", err)
	case err != nil:
		return nil, err
	}
	return result, nil
}

// unmeasured returns an error if none of the metrics could be measured. It returns nil if there are no metrics.
func unmeasured(readings metric.Readings) error {
	for _, m := range readings {
		if m.Err == nil {
			return nil
		}
	}
	switch len(readings) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s: %w", readings[0].Desc.Name, readings[0].Err)
	}
	return fmt.Errorf("none of %d metrics could be measured; %s: %w", len(readings), readings[0].Desc.Name, readings[0].Err)
}

// contain calls f. It returns a panic of f as an error, and logs it with the stack. The argument "who" names the part of the program that f
// calls.
func contain(log *slog.Logger, who string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error(who+" panicked: this is a bug, please report it with the stack", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s panicked: %v", who, p)
		}
	}()
	return f()
}
