package expose

import (
	"fmt"
	"strings"
	"testing"

	"github.com/collectington/collectington/agent/metric"
)

// totals returns a family of each type, one of them with more series than a chunk.
func totals() []metric.Family {
	const began = 1_700_000_000_500
	counter := metric.Family{Desc: &metric.Desc{Name: "calls_total", Help: "Calls.", Type: metric.Counter, LabelNames: []string{"n"}}}
	for i := range chunk + 2 {
		labels := metric.NewLabelSet(metric.Labels{{Name: "n", Value: fmt.Sprint(i)}})
		counter.Series = append(counter.Series, metric.Series{Labels: labels, Value: 1, Start: began})
	}
	none := &metric.LabelSet{}
	return []metric.Family{
		counter,
		{Desc: &metric.Desc{Name: "depth", Type: metric.Gauge}, Series: []metric.Series{{Labels: none, Value: 3}}},
		{
			Desc:   &metric.Desc{Name: "size", Type: metric.Histogram, Buckets: []float64{1}},
			Series: []metric.Series{{Labels: none, Start: began, More: &metric.More{Histogram: &metric.HistogramValue{Count: 1, Sum: 2, Counts: []uint64{0, 1}}}}},
		},
		{
			Desc:   &metric.Desc{Name: "wait", Type: metric.Summary},
			Series: []metric.Series{{Labels: none, Start: began, More: &metric.More{Summary: &metric.SummaryValue{Count: 1, Sum: 2}}}},
		},
	}
}

// TestCreatedSeries checks that created_series adds start timestamps to text and OpenMetrics.
func TestCreatedSeries(t *testing.T) {
	settings := *defaults()
	settings.CreatedSeries = true
	b := open(t, settings)
	b.write(t, "a", totals()...)
	for format, accept := range accepts() {
		if strings.Contains(format, "protobuf") {
			continue // protobuf has a field for the start timestamp
		}
		for _, zipped := range []bool{false, true} {
			got := parse(t, b.scrape(t, accept, zipped), format)
			want := map[string]float64{
				`{__name__="calls_created", n="0"}`:                        1700000000.5,
				fmt.Sprintf(`{__name__="calls_created", n="%d"}`, chunk+1): 1700000000.5,
				`{__name__="size_created"}`:                                1700000000.5,
				`{__name__="wait_created"}`:                                1700000000.5,
				fmt.Sprintf(`{__name__="calls_total", n="%d"}`, chunk+1):   1,
				`{__name__="depth"}`:                                       3,
			}
			created := 0
			for series, value := range got.Values {
				if strings.Contains(series, "_created") {
					created++
				}
				if w, known := want[series]; known && value != w {
					t.Errorf("%s: %s is %v, want %v", format, series, value, w)
				}
				delete(want, series)
			}
			if len(want) > 0 || created != chunk+4 {
				t.Errorf("%s: %d created series, want %d; missing: %v", format, created, chunk+4, want)
			}
		}
	}
}

// TestNoCreatedSeries checks that there are no _created series by default.
func TestNoCreatedSeries(t *testing.T) {
	b := open(t, *defaults())
	b.write(t, "a", totals()...)
	for _, accept := range accepts() {
		if page := b.scrape(t, accept, false); strings.Contains(page, "_created") {
			t.Errorf("%s: the page has created series", accept)
		}
	}
}
