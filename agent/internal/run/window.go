package run

import (
	"time"

	"github.com/collectington/collectington/sources"
)

// minBurst is less than maxWaiting, so that even a slow sink gets the batches of all windows.
const minBurst = 60

// Burst returns how many windows may be read at one due time: the larger one of minBurst and twice the number of windows that end until the
// next due time. For a job without windows, Burst returns 1.
func (j *Job) Burst(due, next time.Time) int {
	if j.Windows == nil {
		return 1
	}
	return max(minBurst, int(2*next.Sub(due)/j.Windows.Length))
}

// NextWindow returns the tick that begins at the time "at". The argument "read" is the time up to which earlier ticks have read.
//
// Without windows, the tick reads from the time "read" until the time "at". If nothing was read yet, or if the clock was set back, it reads
// one interval. With windows, it reads the next closed window. The result "skipped" is the number of older windows that are left out
// because they are further back than max_catch_up. The result "due" is false if there is no closed window to read.
func (j *Job) NextWindow(read, at time.Time) (tick sources.Tick, skipped int, due bool) {
	read = read.Round(0) // so that the times are compared by wall clock, without the monotonic clock
	tick = sources.Tick{Time: at, Start: read, End: at, Interval: j.Schedule.Interval(at)}
	if j.Windows == nil {
		if read.IsZero() || read.After(at) {
			tick.Start = at.Add(-tick.Interval)
		}
		return tick, 0, true
	}
	w, due := j.Windows.Next(read, at)
	tick.Start, tick.End = w.Start.Add(-j.Windows.Overlap), w.End
	if j.Windows.OfDays() {
		tick.Zone = w.End.Location()
	}
	return tick, w.Skipped, due
}

// ValidUntil returns the time up to which the values of a measurement remain valid while ticks fail. They are valid for the duration of the
// setting valid_for, or until the second due time if valid_for is not set. The argument "measured" is the time of the measurement. For a
// job with windows, valid_for starts when the next window can be read.
func (j *Job) ValidUntil(measured time.Time) time.Time {
	var next time.Time // when the next window can be read
	if j.Windows != nil && !measured.IsZero() {
		next = j.Windows.Ready(j.Windows.Closed(measured))
	}
	if j.ValidFor > 0 {
		return later(measured, next).Add(time.Duration(j.ValidFor))
	}
	until := j.secondDue(measured)
	if !next.IsZero() {
		secondWindow := next.Add(j.Windows.Length)
		until = later(until, j.Schedule.Next(secondWindow.Add(-j.Delay)).Add(j.Delay))
	}
	return until
}

// secondDue returns the second due time after a time.
func (j *Job) secondDue(after time.Time) time.Time {
	due := j.Schedule.Next(after.Add(-j.Delay))
	return j.Schedule.Next(due).Add(j.Delay)
}

// interval returns the time between one batch of the job and the next.
func (j *Job) interval(at time.Time) time.Duration {
	interval := j.Schedule.Interval(at)
	if j.Windows != nil {
		interval = max(interval, j.Windows.Length)
	}
	return interval
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
