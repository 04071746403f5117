package remotewrite

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/deliver"
)

// responseCase says how a receiver behaves, and what becomes of five batches. Each batch has as many series as the field "series" says.
type responseCase struct {
	does     string
	protocol Protocol
	series   int
	durable  bool
	path     string // of url, "" = that of Prometheus
	refusals Refusals
	answer   func(began time.Time) func(http.ResponseWriter, request)

	sent, refused int64
	requests      int           // at most
	least         int           // requests at least
	within        time.Duration // from the first write until everything is settled
}

// rejectAny rejects a whole request if the request has one of these series.
func rejectAny(code int, text string, rooms ...string) func(time.Time) func(http.ResponseWriter, request) {
	return func(time.Time) func(http.ResponseWriter, request) {
		return func(w http.ResponseWriter, r request) {
			for _, p := range r.points {
				for _, room := range rooms {
					if strings.Contains(p.series, `room="`+room+`"`) {
						http.Error(w, strings.ReplaceAll(text, "SERIES", p.series), code)
						return
					}
				}
			}
			acceptAll(w, r)
		}
	}
}

// until lets the function "answer" respond until the duration "end" has passed, and accepts everything afterwards.
func until(end time.Duration, answer func(http.ResponseWriter, request)) func(time.Time) func(http.ResponseWriter, request) {
	return func(began time.Time) func(http.ResponseWriter, request) {
		return func(w http.ResponseWriter, r request) {
			if time.Since(began) < end {
				answer(w, r)
				return
			}
			acceptAll(w, r)
		}
	}
}

func always(answer func(http.ResponseWriter, request)) func(time.Time) func(http.ResponseWriter, request) {
	return until(math.MaxInt64, answer)
}

func TestResponses(t *testing.T) {
	for _, c := range []responseCase{
		{does: "answers 2xx without the headers of what was written", protocol: Auto, series: 100, answer: always(respond(200)), sent: 500, requests: 6},
		{does: "stores half of a 400 and says so", protocol: Protocol2, series: 100, answer: always(func(w http.ResponseWriter, r request) {
			setWritten(w, 50, 0)
			w.WriteHeader(400)
		}), sent: 250, refused: 250, requests: 5},
		{
			does: "stores the good part of a 400 without saying so", protocol: Protocol1, series: 100, path: "/api/v1/push",
			answer: rejectAny(400, "failed pushing to ingester (err-mimir-sample-out-of-order)", "r7"), refused: 500, requests: 5,
		},
		{
			does: "rejects all for one series and names it", protocol: Protocol1, series: 100,
			answer: rejectAny(400, "out of order: series=SERIES, sorry", "r7"), sent: 495, refused: 5, requests: 15 + 4*2,
		},
		{
			does: "rejects all for one series of many", protocol: Protocol1, series: 1000,
			answer: rejectAny(400, "out of order sample", "r7"), sent: 4995, refused: 5, requests: 5 * 21,
		},
		{
			does: "rejects all for two series of many", protocol: Protocol1, series: 1000,
			answer: rejectAny(409, "store locally: out of order sample", "r7", "r801"), sent: 4990, refused: 10, requests: 5 * 42,
		},
		{
			does: "finds one series unprocessable", protocol: Protocol1, series: 64,
			answer: rejectAny(422, "", "r33"), sent: 5 * 63, refused: 5, requests: 5 * 13,
		},
		{
			does: "rejects everything", protocol: Protocol1, series: 1000,
			answer: always(respond(400)), refused: 5000, requests: 1511 + 4*2,
		},
		{
			does: "rejects all for one series, and is to be asked once", protocol: Protocol1, series: 100, refusals: Refusals(deliver.Drop),
			answer: rejectAny(400, "out of order sample", "r7"), refused: 500, requests: 5,
		},
		{
			does: "rejects all for one series, and nothing is known of it", protocol: Protocol1, series: 100, path: "/in",
			answer: rejectAny(400, "out of order sample", "r7"), refused: 500, requests: 5,
		},
		{
			does: "rejects all for one series, at an address of its own", protocol: Protocol1, series: 1000, path: "/in", refusals: Refusals(deliver.Search),
			answer: rejectAny(400, "out of order sample", "r7"), sent: 4995, refused: 5, requests: 21 + 4*2,
		},
		{
			does: "rejects two series, one of them for three minutes", protocol: Protocol1, series: 1000,
			answer: func(began time.Time) func(http.ResponseWriter, request) {
				both, one := rejectAny(400, "", "r7", "r801")(began), rejectAny(400, "", "r7")(began)
				return func(w http.ResponseWriter, q request) {
					if time.Since(began) < 3*time.Minute {
						both(w, q)
						return
					}
					one(w, q)
				}
			}, sent: 4992, refused: 8, requests: 42 + 4*3,
		},
		{
			does: "does not know the path for a while, with the queue in memory", protocol: Protocol1, series: 10,
			answer: until(time.Hour, respond(404)), sent: 50, requests: 500, least: 50, within: time.Hour + 2*maxPause,
		},
		{
			does: "does not know the path for a while", protocol: Protocol1, series: 10, durable: true,
			answer: until(time.Hour, respond(404)), sent: 50, requests: 500, least: 50, within: time.Hour + 2*maxPause,
		},
		{
			does: "does not know the token for a while", protocol: Auto, series: 10, durable: true,
			answer: until(time.Hour, respond(401)), sent: 50, requests: 500, least: 50, within: time.Hour + 2*maxPause,
		},
		{
			does: "is behind a firewall that finds a series suspicious", protocol: Protocol1, series: 10,
			answer: rejectAny(403, "<html><title>Blocked</title>", "r7"), refused: 50, requests: 5*20 + 1, within: 30 * time.Minute,
		},
		{
			does: "is behind a firewall that answers 400", protocol: Protocol2, series: 10, path: "/in",
			answer: rejectAny(400, "<html><title>Blocked</title>", "r7"), refused: 50, requests: 5*20 + 1, within: 30 * time.Minute,
		},
		{does: "asks for a pause in seconds", protocol: Protocol2, series: 10, answer: until(time.Minute, func(w http.ResponseWriter, _ request) {
			w.Header().Set("Retry-After", "50")
			w.WriteHeader(429)
		}), sent: 50, requests: 7},
		{does: "asks for a pause until a date", protocol: Protocol2, series: 10, answer: until(time.Minute, func(w http.ResponseWriter, _ request) {
			w.Header().Set("Retry-After", time.Now().Add(50*time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(429)
		}), sent: 50, requests: 8},
		{does: "hangs", protocol: Protocol2, series: 10, answer: until(3*time.Minute, func(http.ResponseWriter, request) { time.Sleep(time.Hour) }), sent: 50, requests: 15},
		{does: "closes the connection within the body", protocol: Protocol2, series: 10, answer: until(time.Minute, func(w http.ResponseWriter, _ request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		}), sent: 50, requests: 30},
		{does: "times out reading the request", protocol: Protocol2, series: 10, answer: until(time.Minute, respond(408)), sent: 50, requests: 30},
		{does: "is unavailable for long", protocol: Protocol2, series: 10, answer: until(3*time.Hour, respond(503)), sent: 50, requests: 1000, within: 3*time.Hour + 2*maxPause},
		{does: "answers 500 for long", protocol: Protocol2, series: 10, answer: until(3*time.Hour, respond(500)), sent: 50, requests: 1000, within: 3*time.Hour + 2*maxPause},
		{does: "answers 500 to a series", protocol: Protocol1, series: 500, answer: rejectAny(500, "panic", "r7"), sent: 5 * 499, refused: 5, requests: 5 * 60, within: 10 * time.Minute},
		{does: "answers 500 to the last series", protocol: Protocol2, series: 16, answer: rejectAny(500, "panic", "r9"), sent: 5 * 15, refused: 5, requests: 5 * 50, within: 10 * time.Minute},
		{does: "accepts only small requests", protocol: Protocol1, series: 2000, answer: always(func(w http.ResponseWriter, r request) {
			if len(r.points) > 600 {
				w.WriteHeader(413)
				return
			}
			acceptAll(w, r)
		}), sent: 10_000, requests: 7 + 4*5},
		{does: "finds every request too large", protocol: Protocol1, series: 8, answer: always(respond(413)), refused: 40, requests: 5 * 11},
	} {
		t.Run(c.does, func(t *testing.T) { c.run(t) })
	}
}

func (c responseCase) run(t *testing.T) {
	d := &fakeReceiver{}
	withReceiver(t, d, func(config *Config, _ *sinks.Env) {
		config.Protocol = c.protocol
		config.Refusals = c.refusals
		if c.path != "" {
			_ = config.URL.UnmarshalText([]byte("http://receiver" + c.path))
		}
		if c.durable {
			config.Spool.Dir = t.TempDir()
		}
	}, func(r *rig) {
		d.set(c.answer(r.began))
		rooms := make([]string, c.series)
		for i := range rooms {
			rooms[i] = fmt.Sprint("r", i)
		}
		for i := range 5 {
			r.write("j", gauge("x", float64(i), rooms...))
			r.tick()
		}
		for r.stats.Pending().Samples > 0 && time.Since(r.began) < 24*time.Hour {
			r.tick()
		}
		took := time.Since(r.began)
		sent, dropped := r.stats.Sent.Load(), r.stats.Dropped()
		if sent != c.sent || dropped[sinks.Refused] != c.refused || len(dropped) > 1 || c.refused == 0 && len(dropped) > 0 {
			r.Errorf("sent %d, dropped %v; want %d sent and %d refused", sent, dropped, c.sent, c.refused)
		}
		if n := len(d.all()); n > c.requests || n < max(5, c.least) {
			r.Errorf("%d requests, want at most %d", n, c.requests)
		}
		if most := max(c.within, 6*time.Minute); took > most+time.Minute {
			r.Errorf("it took %s, want at most %s", took, most)
		}
		last := map[string]int64{}
		if c.refused == 0 {
			for _, q := range d.all() {
				for _, p := range q.points {
					if p.time < last[p.series] {
						r.Errorf("%v comes after the sample at %d", p, last[p.series])
					}
					last[p.series] = p.time
				}
			}
		}
	})
}

// TestLargeFallBack checks that a 2.0 request that is too large in 1.0 is divided.
func TestLargeFallBack(t *testing.T) {
	change := func(c *Config, _ *sinks.Env) { c.Request.MaxSamples = 100_000 }
	d := &fakeReceiver{answer: accept1Only}
	withReceiver(t, d, change, func(r *rig) {
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
		most := 0
		for _, q := range d.all()[1:] { // the first is the request in 2.0
			most = max(most, len(q.points))
		}
		if sent := r.stats.Sent.Load(); sent != 40_000 || most >= 40_000 {
			t.Errorf("sent %d samples, at most %d in a request, want all of them in several requests\n%s", sent, most, r.log)
		}
		r.wantDropped(sinks.Damaged, 0)
	})
}

// TestRealZeros checks zeros with their own timestamps in a rejected request. They are not left out, unlike the zeros that the sink adds.
func TestRealZeros(t *testing.T) {
	d := &fakeReceiver{}
	withReceiver(t, d, withProtocol(Protocol1), func(r *rig) {
		now := time.Now().UnixMilli()
		d.set(func(w http.ResponseWriter, q request) {
			for _, p := range q.points {
				if strings.HasPrefix(p.series, `{__name__="bad"`) {
					http.Error(w, "out of order sample", 400)
					return
				}
			}
			acceptAll(w, q)
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
		r.wantDropped(sinks.Refused, 1)
	})
}

// TestRedirectToGET checks that a redirect that turns the POST into a GET is no success, although the GET is answered with 200.
func TestRedirectToGET(t *testing.T) {
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
				withReceiver(t, mux, withProtocol(p), func(r *rig) {
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

// TestOutageOf500DividesNothing checks that a request is not divided while the receiver answers 500 to every request, since that is an
// outage.
func TestOutageOf500DividesNothing(t *testing.T) {
	const series, outage = 100, 7
	var n atomic.Int64
	d := &fakeReceiver{answer: func(w http.ResponseWriter, q request) {
		if n.Add(1) <= outage {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		acceptAll(w, q)
	}}
	withReceiver(t, d, withProtocol(Protocol1), func(r *rig) {
		var rooms []string
		for i := range series {
			rooms = append(rooms, fmt.Sprint("r", i))
		}
		r.write("j", gauge("x", 1, rooms...))
		r.tick()
		r.tick()
		var sizes []int
		for _, q := range d.all() {
			sizes = append(sizes, len(q.points))
		}
		if want := slices.Repeat([]int{series}, outage+1); !slices.Equal(sizes, want) {
			r.Errorf("requests of %v samples, want %v", sizes, want)
		}
	})
}

// TestSearchPauses checks a receiver that refuses all samples of a request. The receiver gets few requests per second, and each sample is
// tried alone once. Later samples, which the receiver accepts, must arrive within two minutes, so that Prometheus shows no gap.
func TestSearchPauses(t *testing.T) {
	for _, code := range []int{400, 413} {
		d := &fakeReceiver{}
		withReceiver(t, d, withProtocol(Protocol1), func(r *rig) {
			var rooms []string
			for i := range 1000 {
				rooms = append(rooms, fmt.Sprint("r", i))
			}
			d.set(func(w http.ResponseWriter, q request) {
				if strings.HasPrefix(q.points[0].series, `{__name__="good"`) {
					acceptAll(w, q)
					return
				}
				w.WriteHeader(code)
			})
			r.write("j", gauge("x", 1, rooms...))
			time.Sleep(time.Second)
			if n := len(d.all()); n > 40 {
				r.Errorf("%d: %d requests in the first second", code, n)
			}
			r.write("k", gauge("good", 1, "a"))
			for r.stats.Pending().Samples > 0 {
				time.Sleep(time.Second)
			}
			if took := time.Since(r.began); took < time.Minute || took > 2*time.Minute {
				r.Errorf("%d: it took %s", code, took)
			}
			if all := d.all(); all[len(all)-1].points[0].series[:16] != `{__name__="good"` || r.stats.Sent.Load() != 1 {
				r.Errorf("%d: the last request is of %s, and %d samples were sent", code, all[len(all)-1].points[0].series, r.stats.Sent.Load())
			}
			alone := map[string]bool{}
			for _, q := range d.all() {
				if len(q.points) == 1 && strings.HasPrefix(q.points[0].series, `{__name__="x"`) {
					alone[q.points[0].series] = true
				}
			}
			if len(alone) != 1000 {
				r.Errorf("%d: %d series were tried alone, want 1000", code, len(alone))
			}
			r.wantDropped(sinks.Refused, 1000)
		})
	}
}
