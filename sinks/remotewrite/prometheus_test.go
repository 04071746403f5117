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
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// server is Prometheus, in this process.
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

// inEveryProtocol runs the function "test" with Prometheus once for each setting of the protocol.
func inEveryProtocol(t *testing.T, change func(*Config, *sinks.Env), test func(*rig, *server)) {
	for _, p := range []Protocol{Protocol1, Protocol2, Auto} {
		t.Run(p.String(), func(t *testing.T) {
			s := newServer(t)
			withReceiver(t, s, func(c *Config, env *sinks.Env) {
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
	inEveryProtocol(t, func(_ *Config, env *sinks.Env) { env.External = external }, func(r *rig, s *server) {
		took := &metric.Desc{Name: "took_seconds", Type: metric.Histogram, Buckets: []float64{0.5, 1, 1e9}, LabelNames: []string{"room"}}
		size := &metric.Desc{Name: "size", Type: metric.Summary, Quantiles: []float64{0.5, 1}}
		span := &metric.Desc{Name: "span", Type: metric.Histogram, Native: true, Buckets: []float64{1}}
		bare := &metric.Desc{Name: "bare", Type: metric.Unknown, LabelNames: []string{"job", "__name__"}}
		r.write("oncall",
			gauge("temp", math.Inf(-1), "a"),
			counter("calls_total", 7, time.Time{}, "a", "b"),
			familyOf(took, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Count: 6, Sum: 4.5, Counts: []uint64{1, 2, 0, 3}}}}, "a"),
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
		r.wantDropped(sinks.Refused, 0)
	})
}

func TestSeriesEndsAtOnce(t *testing.T) {
	inEveryProtocol(t, nil, func(r *rig, s *server) {
		span := &metric.Desc{Name: "span", Type: metric.Histogram, Native: true}
		native := metric.Family{Desc: span, Series: []metric.Series{{Labels: span.LabelSet(nil), More: &metric.More{Histogram: nativeOf(3)}}}}
		took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1}, LabelNames: []string{"room"}}
		classic := familyOf(took, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Count: 2, Sum: 2, Counts: []uint64{1, 1}}}}, "a")
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
		if jobs := r.sink.encoder.Jobs(); len(jobs) != 0 {
			r.Errorf("jobs %v are remembered", jobs)
		}
		// The series x comes back. Its new sample is later than its staleness marker.
		r.write("j", gauge("x", 5, "a"))
		r.tick()
		s.want(r.TB, time.Now(), `sum(x)`, 5)
		r.wantDropped(sinks.Refused, 0)
	})
}

func TestFirstIncrementCounts(t *testing.T) {
	inEveryProtocol(t, nil, func(r *rig, s *server) {
		took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1}, LabelNames: []string{"room"}}
		span := &metric.Desc{Name: "span", Type: metric.Histogram, Native: true, LabelNames: []string{"room"}}
		size := &metric.Desc{Name: "size", Type: metric.Summary, Quantiles: []float64{0.5}, LabelNames: []string{"room"}}
		r.tick()
		for _, n := range []uint64{3, 5} {
			start := r.began.UnixMilli()
			r.write("j", counter("calls_total", float64(n), r.began, "a"),
				familyOf(took, metric.Series{Start: start, More: &metric.More{Histogram: &metric.HistogramValue{Count: n, Sum: 1, Counts: []uint64{n, 0}}}}, "a"),
				familyOf(span, metric.Series{Start: start, More: &metric.More{Histogram: nativeOf(n)}}, "a"),
				familyOf(size, metric.Series{Start: start, More: &metric.More{Summary: &metric.SummaryValue{Count: n, Quantiles: []float64{9}}}}, "a"))
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
		r.wantDropped(sinks.Refused, 0)
	})
}

// TestReloadChangesNothing checks that the series continue after a reload, which replaces descriptions and label sets.
func TestReloadChangesNothing(t *testing.T) {
	inEveryProtocol(t, nil, func(r *rig, s *server) {
		r.tick()
		for i := range 4 {
			r.write("j", counter("calls_total", float64(i+1), r.began, "a", "b"), gauge("x", 1, "a"))
			r.tick()
		}
		at := time.Now().Add(-time.Minute)
		s.want(r.TB, at, `count_over_time(calls_total{room="a"}[10m])`, 5) // one zero
		s.want(r.TB, at, `count_over_time(x[10m])`, 4)                     // no marker
		r.wantDropped(sinks.Refused, 0)
		r.wantDropped(sinks.NotNewer, 0)
	})
}

func TestPrometheusOfOneProtocol(t *testing.T) {
	for _, only := range []remoteapi.WriteMessageType{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType} {
		s := newServer(t, only)
		withReceiver(t, s, nil, func(r *rig) {
			r.write("j", gauge("x", 4, "a"))
			r.tick()
			s.want(r.TB, time.Now(), `x`, 4)
			if err := r.sink.Check(context.Background()); err != nil {
				r.Errorf("Check: %v", err)
			}
			r.wantLogged("does not accept remote-write 2.0", map[bool]int{true: 1}[only == remoteapi.WriteV1MessageType])
			r.wantDropped(sinks.Refused, 0)
		})
	}
}

// TestRejectedZero checks a zero that Prometheus rejects. The zero is the only sample that is lost, although in 1.0 Prometheus rejects the
// whole request.
func TestRejectedZero(t *testing.T) {
	for _, p := range []Protocol{Protocol1, Protocol2} {
		s := newServer(t)
		withReceiver(t, s, func(c *Config, _ *sinks.Env) { c.Protocol = p }, func(r *rig) {
			r.write("j", counter("calls_total", 1, r.began.Add(-time.Hour), "a"))
			r.tick()
			// As after a restart: a new process does not know what was sent.
			r.sink.encoder = newEncoder(r.config, r.sink.env, nil, r.began)
			r.write("j", counter("calls_total", 3, r.began, "a"), gauge("x", 1, "a"))
			r.tick()
			s.want(r.TB, time.Now(), `calls_total`, 3)
			s.want(r.TB, time.Now(), `x`, 1)
			r.wantDropped(sinks.Refused, 1)
		})
	}
}

// TestSumOfNaNIsNoMarker checks that a native histogram whose sum has the bits of a staleness marker is stored as a histogram.
func TestSumOfNaNIsNoMarker(t *testing.T) {
	inEveryProtocol(t, nil, func(r *rig, s *server) {
		span := &metric.Desc{Name: "span", Type: metric.Histogram, Native: true}
		h := &metric.HistogramValue{
			Count: 3, Sum: staleNaN(),
			Native: &metric.NativeBuckets{ZeroThreshold: 1e-9, Positive: []metric.NativeBucket{{Index: 1, Count: 3}}},
		}
		r.write("j", metric.Family{Desc: span, Series: []metric.Series{{Labels: span.LabelSet(nil), More: &metric.More{Histogram: h}}}})
		r.tick()
		s.want(t, time.Now(), "histogram_count(span)", 3)
	})
}

func TestBounds(t *testing.T) {
	change := func(c *Config, _ *sinks.Env) { c.MaxSampleAge = setting.Duration(time.Hour) }
	inEveryProtocol(t, change, func(r *rig, s *server) {
		family := gauge("temp", 20, "a")
		now := time.Now()
		for i, at := range []time.Duration{-time.Hour, -time.Hour - time.Millisecond, 10 * time.Minute, 10*time.Minute + time.Millisecond} {
			one := gauge("temp", float64(i), string(rune('b'+i))).Series[0]
			one.Time = now.Add(at).UnixMilli()
			family.Series = append(family.Series, one)
		}
		r.write("rooms", family)
		r.tick()
		s.want(t, now.Add(11*time.Minute), "count(count_over_time(temp[2h]))", 3)
		r.wantDropped(metric.Future, 1)
		r.wantDropped(sinks.Past, 1)
	})
}

func TestStaleOnExit(t *testing.T) {
	for _, stale := range []bool{false, true} {
		change := func(c *Config, _ *sinks.Env) { c.StaleOnExit = stale }
		inEveryProtocol(t, change, func(r *rig, s *server) {
			r.write("rooms", gauge("temp", 20, "a"))
			r.tick()
			r.stop()
			want := 20.0
			if stale {
				want = gone
			}
			s.want(t, time.Now().Add(time.Second), "temp", want)
		})
	}
}

// TestExemplarsAreSentOnce checks that the receiver gets each exemplar once, in its series.
func TestExemplarsAreSentOnce(t *testing.T) {
	inEveryProtocol(t, nil, func(r *rig, s *server) {
		trace := func(id string, value float64, at int64) metric.Exemplar {
			return metric.Exemplar{Labels: []metric.Label{{Name: "trace_id", Value: id}}, Value: value, Time: at}
		}
		began := time.Now()
		at := began.UnixMilli()
		calls := counter("calls_total", 7, began.Add(-time.Hour), "a")
		calls.Series[0].More = &metric.More{Exemplars: []metric.Exemplar{trace("one", 1, 0)}}
		took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1, 2}, LabelNames: []string{"room"}}
		lasted := familyOf(took, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Count: 3, Sum: 4.5, Counts: []uint64{1, 1, 1}}}}, "a")
		lasted.Series[0].More.Exemplars = []metric.Exemplar{trace("low", 1, at), trace("high", 9, at+1)}
		span := familyOf(&metric.Desc{Name: "span", Type: metric.Histogram, Native: true, LabelNames: []string{"room"}},
			metric.Series{More: &metric.More{Histogram: nativeOf(1, 2), Exemplars: []metric.Exemplar{trace("first", 1, at), trace("second", 2, at+1)}}}, "a")
		plain := gauge("temp", 1, "a")
		plain.Series[0].More = &metric.More{Exemplars: []metric.Exemplar{trace("warm", 1, 0)}}
		for range 3 {
			r.write("shop", calls, lasted, span, plain)
			r.tick()
		}
		later := counter("calls_total", 8, began.Add(-time.Hour), "a")
		later.Series[0].More = &metric.More{Exemplars: []metric.Exemplar{trace("two", 2, time.Now().UnixMilli())}}
		r.write("shop", later)
		r.tick()
		want := map[string][]string{
			"calls_total": {"one", "two"}, `took_bucket{le="1.0"}`: {"low"}, `took_bucket{le="2.0"}`: nil, `took_bucket{le="+Inf"}`: {"high"},
			"span": {"first", "second"}, "temp": {"warm"},
		}
		got := map[string][]string{}
		for series := range want {
			for _, e := range s.Exemplars(t, series) {
				got[series] = append(got[series], e.Labels.Get("trace_id"))
			}
			if want[series] == nil || series == "span" && r.config.Protocol == Protocol1 {
				// In 1.0, Prometheus may lose exemplars of a native histogram, since it appends the exemplars before it creates the series.
				delete(want, series)
				delete(got, series)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("- wanted, + got:\n%s", diff)
		}
		if n := len(r.stats.Dropped()); n > 0 {
			t.Errorf("samples are dropped: %v", r.stats.Dropped())
		}
	})
}

// writeEvery writes a batch of a job with this interval.
func (r *rig) writeEvery(every time.Duration, families ...metric.Family) {
	r.Helper()
	b := metric.Batch{Job: "slow", Time: time.Now(), Every: every, Families: families}
	if err := r.sink.Write(context.Background(), b); err != nil {
		r.Fatalf("Write: %v", err)
	}
}

func TestSlowJobHasNoGaps(t *testing.T) {
	inEveryProtocol(t, nil, func(r *rig, s *server) {
		began := time.Now()
		calls := counter("calls_total", 7, began.Add(-time.Hour), "a")
		own := gauge("measured", 3, "a")
		own.Series[0].Time = time.Now().Add(-time.Minute).UnixMilli()
		r.writeEvery(time.Hour, gauge("temp", 20, "a"), calls, own)
		for range 59 {
			r.tick()
		}
		for _, minute := range []int{0, 4, 6, 30, 59} {
			at := began.Add(time.Duration(minute)*time.Minute + time.Second)
			s.want(t, at, "temp", 20)
			s.want(t, at, "calls_total", 7)
		}
		s.want(t, began.Add(6*time.Minute), "measured", gone)
		s.want(t, began.Add(30*time.Minute), "count_over_time(temp[30m])", 30)
		r.writeEvery(time.Hour, gauge("temp", 21, "a"), calls)
		r.tick()
		s.want(t, time.Now(), "temp", 21)
		r.writeEvery(time.Hour) // the job's end
		r.tick()
		s.want(t, time.Now(), "temp", gone)
		for range 10 {
			r.tick()
		}
		s.want(t, time.Now(), "count_over_time(temp[9m])", gone)
		for reason, n := range r.stats.Dropped() {
			t.Errorf("%d samples are dropped as %s", n, reason)
		}
	})
}

func TestFastJobIsSentOnce(t *testing.T) {
	inEveryProtocol(t, nil, func(r *rig, s *server) {
		r.writeEvery(4*time.Minute, gauge("temp", 20, "a"))
		for range 4 {
			r.tick()
		}
		s.want(t, time.Now(), "count_over_time(temp[10m])", 1)
	})
}

func TestRunThatEndsAfterAResend(t *testing.T) {
	inEveryProtocol(t, nil, func(r *rig, s *server) {
		r.writeEvery(5*time.Minute, gauge("temp", 20, "a"))
		for range 5 {
			r.tick()
		}
		// The run starts before the last resend, and writes its batch after this resend.
		late := metric.Batch{Job: "slow", Time: time.Now().Add(-30 * time.Second), Every: 5 * time.Minute, Families: []metric.Family{gauge("temp", 21, "a")}}
		if err := r.sink.Write(context.Background(), late); err != nil {
			t.Fatal(err)
		}
		r.tick()
		s.want(t, time.Now(), "temp", 21)
		if n := len(r.stats.Dropped()); n > 0 {
			t.Errorf("samples are dropped: %v", r.stats.Dropped())
		}
	})
}
