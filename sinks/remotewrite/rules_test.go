package remotewrite

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/relabel"
	"github.com/collectington/collectington/sinks"
)

// Two jobs whose series the rules make one; the one job loses it.
func TestTwoJobsShareASeries(t *testing.T) {
	name := "job"
	change := func(c *Config, _ *sinks.Env) {
		c.WriteRelabel = relabel.Rules{{Regex: &name, Action: "labeldrop"}}
	}
	inBoth(t, change, func(r *rig, s *server) {
		d := &metric.Desc{Name: "temp", Help: "A gauge.", Type: metric.Gauge, LabelNames: []string{"room"}}
		one, two := made(d, metric.Series{Value: 20}, "a", "b"), made(d, metric.Series{Value: 20}, "a", "b")
		for range 2 {
			r.write("one", one)
			r.tick()
			r.write("two", two)
			r.tick()
		}
		one.Series = one.Series[1:]
		r.write("one", one)
		r.tick()
		two.Series[0].Value, two.Series[1].Value = 23, 24
		r.write("two", two)
		r.tick()
		t.Log(r.stats.Dropped(), r.log)
		s.want(t, time.Now(), `temp{room="a"}`, 23)
		s.want(t, time.Now(), `temp{room="b"}`, 24)
	})
}

// The rules make several parts of one unit one series.
func TestPartsBecomeOne(t *testing.T) {
	name := "le"
	change := func(c *Config, _ *sinks.Env) {
		c.WriteRelabel = relabel.Rules{{Regex: &name, Action: "labeldrop"}}
	}
	inBoth(t, change, func(r *rig, s *server) {
		took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1}, LabelNames: []string{"room"}}
		r.write("house", gauge("temp", 20, "a"),
			made(took, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Count: 3, Sum: 4.5, Counts: []uint64{1, 2}}}}, "a"))
		r.tick()
		t.Logf("dropped: %v sent %d", r.stats.Dropped(), r.stats.Sent.Load())
		r.drops(sinks.NotNewer, 1)
		r.drops(sinks.Refused, 0)
	})
}

// 2.0 requests that become large in 1.0.
func TestFallBackGrows(t *testing.T) {
	change := func(c *Config, _ *sinks.Env) { c.Request.MaxSamples = 100_000 }
	d := &double{answer: only1}
	receiving(t, d, change, func(r *rig) {
		labels := []string{}
		values := []string{}
		for i := range 20 {
			labels = append(labels, fmt.Sprintf("label_with_a_name_%d", i))
			values = append(values, strings.Repeat("value", 6))
		}
		f := metric.Family{Desc: &metric.Desc{Name: "x", Help: "h", Type: metric.Gauge, LabelNames: append(labels, "n")}}
		for i := range 40_000 {
			f.Series = append(f.Series, metric.Series{Value: 1, Labels: f.Desc.LabelSet(append(append([]string{}, values...), strconv.Itoa(i)))})
		}
		r.write("j", f)
		r.tick()
		t.Log(r.stats.Dropped(), r.stats.Sent.Load(), r.log)
		r.drops(sinks.Damaged, 0)
	})
}

// Real zeros of readings with times of their own, in a request that is refused.
func TestRealZeros(t *testing.T) {
	d := &double{}
	receiving(t, d, speaking(Protocol1), func(r *rig) {
		now := time.Now().UnixMilli()
		d.set(func(w http.ResponseWriter, q request) {
			for _, p := range q.points {
				if strings.HasPrefix(p.series, `{__name__="bad"`) {
					http.Error(w, "out of order sample", 400)
					return
				}
			}
			takes(w, q)
		})
		f := gauge("good", 0, "a")
		for i := range 4 {
			s := f.Series[0]
			s.Time = now - int64(4-i)*1000
			f.Series = append(f.Series, s)
		}
		f.Series = f.Series[1:]
		r.write("j", f, gauge("bad", 1, "a"))
		r.tick()
		for _, q := range d.all() {
			t.Log(points([]request{q}))
		}
		t.Log(r.stats.Dropped(), r.stats.Sent.Load())
		r.drops(sinks.Refused, 1)
	})
}

// A redirect on the same origin, to a page that answers 200: the POST has become a GET without a body.
func TestRedirectsAreNotFollowedWithoutABody(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, p := range []Protocol{Protocol1, Auto} {
			t.Run(fmt.Sprint(code, p), func(t *testing.T) {
				got := 0
				mux := http.NewServeMux()
				mux.HandleFunc("/api/v1/write", func(w http.ResponseWriter, q *http.Request) {
					http.Redirect(w, q, "/login", code)
				})
				mux.HandleFunc("/login", func(w http.ResponseWriter, q *http.Request) {
					if q.Method == http.MethodPost {
						got++
					}
				})
				receiving(t, mux, speaking(p), func(r *rig) {
					r.write("j", gauge("x", 1, "a"))
					r.tick()
					if sent := r.stats.Sent.Load(); sent > 0 && got == 0 {
						t.Errorf("Sent is %d, but no POST has arrived", sent)
					}
				})
			})
		}
	}
}
