package run

import (
	"context"
	"time"

	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/sources"
)

// minBurst is less than maxWaiting, so that a sink that is slow is told of all windows.
const minBurst = 60

// Burst is how many windows are read for one due time at most: 60, or twice as many as come until the next.
func (j *Job) Burst(due, next time.Time) int {
	if j.Windows == nil {
		return 1
	}
	return max(minBurst, int(2*next.Sub(due)/j.Windows.Length))
}

// Window is the tick at a time, where everything up to read is read already: all that is new since, or one interval where
// nothing is read yet, or the clock was set back behind it. Of a job with windows it is the next closed one, before which so many were skipped, and due is false
// where none is left.
func (j *Job) Window(read, at time.Time) (tick sources.Tick, skipped int, due bool) {
	read = read.Round(0) // so that it is compared as the clock on the wall shows it
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

// ValidUntil is how long what was measured at a time stands in for what a failing tick could not measure. Between windows
// nothing is to be measured: with them the time counts from when the next one can be read.
func (j *Job) ValidUntil(measured time.Time) time.Time {
	var next time.Time // when the next window can be read
	if j.Windows != nil && !measured.IsZero() {
		next = j.Windows.Ready(j.Windows.Closed(measured))
	}
	if j.ValidFor > 0 {
		return later(measured, next).Add(j.ValidFor)
	}
	until := j.secondDue(measured)
	if !next.IsZero() {
		secondWindow := next.Add(j.Windows.Length)
		until = later(until, j.Schedule.Next(secondWindow.Add(-j.Jitter)).Add(j.Jitter))
	}
	return until
}

// secondDue is the second due time after a time.
func (j *Job) secondDue(after time.Time) time.Time {
	due := j.Schedule.Next(after.Add(-j.Jitter))
	return j.Schedule.Next(due).Add(j.Jitter)
}

// pace is how long the job takes from what it measures to what it measures next.
func (j *Job) pace(at time.Time) time.Duration {
	interval := j.Schedule.Interval(at)
	if j.Windows != nil {
		interval = max(interval, j.Windows.Length)
	}
	return interval
}

// burst is what is done for a due time: a tick, and while windows wait to be read more of them, until the next due time. It
// tells whether windows still wait.
func (j *job) burst(ctx context.Context, due, next time.Time) (more bool) {
	for range j.Burst(due, next) {
		leave, ok := j.agent.enter(ctx)
		if !ok {
			return false
		}
		tick, end := withGrace(ctx)
		if j.Overlap == schedule.Cancel {
			// A tick that began late has the time until the next one that is still to come.
			tick, end = withDeadline(tick, end, later(j.Schedule.Next(time.Now().Add(-j.Jitter)), next).Add(j.Jitter))
		}
		more = j.tick(tick)
		end()
		leave()
		if !more || ctx.Err() != nil || !next.IsZero() && !time.Now().Before(next.Add(j.Jitter)) {
			break
		}
	}
	return more
}
