package httpclient

import (
	"time"

	"github.com/collectington/collectington/agent/clock"
)

// sleepMeter returns how long the machine has been suspended since it was started. A nil sleepMeter asks the system; tests set another
// one. It is needed because Go's monotonic clock stops while the machine is suspended, but tokens still expire, and pauses that servers
// have asked for still end.
type sleepMeter func() time.Duration

func (s sleepMeter) read() time.Duration {
	if s == nil {
		return clock.Asleep()
	}
	return s()
}

// moment is a time, together with the total duration of the machine's suspensions up to that time.
type moment struct {
	time.Time
	asleep time.Duration
}

func (s sleepMeter) now() moment { return moment{time.Now(), s.read()} }

// since returns the time that has passed between two moments.
func (m moment) since(earlier moment) time.Duration { return m.Sub(earlier.Time) + m.slept(earlier) }

// slept returns the time to add to m.Sub(earlier.Time) for suspensions between the two moments. It is 0 if the moment "earlier" has no
// monotonic reading, for example if it is from before a restart. Sub then uses the wall clock, which does not stop.
func (m moment) slept(earlier moment) time.Duration {
	if earlier.Time == earlier.Round(0) {
		return 0
	}
	return m.asleep - earlier.asleep
}
