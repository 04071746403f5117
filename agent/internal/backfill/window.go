package backfill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// Windows is how many there are.
func (w *Walk) Windows() int {
	if w.Step > 0 {
		return int((w.To.Sub(w.From) + w.Step - 1) / w.Step)
	}
	n := 0
	for at := w.From; at.Before(w.To); at = w.next(at) {
		n++
	}
	return n
}

// next is the end of the window that begins at a time, as if there were no To.
func (w *Walk) next(start time.Time) time.Time {
	switch {
	case w.Step > 0:
		return start.Add(w.Step)
	case w.Job.Windows != nil:
		return w.Job.Windows.End(start)
	}
	if due := w.Job.Schedule.Next(start); !due.IsZero() {
		return due
	}
	return w.To
}

// tick is that of the window that begins at a time.
func (w *Walk) tick(start time.Time) sources.Tick {
	end := w.next(start)
	if w.Step == 0 && w.Job.Windows != nil {
		tick, _, _ := w.Job.Window(start, w.Job.Windows.Ready(start))
		tick.Time = end
		return tick
	}
	if end.After(w.To) {
		end = w.To
	}
	return sources.Tick{Time: end, Start: start, End: end, Interval: w.next(start).Sub(start)}
}

// Tries of a window, and the pause before the second; each further one is twice as long.
const (
	tries      = 4
	firstPause = 500 * time.Millisecond
)

// measure does the tick of one window. An API may refuse one request of thousands, and one that asks for a pause gets it.
func (w *Walk) measure(ctx context.Context, r *Report, book *ledger.Ledger, tick sources.Tick) (*ledger.Result, error) {
	pause := firstPause
	for n := 1; ; n++ {
		readings, err := run.Collect(ctx, w.Job, tick)
		if err == nil {
			err = run.Unmeasured(readings)
		}
		if err == nil {
			r.Outside += w.keepInside(readings)
			var result *ledger.Result
			if result, err = book.Apply(tick.Time, readings); err == nil {
				return result, nil
			}
		}
		wait := pause
		if asked, ok := errors.AsType[*httpclient.WaitError](err); ok {
			wait = time.Until(asked.Until)
			n-- // it was not asked
		} else {
			pause *= 2
		}
		if ctx.Err() != nil || n == tries {
			return nil, fmt.Errorf("%w: from %s to %s: %w", ErrFetch, moment(tick.Start), moment(tick.End), err)
		}
		w.Log.Warn("window not measured, trying again", "end", moment(tick.End), "error", err, "pause", wait.Round(time.Millisecond).String())
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

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
