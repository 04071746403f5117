package backfill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/run"
	"github.com/collectington/collectington/agent/web"
	"github.com/collectington/collectington/sources"
)

// Tries of a window, and the pause before the second; each further one is twice as long.
const (
	tries      = 4
	firstPause = 500 * time.Millisecond
)

// measure does the tick of one window. An API may refuse one request of thousands, and one that asks for a pause gets it.
func (w *Walk) measure(ctx context.Context, r *Report, book *ledger.Ledger, start, end time.Time) (*ledger.Result, error) {
	tick := sources.Tick{Time: end, Start: start, End: end, Interval: w.Step}
	pause := firstPause
	for n := 1; ; n++ {
		readings, err := run.Collect(ctx, w.Job, tick)
		if err == nil {
			err = run.Unmeasured(readings)
		}
		if err == nil {
			r.Outside += w.keepInside(readings)
			var result *ledger.Result
			if result, err = book.Apply(end, readings); err == nil {
				return result, nil
			}
		}
		wait := pause
		if asked, ok := errors.AsType[*web.WaitError](err); ok {
			wait = time.Until(asked.Until)
			n-- // it was not asked
		} else {
			pause *= 2
		}
		if ctx.Err() != nil || n == tries {
			return nil, fmt.Errorf("%w: from %s to %s: %w", ErrFetch, start.Format(time.RFC3339), end.Format(time.RFC3339), err)
		}
		w.Log.Warn("window not measured, trying again", "end", end.Format(time.RFC3339), "error", err, "pause", wait.Round(time.Millisecond).String())
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// keepInside leaves out readings whose own times lie outside the walk, and tells how many: a walk that goes on where another
// has ended must not tell again what that one has told.
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
