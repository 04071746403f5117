package scrape

import (
	"testing"

	"github.com/collectington/collectington/agent/metric"
)

// TestClassicHistogramsBecomeNative checks that convert_classic_histograms_to_nhcb adds native buckets with the same bounds.
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
}
