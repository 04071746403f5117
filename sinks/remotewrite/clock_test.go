package remotewrite

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/clock/clocktest"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// steps returns the jumps of the clock that the tests try.
func steps() []time.Duration {
	return []time.Duration{-30 * time.Second, -time.Hour, -24 * time.Hour, time.Hour, 49 * time.Hour}
}

// clocked is a sink whose clock can be set.
type clocked struct {
	*rig
	*clocktest.Fake
	started int64 // of the counter, Unix milliseconds
	n       int   // batches written
}

// withClock runs test with a sink that sends to handler.
func withClock(t *testing.T, handler http.Handler, change func(*Config), test func(*clocked)) {
	c := &clocked{}
	withReceiver(t, handler, func(config *Config, env *sinks.Env) {
		c.Fake = clocktest.New()
		env.Clock = c.Clock
		c.started = c.Clock.Now().Add(-time.Second).UnixMilli()
		if change != nil {
			change(config)
		}
	}, func(r *rig) { c.rig = r; test(c) })
}

// next writes one more batch, which has the current time. The batch has a counter that goes up by one each time, and a gauge.
func (c *clocked) next() {
	c.Helper()
	c.n++
	b := metric.Batch{Job: "j", Time: c.Clock.Now(), Families: []metric.Family{
		counter("calls_total", float64(c.n), time.UnixMilli(c.started), "a"), gauge("x", float64(c.n), "a"),
	}}
	if err := c.sink.Write(context.Background(), b); err != nil {
		c.Fatal(err)
	}
}

// TestClockJumps makes the clock jump. Every sample must be sent with the time that the clock shows. Each start timestamp must be earlier
// than its sample. A series goes back in time only if the clock does, and only once.
func TestClockJumps(t *testing.T) {
	for _, by := range steps() {
		for _, waiting := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, waiting %t", by, waiting), func(t *testing.T) {
				d := &fakeReceiver{answer: acceptAll}
				withClock(t, d, nil, func(c *clocked) {
					for range 5 {
						c.next()
						c.tick()
					}
					if waiting { // the samples from before the jump are sent after it
						d.set(func(w http.ResponseWriter, _ request) { w.WriteHeader(503) })
						c.next()
						time.Sleep(4 * time.Second)
					}
					c.Set(by)
					d.set(acceptAll)
					var want []string
					for range 5 {
						c.next()
						want = append(want, fmt.Sprint(c.Clock.Now().UnixMilli()))
						c.tick()
					}
					for _, why := range []metric.Reason{sinks.NotNewer, sinks.TooOld, metric.Future, sinks.Refused} {
						c.wantDropped(why, 0)
					}
					c.judge(d.all(), by, want)
				})
			})
		}
	}
}

// judge checks that all samples of the gauge were sent, and that the samples at the end of the list have the wanted times.
func (c *clocked) judge(requests []request, by time.Duration, want []string) {
	c.Helper()
	var gauge []point
	for _, r := range requests {
		for _, p := range r.points {
			if strings.HasPrefix(p.series, "{__name__=\"x\"") {
				if n := len(gauge); n == 0 || gauge[n-1] != p { // not a retry
					gauge = append(gauge, p)
				}
			}
			if p.start >= p.time {
				c.Errorf("a sample of %d starts at %d", p.time, p.start)
			}
		}
	}
	if len(gauge) != c.n {
		c.Errorf("%d samples of the gauge were sent, want %d", len(gauge), c.n)
		return
	}
	back := 0
	for i, p := range gauge {
		if i > 0 && p.time <= gauge[i-1].time {
			back++
		}
		if k := i - len(gauge) + len(want); k >= 0 && fmt.Sprint(p.time) != want[k] {
			c.Errorf("sample %d is of %d, want %s", i, p.time, want[k])
		}
	}
	if back > 1 || by <= -time.Hour && back != 1 {
		c.Errorf("the series went back %d times", back)
	}
}

// TestClockJumpsWithPrometheus checks delivery to a real Prometheus. Prometheus stores the samples that it accepts. The sink counts the
// other samples as refused. With an out-of-order window, Prometheus stores all samples.
func TestClockJumpsWithPrometheus(t *testing.T) {
	for _, by := range steps() {
		for _, window := range []time.Duration{0, 25 * time.Hour} {
			t.Run(fmt.Sprintf("%s, window %s", by, window), func(t *testing.T) {
				s := &server{peers.NewOutOfOrder(t, window)}
				withClock(t, s, nil, func(c *clocked) {
					for range 5 {
						c.next()
						c.tick()
					}
					c.Set(by)
					for range 10 {
						c.next()
						c.tick()
					}
					// The receiver's clock is right. It refuses samples that are far ahead of its clock, and samples that are
					// older than the newest sample of their series by more than the window.
					refused := c.stats.Dropped()[sinks.Refused]
					if judged := by > 0 || by <= -time.Hour && window == 0; judged && refused != 20 || !judged && refused != 0 {
						c.Errorf("%d refused", refused)
					}
					if by > 0 { // the clock is corrected
						c.Set(-by)
						c.next()
						c.tick()
					}
					if sent, refused := c.stats.Sent.Load(), c.stats.Dropped()[sinks.Refused]; sent+refused != int64(2*c.n) {
						c.Errorf("%d sent and %d refused, want %d together", sent, refused, 2*c.n)
					}
					if by > 0 || window > 0 {
						s.want(c.TB, c.Clock.Now(), "x", float64(c.n))
					}
					if stored := s.Value(c.TB, c.began.Add(100*time.Hour), "count_over_time(x[200h])"); stored != float64(c.n)-float64(refused)/2 {
						c.Errorf("Prometheus has %v samples of the gauge, %d were written and %d refused", stored, c.n, refused)
					}
				})
			})
		}
	}
}

// TestAgeIsElapsed checks that a record is dropped after max_age, whatever the clock is set to meanwhile.
func TestAgeIsElapsed(t *testing.T) {
	for _, by := range steps() {
		for _, durable := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, durable %t", by, durable), func(t *testing.T) {
				d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) { w.WriteHeader(503) }}
				dir := t.TempDir()
				withClock(t, d, func(config *Config) {
					config.Spool.MaxAge = setting.Duration(10 * time.Minute)
					if durable {
						config.Spool.Dir = dir
					}
				}, func(c *clocked) {
					c.next()
					time.Sleep(4 * time.Second)
					c.next()
					c.Set(by)
					time.Sleep(9 * time.Minute)
					c.wantDropped(sinks.TooOld, 0)
					if oldest := c.Clock.Now().Sub(c.stats.Pending().Oldest).Round(time.Second); oldest != 9*time.Minute+4*time.Second {
						c.Errorf("the oldest sample waits for %s", oldest)
					}
					time.Sleep(2 * time.Minute)
					c.wantDropped(sinks.TooOld, 4)
				})
			})
		}
	}
}

// TestSlowJobWhenTheClockJumps checks that the newest batch of a slow job is sent again each minute, with the time of the clock.
func TestSlowJobWhenTheClockJumps(t *testing.T) {
	for _, by := range steps() {
		t.Run(by.String(), func(t *testing.T) {
			d := &fakeReceiver{answer: acceptAll}
			withClock(t, d, nil, func(c *clocked) {
				write := func(value float64) {
					b := metric.Batch{Job: "j", Time: c.Clock.Now(), Every: 10 * time.Minute, Families: []metric.Family{gauge("x", value, "a")}}
					if err := c.sink.Write(context.Background(), b); err != nil {
						c.Fatal(err)
					}
				}
				write(1)
				time.Sleep(150 * time.Second)
				c.Set(by)
				jumped, before := c.Clock.Now(), len(d.all())
				time.Sleep(time.Until(c.began.Add(10*time.Minute + 2*time.Second)))
				after := d.all()[before:]
				if len(after) < 7 || len(after) > 8 {
					c.Errorf("%d requests in the 8 minutes after the jump", len(after))
				}
				c.Set(by) // until now, the last batch was sent again with times before this jump
				want := c.Clock.Now()
				write(2)
				time.Sleep(time.Second)
				all := d.all()
				if p := all[len(all)-1].points[0]; p.value != 2 || p.time != want.UnixMilli() {
					c.Errorf("the next batch was sent as %v of %s, want %s", p.value, time.UnixMilli(p.time), want)
				}
				for _, r := range after {
					if at := time.UnixMilli(r.points[0].time); at.Before(jumped) || at.Sub(jumped) > 9*time.Minute {
						c.Errorf("a sample is of %s after the jump", at.Sub(jumped))
					}
				}
				c.wantDropped(sinks.NotNewer, 0)
			})
		})
	}
}
