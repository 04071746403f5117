package remotewrite

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/deliver"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
)

// TestManySmallJobs checks that sixty jobs, with one sample every ten seconds each, stay less than two seconds behind, although a response
// takes 300 ms.
func TestManySmallJobs(t *testing.T) {
	const jobs, every = 60, 10 * time.Second
	for name, c := range map[string]struct {
		spread  bool
		durable bool
		order   spool.Order
		p       Protocol
	}{
		"at once": {p: Protocol2}, "spread": {spread: true, p: Protocol2}, "in 1.0": {p: Protocol1},
		"on disk": {durable: true, spread: true, p: Protocol2}, "newest first": {order: spool.NewestFirst, p: Protocol2},
	} {
		t.Run(name, func(t *testing.T) {
			rounds := 30
			if c.durable {
				rounds = 4 // each record is synced
			}
			var late time.Duration
			last := map[string]int64{}
			d := &fakeReceiver{answer: func(w http.ResponseWriter, q request) {
				for _, p := range q.points {
					late = max(late, time.Since(time.UnixMilli(p.time)))
					if p.time <= last[p.series] {
						t.Errorf("%s comes after the sample at %d", p, last[p.series])
					}
					last[p.series] = p.time
				}
				time.Sleep(300 * time.Millisecond)
				acceptAll(w, q)
			}}
			withReceiver(t, d, func(config *Config, _ *sinks.Env) {
				config.Protocol, config.Spool.Order = c.p, Order(c.order)
				if c.durable {
					config.Spool.Dir = t.TempDir()
				}
			}, func(r *rig) {
				for range rounds {
					for i := range jobs {
						r.write(fmt.Sprint("j", i), gauge("x", 1, "a"))
						if c.spread {
							time.Sleep(every / jobs)
						}
					}
					if !c.spread {
						time.Sleep(every)
					}
				}
				r.tick()
				if late >= 2*time.Second {
					t.Errorf("a sample arrived %s late", late)
				}
				if n := r.stats.Sent.Load(); n != int64(jobs*rounds) {
					t.Errorf("Sent is %d, want %d", n, jobs*rounds)
				}
				if n := len(d.all()); n > jobs*rounds*3/4 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// TestJoinedSizes checks that records are joined up to max_samples, and that large records are not joined.
func TestJoinedSizes(t *testing.T) {
	d := &fakeReceiver{answer: func(w http.ResponseWriter, q request) { time.Sleep(time.Second); acceptAll(w, q) }}
	withReceiver(t, d, func(c *Config, _ *sinks.Env) { c.Request.MaxSamples = 10 }, func(r *rig) {
		for i, n := range []int{1, 5, 4, 1, 6, 2, 3} {
			var rooms []string
			for k := range n {
				rooms = append(rooms, fmt.Sprint("r", k))
			}
			r.write(fmt.Sprint("j", i), gauge("x", 1, rooms...))
			synctest.Wait()
		}
		r.tick()
		var got []int
		for _, q := range d.all() {
			got = append(got, len(q.points))
		}
		if text := fmt.Sprint(got); text != "[1 10 6 5]" {
			t.Errorf("requests of %s samples", text)
		}
	})
}

// TestJoinedRefusal checks that a bad sample in a joined request makes other jobs lose at most a few samples. They lose none if the path of
// the URL says that the receiver is Prometheus.
func TestJoinedRefusal(t *testing.T) {
	for path, most := range map[string]int64{"/api/v1/write": 0, "/elsewhere": 10} {
		d := &fakeReceiver{answer: func(w http.ResponseWriter, q request) {
			time.Sleep(300 * time.Millisecond)
			for _, p := range q.points {
				if strings.Contains(p.series, "bad") {
					http.Error(w, "out of order", 400)
					return
				}
			}
			acceptAll(w, q)
		}}
		withReceiver(t, d, func(c *Config, _ *sinks.Env) {
			c.Protocol, c.Refusals = Protocol1, Refusals(deliver.Auto)
			_ = c.URL.UnmarshalText([]byte("http://receiver" + path))
		}, func(r *rig) {
			for range 9 {
				for i := range 9 {
					r.write(fmt.Sprint("j", i), gauge("x", 1, "a"))
				}
				r.write("bad", gauge("x", 1, "a"))
				r.tick()
			}
			if n := r.stats.Dropped()[sinks.Refused]; n < 9 || n > 9+most {
				t.Errorf("%s: %d samples were refused, want 9 to %d", path, n, 9+most)
			}
			if in := r.stats.Sent.Load() + r.stats.Dropped()[sinks.Refused]; in != 90 {
				t.Errorf("%s: %d samples are counted, want 90", path, in)
			}
		})
	}
}

// TestJoinedZeros joins a record of an old series with a record of a new series. Prometheus refuses the zero of the old series, since it
// already has the sample after that zero. The zero of the new series must be stored.
func TestJoinedZeros(t *testing.T) {
	s := newServer(t)
	slow := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		time.Sleep(time.Second) // so that records wait and are joined
		s.ServeHTTP(w, q)
	})
	withReceiver(t, slow, func(c *Config, _ *sinks.Env) { c.Protocol, c.Refusals = Protocol1, Refusals(deliver.Search) }, func(r *rig) {
		r.tick()
		r.write("old", counter("old_total", 1, r.began, "a"))
		r.tick()
		r.sink.encoder = newEncoder(r.config, r.sink.env, nil, r.began) // as after a restart
		r.write("busy", gauge("x", 1, "a"))
		synctest.Wait()
		r.write("old", counter("old_total", 2, r.began, "a"))
		r.write("new", counter("new_total", 3, time.Now().Add(-time.Second), "a"))
		r.tick()
		at := time.Now()
		s.want(r.TB, at, `count_over_time(new_total[10m])`, 2)
		s.want(r.TB, at, `count_over_time(old_total[10m])`, 3)
		r.wantDropped(sinks.Refused, 1) // the zero of old_total
	})
}
