package wire_test

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/value"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// send sends a request to a receiver and returns its response.
func send(t *testing.T, to http.Handler, q wire.Request) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(snappy.Encode(nil, q.Raw)))
	r.Header.Set("Content-Encoding", "snappy")
	r.Header.Set("Content-Type", map[wire.Protocol]string{
		wire.V1: "application/x-protobuf", wire.V2: "application/x-protobuf;proto=io.prometheus.write.v2.Request",
	}[q.Protocol])
	w := httptest.NewRecorder()
	to.ServeHTTP(w, r)
	if w.Code/100 != 2 {
		t.Errorf("%s: %d %s", q.Protocol, w.Code, w.Body)
	}
	return w
}

// TestPrometheus checks that Prometheus stores the samples of requests that were built, rewritten and split.
func TestPrometheus(t *testing.T) {
	at := time.Now().Truncate(time.Second)
	table := wire.NewTable()
	series := func(kind metric.Type, name, team string) *wire.Series {
		return new(table.Series([]metric.Label{{Name: "__name__", Value: name}, {Name: "team", Value: team}},
			&metric.Desc{Name: name, Type: kind, Help: "Help.", Unit: "seconds"}))
	}
	temp, gone := series(metric.Gauge, "temp", "ü\n\"x\""), series(metric.Gauge, "gone", "a")
	calls, took := series(metric.Counter, "calls_total", "a"), series(metric.Histogram, "took", "a")
	native := &metric.HistogramValue{Count: 9, Sum: 12.5, Native: &metric.NativeBuckets{
		Schema: 3, ZeroThreshold: 1e-9, ZeroCount: 2,
		Positive: []metric.NativeBucket{{Index: -3, Count: 1}, {Index: -2, Count: 4}, {Index: 40, Count: 1}},
		Negative: []metric.NativeBucket{{Index: 2, Count: 1}},
	}}
	b := table.NewBuilder()
	build := func(p wire.Protocol) wire.Request {
		now, before := at.UnixMilli(), at.Add(-time.Minute).UnixMilli()
		b.Begin(p)
		b.Add(calls, before, 1, before-1)
		b.Add(calls, now, 4, before-1)
		b.Add(gone, before, 1, 0)
		b.Add(gone, now, math.Float64frombits(value.StaleNaN), 0)
		b.Add(temp, now, -1.5, 0)
		b.AddHistogram(took, now, native, before)
		b.AddMetadata(&metric.Desc{Name: "temp", Type: metric.Gauge})
		q := b.End()
		q.Raw = bytes.Clone(q.Raw)
		return q
	}
	want := map[string]float64{
		`{__name__="calls_total", team="a"}`: 4,
		`{__name__="temp", team="ü\n\"x\""}`: -1.5,
		`{__name__="took", team="a"}`:        9,
	}
	rewritten := func(p wire.Protocol) wire.Request {
		q, err := build(wire.V1+wire.V2-p).Rewrite(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	for _, p := range []wire.Protocol{wire.V1, wire.V2} {
		first, second, err := build(p).Split()
		if err != nil {
			t.Fatal(err)
		}
		for way, requests := range map[string][]wire.Request{"built": {build(p)}, "rewritten": {rewritten(p)}, "split": {first, second}} {
			receiver := peers.NewPrometheus(t)
			for _, q := range requests {
				w := send(t, receiver, q)
				if p == wire.V2 {
					wrote := w.Header().Get("X-Prometheus-Remote-Write-Samples-Written") + " and " +
						w.Header().Get("X-Prometheus-Remote-Write-Histograms-Written")
					if counted := countsOf(q); wrote != counted {
						t.Errorf("%s: Prometheus wrote %s, counted are %s", way, wrote, counted)
					}
				}
			}
			got := map[string]float64{}
			for _, s := range receiver.Vector(t, at, `{__name__!=""}`) {
				got[s.Metric.String()] = s.F
				if s.H != nil {
					got[s.Metric.String()] = s.H.Count
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s: Prometheus has other samples (-want +got):\n%s", p, way, diff)
			}
			for query, want := range map[string]float64{
				`histogram_sum(took)`: 12.5, `histogram_quantile(0.99, took)`: 31.2, `increase(calls_total[90s])`: 4,
			} {
				if v := receiver.Value(t, at, query); v < 0.9*want || v > 1.1*want {
					t.Errorf("%s, %s: %s is %v, want about %v", p, way, query, v, want)
				}
			}
		}
	}
}

func countsOf(q wire.Request) string {
	return fmt.Sprint(q.Counts.Samples, " and ", q.Counts.Histograms)
}
