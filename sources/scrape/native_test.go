package scrape

import (
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	"github.com/collectington/collectington/agent/metric"
)

// TestAllNativeHistogramsArrive holds that each form of native histogram reaches a real Prometheus as what it is.
func TestAllNativeHistogramsArrive(t *testing.T) {
	floats := wholeHistogram()
	floats.SampleSum = proto.Float64(7.5)
	floats.SampleCountFloat, floats.ZeroCountFloat = proto.Float64(9.5), proto.Float64(1.5)
	floats.PositiveDelta, floats.PositiveCount = nil, []float64{2, 3.25, 2.75}
	gauge, less := wholeHistogram(), wholeHistogram()
	less.SampleCount, less.PositiveDelta = proto.Uint64(6), []int64{2, -1, 1}
	p := newStored(t)
	s, e := onePage(t, "")
	for _, h := range []*dto.Histogram{gauge, less} {
		e.show(string(expfmt.FmtProtoDelim), protoPage(t,
			nativeFamily("floats", dto.MetricType_HISTOGRAM, floats),
			nativeFamily("waiting", dto.MetricType_GAUGE_HISTOGRAM, h),
		))
		got := collect(t, s)
		if got.problem() != "" || len(got.Drops) > 0 {
			t.Fatal(got.problem(), got.Drops)
		}
		p.write(got)
	}
	for query, want := range map[string]float64{
		"histogram_count(floats)":  9.5,
		"histogram_sum(floats)":    7.5,
		"histogram_count(waiting)": 6,
		// A gauge's counts fall without a reset: a sum over time takes them as they are, and a rate makes no sense.
		"histogram_count(sum_over_time(waiting[1h]))": 15,
	} {
		if v := p.Value(t, p.at, query); v != want {
			t.Errorf("%s is %v, want %v", query, v, want)
		}
	}
}

// TestClassicHistogramsBecomeNative holds that convert_classic_histograms_to_nhcb sends one series with the same bounds.
func TestClassicHistogramsBecomeNative(t *testing.T) {
	const page = `# TYPE took_seconds histogram
took_seconds_bucket{le="1"} 2
took_seconds_bucket{le="2.5"} 2
took_seconds_bucket{le="+Inf"} 5
took_seconds_sum 20
took_seconds_count 5
# TYPE only_seconds histogram
only_seconds_bucket{le="+Inf"} 3
only_seconds_sum 1
only_seconds_count 3
`
	e := newExporter(t, page)
	s := sourceOf(t, func(c *Config) { c.Targets, c.ClassicToNHCB = addresses(t, e.URL), true })
	got := collect(t, s)
	if h := got.family("took_seconds").Series[0].Histogram(); len(h.Counts) != 3 || h.Native == nil || h.Native.Schema != metric.CustomBounds {
		t.Fatalf("took_seconds is %+v", h)
	}
	p := newStored(t)
	p.write(got)
	for query, want := range map[string]float64{
		"histogram_count(took_seconds)":          5,
		"histogram_sum(took_seconds)":            20,
		"histogram_fraction(0, 1, took_seconds)": 0.4,
		"histogram_quantile(0.9, took_seconds)":  2.5, // the highest bound
		"histogram_count(only_seconds)":          3,
		`count({__name__=~".*_(bucket|count)"})`: 0,
	} {
		if v := p.Query(t, p.at, query); want == 0 && len(v) > 0 || want != 0 && p.Value(t, p.at, query) != want {
			t.Errorf("%s is %v, want %v", query, v, want)
		}
	}
}
