package encode

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/collectington/collectington/agent/metric"
)

// A series of a family is sent as these parts, each of which is a series for the receiver:
//
//	gauge, counter, unknown   NAME
//	histogram                 NAME_bucket{le}… with +Inf last, NAME_sum, NAME_count
//	native histogram          NAME
//	summary                   NAME{quantile}…, NAME_sum, NAME_count
//
// A histogram with native buckets is sent only as a native histogram, even if it also has classic buckets. With Desc.KeepClassic it is sent
// as both: the native histogram follows the classic parts.

// partsOf returns the number of parts of a family's series. It is 0 for a histogram or summary without a value.
func partsOf(d *metric.Desc, s *metric.Series) int {
	switch {
	case isHistogram(d) && s.Histogram() == nil, d.Type == metric.Summary && s.Summary() == nil:
		return 0
	case s.Histogram() != nil && s.Histogram().Native != nil:
		if keepsClassic(d, s.Histogram()) {
			return classicParts(d) + 1
		}
		return 1
	case isHistogram(d):
		return classicParts(d)
	case d.Type == metric.Summary:
		return len(d.Quantiles) + 2
	}
	return 1
}

// classicParts returns the number of parts of a classic histogram: the buckets, including +Inf, the sum and the count.
func classicParts(d *metric.Desc) int { return len(d.Buckets) + 3 }

// keepsClassic reports whether a native histogram is also sent as a classic one.
func keepsClassic(d *metric.Desc, h *metric.HistogramValue) bool {
	return d.KeepClassic && h.Counts != nil
}

// isNative reports whether part i of a family's series is a native histogram.
func isNative(d *metric.Desc, s *metric.Series, i int) bool {
	h := s.Histogram()
	return h != nil && h.Native != nil && (!keepsClassic(d, h) || i == classicParts(d))
}

func isHistogram(d *metric.Desc) bool {
	return d.Type == metric.Histogram || d.Type == metric.GaugeHistogram
}

// part returns the name of part i of n parts, and the le or quantile label of the part, if any.
func part(d *metric.Desc, i, n int) (name string, own metric.Label) {
	if isHistogram(d) && n > classicParts(d) {
		n-- // the native histogram is the last
	}
	switch {
	case n == 1 || i == n:
		return d.Name, own
	case i == n-2:
		return d.Name + "_sum", own
	case i == n-1:
		return d.Name + "_count", own
	case d.Type == metric.Summary:
		return d.Name, metric.Label{Name: "quantile", Value: formatBound(d.Quantiles[i])}
	case i == len(d.Buckets):
		return d.Name + "_bucket", metric.Label{Name: "le", Value: "+Inf"}
	}
	return d.Name + "_bucket", metric.Label{Name: "le", Value: formatBound(d.Buckets[i])}
}

// formatBound formats a bound as Prometheus 3 stores it: 1 becomes "1.0".
func formatBound(f float64) string {
	text := strconv.FormatFloat(f+0, 'g', -1, 64) // adding 0 turns -0 into 0
	if math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(text, "e.") {
		return text
	}
	return text + ".0"
}

// isCumulative reports whether the value of part i is a running total. A quantile is not a running total.
func isCumulative(d *metric.Desc, i int) bool {
	switch d.Type {
	case metric.Counter, metric.Histogram:
		return true
	case metric.Summary:
		return i >= len(d.Quantiles)
	}
	return false
}

// appendValues appends the value of each part. For a native histogram it appends 0, since the histogram itself is not in this list.
func appendValues(dst []float64, d *metric.Desc, s *metric.Series) []float64 {
	switch {
	case partsOf(d, s) == 0:
		return dst
	case isNative(d, s, 0):
		return append(dst, 0)
	case isHistogram(d):
		h, cumulative := s.Histogram(), uint64(0)
		for i := range d.Buckets {
			if i < len(h.Counts) {
				cumulative += h.Counts[i]
			}
			dst = append(dst, float64(cumulative))
		}
		dst = append(dst, float64(h.Count), normalNaN(h.Sum), float64(h.Count))
		if h.Native != nil {
			dst = append(dst, 0)
		}
		return dst
	case d.Type == metric.Summary:
		for i := range d.Quantiles {
			q := math.NaN()
			if i < len(s.Summary().Quantiles) {
				q = normalNaN(s.Summary().Quantiles[i])
			}
			dst = append(dst, q)
		}
		return append(dst, normalNaN(s.Summary().Sum), float64(s.Summary().Count))
	}
	return append(dst, normalNaN(s.Value))
}

// normalNaN returns v unless it is a NaN. For any NaN it returns the usual NaN, since a NaN with certain bits would be read as a staleness
// marker.
func normalNaN(v float64) float64 {
	if math.IsNaN(v) {
		return math.NaN()
	}
	return v
}

// normalHistogram returns h. If the sum of h is a NaN, the sum of the result is the usual NaN, which is not a staleness marker.
func normalHistogram(h *metric.HistogramValue) *metric.HistogramValue {
	if !math.IsNaN(h.Sum) {
		return h
	}
	normal := *h
	normal.Sum = math.NaN()
	return &normal
}

// exemplarsOf returns the exemplars of part i of a family's series. As in Prometheus, exemplars of a native histogram are left out if they
// have no timestamp.
func exemplarsOf(d *metric.Desc, s *metric.Series, i int) []metric.Exemplar {
	all := s.Exemplars()
	if isNative(d, s, i) {
		hasOwn := slices.ContainsFunc(all, func(e metric.Exemplar) bool { return e.Sample == 0 }) // if not, exemplars of buckets are used
		unfit := func(e metric.Exemplar) bool { return e.Time == 0 || hasOwn && e.Sample != 0 }
		if !slices.ContainsFunc(all, unfit) {
			return all
		}
		return slices.DeleteFunc(slices.Clone(all), unfit)
	}
	if !isHistogram(d) && d.Type != metric.Summary {
		return all
	}
	var own []metric.Exemplar
	for _, e := range all {
		sample := e.Sample
		if sample == 0 && d.Type == metric.Histogram && s.Histogram().Native == nil {
			sample = e.Bucket(d.Buckets) + 1
		}
		if sample == i+1 {
			own = append(own, e)
		}
	}
	return own
}
