// Package clock reads the time of day and the elapsed time. If the two disagree, the clock has jumped.
//
// Samples, cron expressions and time windows use the time of day. A user or NTP can set it. Intervals, ages of records and other
// durations use the elapsed time. The elapsed time includes the time while the machine was suspended, if the system reports that
// (Linux does).
//
// Code that stores times of day must compare [Reading.Shift] with an earlier reading. If the shift has changed, the code must move the
// stored times by the difference, so that their distance from the present time stays the same.
package clock

import (
	"sync"
	"time"
)

// Tolerance is the smallest change of the clock that counts as a jump. A smaller change is a correction, and is not included in
// Shift.
const Tolerance = time.Second

// Clock is the clock of this machine. It is safe for concurrent use.
type Clock struct {
	source Source

	mu      sync.Mutex
	base    time.Duration // time of day minus elapsed time, at the latest reading
	jumps   int
	shift   time.Duration
	changed chan struct{} // closed when a jump is noticed
}

// Source reads two times at the same moment: the time of day, without a monotonic reading, and the time elapsed since some fixed
// moment.
type Source func() (wall time.Time, elapsed time.Duration)

// New returns a clock that reads the time of this machine.
func New() *Clock { return Of(System()) }

// Of returns a clock that reads the times from a source.
func Of(source Source) *Clock {
	c := &Clock{source: source, changed: make(chan struct{})}
	wall, elapsed := source()
	c.base = base(wall, elapsed)
	return c
}

// base returns the time of day minus the elapsed time. The result fits into a Duration until the year 2262.
func base(wall time.Time, elapsed time.Duration) time.Duration {
	return time.Duration(wall.UnixNano()) - elapsed
}

// Reading holds the times of a clock at one moment.
type Reading struct {
	Wall    time.Time     // the time of day, without a monotonic reading
	Elapsed time.Duration // the time elapsed since some moment before the first reading
	Jumps   int           // number of jumps so far
	Shift   time.Duration // the sum of all jumps; positive = forward
}

// Read reads the clock.
func (c *Clock) Read() Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, elapsed := c.source()
	now := base(wall, elapsed)
	if by := now - c.base; by >= Tolerance || by <= -Tolerance {
		c.jumps++
		c.shift += by
		close(c.changed)
		c.changed = make(chan struct{})
	}
	c.base = now
	return Reading{wall, elapsed, c.jumps, c.shift}
}

// Now returns the time of day, without a monotonic reading.
func (c *Clock) Now() time.Time { return c.Read().Wall }

// Changed returns a channel that is closed when a later Read notices a jump.
func (c *Clock) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// System returns the source for this machine. The elapsed time is Go's monotonic time plus the time while the machine was
// suspended, if the system reports that.
func System() Source {
	start := time.Now()
	asleepBefore := Asleep()
	return func() (time.Time, time.Duration) {
		now := readTogether()
		return now.Round(0), now.Sub(start) + Asleep() - asleepBefore
	}
}

// apart is the largest difference between two readings that were made together. If the difference is larger, the process was interrupted
// between the two readings.
const apart = 100 * time.Millisecond

// readTogether reads both of Go's clocks. It makes sure that the process was not interrupted between the two readings.
func readTogether() time.Time {
	first := time.Now()
	for range 5 {
		second := time.Now()
		byWall, byMonotonic := second.Round(0).Sub(first.Round(0)), second.Sub(first)
		if difference := byWall - byMonotonic; difference < apart && difference > -apart {
			break
		}
		first = second
	}
	return first
}
