// Package native converts native histograms of Prometheus to the agent's native histograms.
package native

import (
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
)

// Value converts a native histogram. It converts h, which has integer counts. If h is nil, it converts the argument "floats", which has
// float counts. The error says why Prometheus does not accept the histogram.
func Value(h *histogram.Histogram, floats *histogram.FloatHistogram) (*metric.HistogramValue, error) {
	if h == nil {
		return floatValue(floats)
	}
	if err := h.Validate(); err != nil {
		return nil, errors.New(text.Cut(text.OneLine(err.Error()), 200))
	}
	n := &metric.NativeBuckets{
		Schema: h.Schema, Bounds: h.CustomValues, ZeroThreshold: h.ZeroThreshold, ZeroCount: h.ZeroCount,
		Gauge: h.CounterResetHint == histogram.GaugeType,
	}
	buckets := func(spans []histogram.Span, deltas []int64) []metric.NativeBucket {
		total := int64(0)
		return bucketsOf(spans, len(deltas), func(i int) uint64 {
			total += deltas[i]
			return uint64(total)
		})
	}
	n.Positive, n.Negative = buckets(h.PositiveSpans, h.PositiveBuckets), buckets(h.NegativeSpans, h.NegativeBuckets)
	return &metric.HistogramValue{Count: h.Count, Sum: h.Sum, Native: n}, nil
}

func floatValue(h *histogram.FloatHistogram) (*metric.HistogramValue, error) {
	if err := h.Validate(); err != nil {
		return nil, errors.New(text.Cut(text.OneLine(err.Error()), 200))
	}
	n := &metric.NativeBuckets{
		Schema: h.Schema, Bounds: h.CustomValues, ZeroThreshold: h.ZeroThreshold, ZeroCount: math.Float64bits(h.ZeroCount),
		Gauge: h.CounterResetHint == histogram.GaugeType, Fractions: true,
	}
	buckets := func(spans []histogram.Span, counts []float64) []metric.NativeBucket {
		return bucketsOf(spans, len(counts), func(i int) uint64 { return math.Float64bits(counts[i]) })
	}
	n.Positive, n.Negative = buckets(h.PositiveSpans, h.PositiveBuckets), buckets(h.NegativeSpans, h.NegativeBuckets)
	return &metric.HistogramValue{Count: math.Float64bits(h.Count), Sum: h.Sum, Native: n}, nil
}

// bucketsOf returns those buckets in the spans whose count is not zero. The spans have n buckets together; count(i) returns the count of
// bucket i.
func bucketsOf(spans []histogram.Span, n int, count func(i int) uint64) []metric.NativeBucket {
	all := make([]metric.NativeBucket, 0, n)
	index, next := int32(0), 0
	for _, s := range spans {
		index += s.Offset
		for range s.Length {
			if c := count(next); c > 0 {
				all = append(all, metric.NativeBucket{Index: index, Count: c})
			}
			index++
			next++
		}
	}
	return all
}

// Custom converts a classic histogram to a native histogram with the same bounds. The last count is that of the bucket +Inf.
func Custom(bounds []float64, counts []uint64) *metric.NativeBuckets {
	n := &metric.NativeBuckets{Schema: metric.CustomBounds, Bounds: bounds}
	for i, c := range counts {
		if c > 0 {
			n.Positive = append(n.Positive, metric.NativeBucket{Index: int32(i), Count: c})
		}
	}
	return n
}
