package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/clock/clocktest"
)

func TestJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := clocktest.New()
		began := f.Clock.Read()
		want := func(what string, jumps int, shift, elapsed, wall time.Duration) {
			t.Helper()
			r := f.Clock.Read()
			if r.Jumps != jumps || r.Shift != shift || r.Elapsed-began.Elapsed != elapsed || r.Wall.Sub(began.Wall) != wall {
				t.Errorf("%s: %d jumps by %s after %s, the clock went by %s; want %d, %s, %s, %s", what,
					r.Jumps, r.Shift, r.Elapsed-began.Elapsed, r.Wall.Sub(began.Wall), jumps, shift, elapsed, wall)
			}
		}
		time.Sleep(time.Hour)
		want("time passes", 0, 0, time.Hour, time.Hour)
		changed := f.Clock.Changed()
		f.Set(-30 * time.Second)
		select {
		case <-changed:
			t.Error("a jump was reported before the clock was read")
		default:
		}
		want("set back", 1, -30*time.Second, time.Hour, time.Hour-30*time.Second)
		<-changed
		f.Suspend(time.Hour)
		want("suspended", 1, -30*time.Second, 2*time.Hour, 2*time.Hour-30*time.Second)
		f.Suspend(time.Hour)
		f.Set(49 * time.Hour)
		want("set forward while suspended", 2, 49*time.Hour-30*time.Second, 3*time.Hour, 52*time.Hour-30*time.Second)
		for range 100 { // a clock that is corrected slowly
			f.Set(500 * time.Millisecond)
			f.Clock.Read()
		}
		want("corrected", 2, 49*time.Hour-30*time.Second, 3*time.Hour, 52*time.Hour+20*time.Second)
	})
}

// TestSystem checks that the clock of this machine goes forward, and that no jump is noticed without a change of the clock.
func TestSystem(t *testing.T) {
	c := clock.New()
	began := c.Read()
	for range 10_000 {
		r := c.Read()
		if r.Jumps > 0 || r.Elapsed < began.Elapsed-200*time.Millisecond {
			t.Fatalf("got %+v after %+v", r, began)
		}
	}
	if now := time.Now(); now.Sub(c.Now()).Abs() > time.Minute {
		t.Errorf("the clock shows %s at %s", c.Now(), now)
	}
}
