package remotewrite

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	remoteapi "github.com/prometheus/client_golang/exp/api/remote"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// server is a real Prometheus.
type server struct{ *peers.Prometheus }

func newServer(t *testing.T, accepts ...remoteapi.WriteMessageType) *server {
	t.Helper()
	return &server{peers.NewPrometheus(t, accepts...)}
}

func (s *server) want(t testing.TB, at time.Time, text string, want float64) {
	t.Helper()
	if got := s.Value(t, at, text); math.Abs(got-want) > 1e-9 || math.IsNaN(got) != math.IsNaN(want) {
		t.Errorf("%s at %s: %v, want %v", text, at.Format(time.TimeOnly), got, want)
	}
}

// gone is the value of a query without a result.
var gone = math.NaN()

// inBoth runs test with a Prometheus behind each protocol.
func inBoth(t *testing.T, change func(*Config, *sinks.Env), test func(*rig, *server)) {
	for _, p := range []Protocol{Protocol1, Protocol2, Auto} {
		t.Run(p.String(), func(t *testing.T) {
			s := newServer(t)
			receiving(t, s, func(c *Config, env *sinks.Env) {
				c.Protocol = p
				if change != nil {
					change(c, env)
				}
			}, func(r *rig) { test(r, s) })
		})
	}
}

func nativeOf(counts ...uint64) *metric.HistogramValue {
	h := &metric.HistogramValue{Native: &metric.NativeBuckets{Schema: 0, ZeroThreshold: 1e-9, ZeroCount: 1}, Count: 1}
	for i, n := range counts {
		if n == 0 {
			continue
		}
		h.Native.Positive = append(h.Native.Positive, metric.NativeBucket{Index: int32(i), Count: n})
		h.Native.Negative = append(h.Native.Negative, metric.NativeBucket{Index: int32(i) - 3, Count: n})
		h.Count += 2 * n
	}
	h.Sum = float64(h.Count)
	return h
}

func TestPrometheusHoldsWhatWasWritten(t *testing.T) {
	external := []metric.Label{{Name: "site", Value: "oslo"}}
	inBoth(t, func(_ *Config, env *sinks.Env) { env.External = external }, func(r *rig, s *server) {
		took := &metric.Desc{Name: "took_seconds", Type: metric.Histogram, Buckets: []float64{0.5, 1, 1e9}, LabelNames: []string{"room"}}
		size := &metric.Desc{Name: "size", Type: metric.Summary, Quantiles: []float64{0.5, 1}}
		span := &metric.Desc{Name: "span", Type: metric.Histogram, Native: true, Buckets: []float64{1}}
		bare := &metric.Desc{Name: "bare", Type: metric.Unknown, LabelNames: []string{"job", "__name__"}}
		r.write("oncall",
			gauge("temp", math.Inf(-1), "a"),
			counter("calls_total", 7, time.Time{}, "a", "b"),
			made(took, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Count: 6, Sum: 4.5, Counts: []uint64{1, 2, 0, 3}}}}, "a"),
			metric.Family{Desc: size, Series: []metric.Series{{
				Labels: size.LabelSet(nil),
				More:   &metric.More{Summary: &metric.SummaryValue{Count: 3, Sum: 9, Quantiles: []float64{3, math.NaN()}}},
			}}},
			metric.Family{Desc: span, Series: []metric.Series{{Labels: span.LabelSet(nil), More: &metric.More{Histogram: nativeOf(1, 2, 0, 4)}}}},
			metric.Family{Desc: bare, Series: []metric.Series{{Labels: bare.LabelSet([]string{"mine", "x"}), Value: -0.5}}},
		)
		at := time.Now()
		r.tick()
		const more = `instance="host-1", job="oncall", `
		want := map[string]float64{
			`{__name__="temp", ` + more + `room="a", site="oslo"}`:                                   math.Inf(-1),
			`{__name__="calls_total", ` + more + `room="a", site="oslo"}`:                            7,
			`{__name__="calls_total", ` + more + `room="b", site="oslo"}`:                            7,
			`{__name__="took_seconds_bucket", ` + more + `le="0.5", room="a", site="oslo"}`:          1,
			`{__name__="took_seconds_bucket", ` + more + `le="1.0", room="a", site="oslo"}`:          3,
			`{__name__="took_seconds_bucket", ` + more + `le="1e+09", room="a", site="oslo"}`:        3,
			`{__name__="took_seconds_bucket", ` + more + `le="+Inf", room="a", site="oslo"}`:         6,
			`{__name__="took_seconds_sum", ` + more + `room="a", site="oslo"}`:                       4.5,
			`{__name__="took_seconds_count", ` + more + `room="a", site="oslo"}`:                     6,
			`{__name__="size", ` + more + `quantile="0.5", site="oslo"}`:                             3,
			`{__name__="size", ` + more + `quantile="1.0", site="oslo"}`:                             math.NaN(),
			`{__name__="size_sum", ` + more + `site="oslo"}`:                                         9,
			`{__name__="size_count", ` + more + `site="oslo"}`:                                       3,
			`{__name__="span", ` + more + `site="oslo"}`:                                             15,
			`{__name__="bare", exported___name__="x", exported_job="mine", ` + more + `site="oslo"}`: -0.5,
		}
		got := map[string]float64{}
		for name, v := range s.Query(r.TB, at, `{job="oncall"}`) {
			if after, found := strings.CutPrefix(name, `{`); !found {
				metricName, rest, _ := strings.Cut(after, "{")
				name = `{__name__="` + metricName + `", ` + rest
			}
			got[name] = v
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })); diff != "" {
			r.Errorf("Prometheus holds other series (-want +got):\n%s", diff)
		}
		s.want(r.TB, at, `histogram_sum(span)`, 15)
		s.want(r.TB, at, `histogram_fraction(1, 2, span)*15`, 2)
		s.want(r.TB, at, `histogram_fraction(4, 8, span)*15`, 4)
		if sent := r.stats.Sent.Load(); sent != int64(len(want)) {
			r.Errorf("Sent is %d, want %d", sent, len(want))
		}
		r.drops(sinks.Refused, 0)
	})
}

func TestSeriesEndsAtOnce(t *testing.T) {
	inBoth(t, nil, func(r *rig, s *server) {
		span := &metric.Desc{Name: "span", Type: metric.Histogram, Native: true}
		native := metric.Family{Desc: span, Series: []metric.Series{{Labels: span.LabelSet(nil), More: &metric.More{Histogram: nativeOf(3)}}}}
		took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1}, LabelNames: []string{"room"}}
		classic := made(took, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Count: 2, Sum: 2, Counts: []uint64{1, 1}}}}, "a")
		first := time.Now()
		r.write("j", gauge("x", 1, "a", "b", "c"), native, classic)
		r.tick()
		second := time.Now()
		r.write("j", gauge("x", 2, "b"))
		r.tick()
		third := time.Now()
		r.write("j")
		r.tick()
		s.want(r.TB, first, `count(x)`, 3)
		s.want(r.TB, first, `count(span)`, 1)
		s.want(r.TB, first, `count({__name__=~"took.*"})`, 4)
		s.want(r.TB, second, `count(x)`, 1)
		s.want(r.TB, second, `count(span)`, gone)
		s.want(r.TB, second, `count({__name__=~"took.*"})`, gone)
		s.want(r.TB, third, `count(x)`, gone)
		if len(r.sink.jobs) != 0 || len(r.sink.series.live) != 0 {
			r.Errorf("%d jobs and %d series are remembered", len(r.sink.jobs), len(r.sink.series.live))
		}
		// It comes back, behind its own marker.
		r.write("j", gauge("x", 5, "a"))
		r.tick()
		s.want(r.TB, time.Now(), `sum(x)`, 5)
		r.drops(sinks.Refused, 0)
	})
}

func TestFirstIncrementCounts(t *testing.T) {
	inBoth(t, nil, func(r *rig, s *server) {
		took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1}, LabelNames: []string{"room"}}
		span := &metric.Desc{Name: "span", Type: metric.Histogram, Native: true, LabelNames: []string{"room"}}
		size := &metric.Desc{Name: "size", Type: metric.Summary, Quantiles: []float64{0.5}, LabelNames: []string{"room"}}
		r.tick()
		for _, n := range []uint64{3, 5} {
			start := r.began.UnixMilli()
			r.write("j", counter("calls_total", float64(n), r.began, "a"),
				made(took, metric.Series{Start: start, More: &metric.More{Histogram: &metric.HistogramValue{Count: n, Sum: 1, Counts: []uint64{n, 0}}}}, "a"),
				made(span, metric.Series{Start: start, More: &metric.More{Histogram: nativeOf(n)}}, "a"),
				made(size, metric.Series{Start: start, More: &metric.More{Summary: &metric.SummaryValue{Count: n, Quantiles: []float64{9}}}}, "a"))
			r.tick()
		}
		at := time.Now().Add(-time.Minute)
		s.want(r.TB, at, `increase(calls_total[5m])`, 5)
		s.want(r.TB, at, `increase(took_count[5m])`, 5)
		s.want(r.TB, at, `increase(took_bucket{le="1.0"}[5m])`, 5)
		s.want(r.TB, at, `histogram_count(increase(span[5m]))`, 11)
		s.want(r.TB, at, `increase(size_count[5m])`, 5)
		s.want(r.TB, at, `count_over_time(size{quantile="0.5"}[5m])`, 2) // a quantile was never zero
		s.want(r.TB, at, `count_over_time(calls_total[5m])`, 3)
		r.drops(sinks.Refused, 0)
	})
}

// A reload makes all pointers new, also those of descriptions; the series go on.
func TestReloadChangesNothing(t *testing.T) {
	inBoth(t, nil, func(r *rig, s *server) {
		r.tick()
		for i := range 4 {
			r.write("j", counter("calls_total", float64(i+1), r.began, "a", "b"), gauge("x", 1, "a"))
			r.tick()
		}
		at := time.Now().Add(-time.Minute)
		s.want(r.TB, at, `count_over_time(calls_total{room="a"}[10m])`, 5) // one zero
		s.want(r.TB, at, `count_over_time(x[10m])`, 4)                     // no marker
		r.drops(sinks.Refused, 0)
		r.drops(sinks.NotNewer, 0)
		if n := len(r.sink.series.live); n != 3 {
			r.Errorf("%d series are remembered, want 3", n)
		}
	})
}

func TestPrometheusOfOneProtocol(t *testing.T) {
	for _, only := range []remoteapi.WriteMessageType{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType} {
		s := newServer(t, only)
		receiving(t, s, nil, func(r *rig) {
			r.write("j", gauge("x", 4, "a"))
			r.tick()
			s.want(r.TB, time.Now(), `x`, 4)
			if err := r.sink.Check(context.Background()); err != nil {
				r.Errorf("Check: %v", err)
			}
			r.logged("does not take remote-write 2.0", map[bool]int{true: 1}[only == remoteapi.WriteV1MessageType])
			r.drops(sinks.Refused, 0)
		})
	}
}

// A zero that a receiver cannot take costs nothing else, though Prometheus refuses all of a 1.0 request for it.
func TestRefusedZeroCostsNothingElse(t *testing.T) {
	for _, p := range []Protocol{Protocol1, Protocol2} {
		s := newServer(t)
		receiving(t, s, func(c *Config, _ *sinks.Env) { c.Protocol = p }, func(r *rig) {
			r.write("j", counter("calls_total", 1, r.began.Add(-time.Hour), "a"))
			r.tick()
			// As after a restart: a new process knows nothing of what the one before has sent.
			r.sink.series = newRegistry(r.began)
			r.sink.packer = newPacker(r.sink.series.table, 1, 5000, &r.sink.sender.limit)
			r.sink.jobs = map[string]*job{}
			r.write("j", counter("calls_total", 3, r.began, "a"), gauge("x", 1, "a"))
			r.tick()
			s.want(r.TB, time.Now(), `calls_total`, 3)
			s.want(r.TB, time.Now(), `x`, 1)
			r.drops(sinks.Refused, 1)
		})
	}
}

// TestASumOfNaNIsNoMarker holds that a native histogram whose sum is any NaN, the bits of Prometheus' staleness marker
// among them, is stored as a histogram.
func TestASumOfNaNIsNoMarker(t *testing.T) {
	inBoth(t, nil, func(r *rig, s *server) {
		span := &metric.Desc{Name: "span", Type: metric.Histogram, Native: true}
		h := &metric.HistogramValue{
			Count: 3, Sum: stale(),
			Native: &metric.NativeBuckets{ZeroThreshold: 1e-9, Positive: []metric.NativeBucket{{Index: 1, Count: 3}}},
		}
		r.write("j", metric.Family{Desc: span, Series: []metric.Series{{Labels: span.LabelSet(nil), More: &metric.More{Histogram: h}}}})
		r.tick()
		s.want(t, time.Now(), "histogram_count(span)", 3)
	})
}
