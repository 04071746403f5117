package scrape

import (
	"errors"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/collectington/collectington/agent/metric"
)

// What a batch cannot carry of native histograms.
var (
	errFloats = errors.New("a native histogram of floats")
	errGauge  = errors.New("a native gauge histogram")
	errBounds = errors.New("a native histogram with bounds of its own")
)

// nativeValue is a native histogram of whole counts with exponential bounds.
func nativeValue(h *histogram.Histogram, floats *histogram.FloatHistogram) (*metric.HistogramValue, error) {
	switch {
	case h == nil || floats != nil:
		return nil, errFloats
	case h.CounterResetHint == histogram.GaugeType:
		return nil, errGauge
	case !histogram.IsExponentialSchema(h.Schema):
		return nil, errBounds
	}
	if err := h.Validate(); err != nil {
		return nil, short(err)
	}
	n := &metric.NativeBuckets{Schema: h.Schema, ZeroThreshold: h.ZeroThreshold, ZeroCount: h.ZeroCount}
	n.Positive = nativeBuckets(h.PositiveSpans, h.PositiveBuckets)
	n.Negative = nativeBuckets(h.NegativeSpans, h.NegativeBuckets)
	return &metric.HistogramValue{Count: h.Count, Sum: h.Sum, Native: n}, nil
}

// nativeBuckets reads spans of neighbouring buckets, and each bucket's difference from the one before.
func nativeBuckets(spans []histogram.Span, deltas []int64) []metric.NativeBucket {
	all := make([]metric.NativeBucket, 0, len(deltas))
	index, total, next := int32(0), int64(0), 0
	for _, s := range spans {
		index += s.Offset
		for range s.Length {
			total += deltas[next]
			if total > 0 {
				all = append(all, metric.NativeBucket{Index: index, Count: uint64(total)})
			}
			index++
			next++
		}
	}
	return all
}
