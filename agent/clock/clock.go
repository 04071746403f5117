// Package clock reads the time of day and the time that has passed, and notices when the two disagree: the clock has jumped.
//
// The time of day is what samples, cron expressions and windows need. It can be set, by a person or by NTP. What has to take a
// certain time, such as an interval or the age of a record, goes by the time that has passed. It includes the time that the
// machine was suspended, if the system reports it (Linux does).
//
// Code that keeps times of day reads [Reading.Shift], and moves its times by the difference when that has changed. Its times
// then stay as far from now as they were.
package clock

import (
	"sync"
	"time"
)

// Tolerance is the least change of the clock that is a jump. What is less is a correction, which Shift does not include.
const Tolerance = time.Second

// Clock is the clock of this machine. It is safe for concurrent use.
type Clock struct {
	source Source

	mu      sync.Mutex
	base    time.Duration // the time of day less the time that has passed, at the last reading
	jumps   int
	shift   time.Duration
	changed chan struct{} // closed when the clock has jumped
}

// Source reads the time of day, without a monotonic reading, and the time that has passed since some moment, together.
type Source func() (wall time.Time, elapsed time.Duration)

// New returns a clock that reads the time of this machine.
func New() *Clock { return Of(System()) }

// Of returns a clock that reads a source.
func Of(source Source) *Clock {
	c := &Clock{source: source, changed: make(chan struct{})}
	wall, elapsed := source()
	c.base = base(wall, elapsed)
	return c
}

// base fits into a Duration until the year 2262.
func base(wall time.Time, elapsed time.Duration) time.Duration {
	return time.Duration(wall.UnixNano()) - elapsed
}

// Reading is what a clock shows at one moment.
type Reading struct {
	Wall    time.Time     // the time of day, without a monotonic reading
	Elapsed time.Duration // the time that has passed since some moment before the first reading
	Jumps   int           // how often the clock has jumped
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

// System returns the source of this machine's time. What has passed is Go's monotonic time, and the time asleep where the
// system reports it.
func System() Source {
	start := time.Now()
	asleepBefore := Asleep()
	return func() (time.Time, time.Duration) {
		now := readTogether()
		return now.Round(0), now.Sub(start) + Asleep() - asleepBefore
	}
}

// apart is how long two readings may lie apart. If there is more, the process was stopped in between.
const apart = 100 * time.Millisecond

// readTogether returns a reading of both of Go's clocks that the process was not stopped in.
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
