// Package clocktest has a clock for tests, which they can set.
package clocktest

import (
	"sync/atomic"
	"time"

	"github.com/collectington/collectington/agent/clock"
)

// Fake is a clock that tests can set. Otherwise its time passes like [time.Now], also in a bubble of testing/synctest.
type Fake struct {
	Clock *clock.Clock
	set   atomic.Int64 // the sum of the arguments of all calls of Set, in nanoseconds
	slept atomic.Int64 // the sum of all calls of Suspend, in nanoseconds
}

// New returns a clock that shows the time of [time.Now] until it is set.
func New() *Fake {
	f := &Fake{}
	start := time.Now()
	f.Clock = clock.Of(func() (time.Time, time.Duration) {
		now, slept := time.Now(), time.Duration(f.slept.Load())
		return now.Round(0).Add(slept + time.Duration(f.set.Load())), now.Sub(start) + slept
	})
	return f
}

// Set sets the clock forward, or back if by is negative.
func (f *Fake) Set(by time.Duration) { f.set.Add(int64(by)) }

// Suspend lets time pass on the clock, but not for timers, as on a machine that is suspended.
func (f *Fake) Suspend(d time.Duration) { f.slept.Add(int64(d)) }
