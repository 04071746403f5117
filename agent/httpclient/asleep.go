package httpclient

import (
	"time"

	"github.com/collectington/collectington/agent/clock"
)

// sleepMeter returns how long the machine was suspended since it was started. nil = this machine. Go's monotonic time stands still then, but a
// token expires, and the pause that a server has asked for ends.
type sleepMeter func() time.Duration

func (s sleepMeter) read() time.Duration {
	if s == nil {
		return clock.Asleep()
	}
	return s()
}

// moment is a time, and how long the machine had been suspended until then.
type moment struct {
	time.Time
	asleep time.Duration
}

func (s sleepMeter) now() moment { return moment{time.Now(), s.read()} }

// since returns the time that has passed between two moments.
func (m moment) since(earlier moment) time.Duration { return m.Sub(earlier.Time) + m.slept(earlier) }

// slept returns how long the machine was suspended between two moments, 0 if that is not known. A time without a monotonic reading, such as
// one that was kept over a restart, counts it by itself.
func (m moment) slept(earlier moment) time.Duration {
	if earlier.Time == earlier.Round(0) {
		return 0
	}
	return m.asleep - earlier.asleep
}
