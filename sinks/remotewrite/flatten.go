package remotewrite

import (
	"math"
	"strconv"
	"strings"

	"github.com/collectington/collectington/agent/metric"
)

// A family's series is pushed as these parts:
//
//	gauge, counter, unknown   NAME
//	histogram                 NAME_bucket{le}… with +Inf last, NAME_sum, NAME_count
//	histogram with native     NAME
//	summary                   NAME{quantile}…, NAME_sum, NAME_count
//
// A histogram that has native buckets is pushed as a native histogram alone, though it may have classic buckets too: so
// does Prometheus store what it scrapes, unless always_scrape_classic_histograms is set, and both would be double the cost.

// partsOf is how many series a family's series is pushed as. One without a value is none.
func partsOf(d *metric.Desc, s *metric.Series) int {
	switch {
	case isHistogram(d) && s.Histogram() == nil, d.Type == metric.Summary && s.Summary() == nil:
		return 0
	case s.Histogram() != nil && s.Histogram().Native != nil:
		return 1
	case isHistogram(d):
		return len(d.Buckets) + 3
	case d.Type == metric.Summary:
		return len(d.Quantiles) + 2
	}
	return 1
}

func isHistogram(d *metric.Desc) bool {
	return d.Type == metric.Histogram || d.Type == metric.GaugeHistogram
}

// part is what one of n parts is called, and the label that tells it from its like ("" = none).
func part(d *metric.Desc, i, n int) (name string, own metric.Label) {
	switch {
	case n == 1:
		return d.Name, own
	case i == n-2:
		return d.Name + "_sum", own
	case i == n-1:
		return d.Name + "_count", own
	case d.Type == metric.Summary:
		return d.Name, metric.Label{Name: "quantile", Value: bound(d.Quantiles[i])}
	case i == len(d.Buckets):
		return d.Name + "_bucket", metric.Label{Name: "le", Value: "+Inf"}
	}
	return d.Name + "_bucket", metric.Label{Name: "le", Value: bound(d.Buckets[i])}
}

// bound is a bound as Prometheus stores it since 3.0, whatever the target wrote: 1 is "1.0".
func bound(f float64) string {
	text := strconv.FormatFloat(f+0, 'g', -1, 64) // -0 is 0
	if math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(text, "e.") {
		return text
	}
	return text + ".0"
}

// accumulates tells whether a part is a running total. A quantile is not.
func accumulates(d *metric.Desc, i int) bool {
	switch d.Type {
	case metric.Counter, metric.Histogram:
		return true
	case metric.Summary:
		return i >= len(d.Quantiles)
	}
	return false
}

// appendValues appends the value of each part; a native histogram has it in s.Histogram.
func appendValues(dst []float64, d *metric.Desc, s *metric.Series) []float64 {
	switch {
	case partsOf(d, s) == 0:
		return dst
	case s.Histogram() != nil && s.Histogram().Native != nil:
		return append(dst, 0)
	case isHistogram(d):
		h, below := s.Histogram(), uint64(0)
		for i := range d.Buckets {
			if i < len(h.Counts) {
				below += h.Counts[i]
			}
			dst = append(dst, float64(below))
		}
		return append(dst, float64(h.Count), number(h.Sum), float64(h.Count))
	case d.Type == metric.Summary:
		for i := range d.Quantiles {
			q := math.NaN()
			if i < len(s.Summary().Quantiles) {
				q = number(s.Summary().Quantiles[i])
			}
			dst = append(dst, q)
		}
		return append(dst, number(s.Summary().Sum), float64(s.Summary().Count))
	}
	return append(dst, number(s.Value))
}
