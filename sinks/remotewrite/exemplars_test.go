package remotewrite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent/metric"
)

// TestExemplarsAreToldOnce holds that a receiver gets each exemplar, with the series that it belongs to, and gets it once.
func TestExemplarsAreToldOnce(t *testing.T) {
	inBoth(t, nil, func(r *rig, s *server) {
		trace := func(id string, value float64, at int64) metric.Exemplar {
			return metric.Exemplar{Labels: []metric.Label{{Name: "trace_id", Value: id}}, Value: value, Time: at}
		}
		began := time.Now()
		at := began.UnixMilli()
		calls := counter("calls_total", 7, began.Add(-time.Hour), "a")
		calls.Series[0].More = &metric.More{Exemplars: []metric.Exemplar{trace("one", 1, 0)}}
		took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1, 2}, LabelNames: []string{"room"}}
		lasted := made(took, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Count: 3, Sum: 4.5, Counts: []uint64{1, 1, 1}}}}, "a")
		lasted.Series[0].More.Exemplars = []metric.Exemplar{trace("low", 1, at), trace("high", 9, at+1)}
		span := made(&metric.Desc{Name: "span", Type: metric.Histogram, Native: true, LabelNames: []string{"room"}},
			metric.Series{More: &metric.More{Histogram: nativeOf(1, 2), Exemplars: []metric.Exemplar{trace("first", 1, at), trace("second", 2, at+1)}}}, "a")
		plain := gauge("temp", 1, "a")
		plain.Series[0].More = &metric.More{Exemplars: []metric.Exemplar{trace("never", 1, 0)}} // a gauge has none
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
			"span": {"first", "second"}, "temp": nil,
		}
		got := map[string][]string{}
		for series := range want {
			for _, e := range s.Exemplars(t, series) {
				got[series] = append(got[series], e.Labels.Get("trace_id"))
			}
			if want[series] == nil || series == "span" && r.sink.sender.dialect.want == Protocol1 {
				// Prometheus' receiver of 1.0 looks at exemplars before it knows a new native histogram.
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
