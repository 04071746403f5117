package backfill

import (
	"time"

	"github.com/collectington/collectington/sources"
)

// Windows returns the number of windows of the walk.
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

// next returns the end of the window that starts at a time. The end can be after To.
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

// tick returns the tick of the window that starts at a time.
func (w *Walk) tick(start time.Time) sources.Tick {
	end := w.next(start)
	if w.Step == 0 && w.Job.Windows != nil {
		tick, _, _ := w.Job.NextWindow(start, w.Job.Windows.Ready(start))
		tick.Time = end
		return tick
	}
	if end.After(w.To) {
		end = w.To
	}
	return sources.Tick{Time: end, Start: start, End: end, Interval: w.next(start).Sub(start)}
}
