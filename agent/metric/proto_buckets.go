package metric

import (
	"math"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"
)

type histogramSlabs struct {
	values  slab[dto.Histogram]
	buckets slab[dto.Bucket]
	lists   slab[*dto.Bucket]
	counts  slab[uint64]
	bounds  slab[float64]
	spans   slab[dto.BucketSpan]
	spanned slab[*dto.BucketSpan]
	offsets slab[int32]
	lengths slab[uint32]
	deltas  slab[int64]
	floats  slab[float64]
}

func (h *histogramSlabs) reset() {
	h.values.reset()
	h.buckets.reset()
	h.lists.reset()
	h.counts.reset()
	h.bounds.reset()
	h.spans.reset()
	h.spanned.reset()
	h.offsets.reset()
	h.lengths.reset()
	h.deltas.reset()
	h.floats.reset()
}

type summarySlabs struct {
	values    slab[dto.Summary]
	quantiles slab[dto.Quantile]
	lists     slab[*dto.Quantile]
}

func (s *summarySlabs) reset() {
	s.values.reset()
	s.quantiles.reset()
	s.lists.reset()
}

func (c *Converter) histogram(d *Desc, v *HistogramValue, start *timestamppb.Timestamp) *dto.Histogram {
	h := c.histograms.values.one()
	h.Reset()
	h.SampleCount, h.SampleSum, h.CreatedTimestamp = &v.Count, &v.Sum, start
	h.Bucket = c.classic(d.Buckets, v.Counts)
	if n := v.Native; n != nil && d.Native && n.Schema != CustomBounds { // the messages have no field for custom bounds
		h.Schema, h.ZeroThreshold, h.ZeroCount = &n.Schema, &n.ZeroThreshold, &n.ZeroCount
		h.PositiveSpan, h.PositiveDelta = c.native(n.Positive)
		h.NegativeSpan, h.NegativeDelta = c.native(n.Negative)
		if n.Fractions {
			c.fractions(h, v)
		}
		if len(n.Positive)+len(n.Negative) == 0 && n.ZeroThreshold == 0 {
			// client_model marks a native histogram without observations by an empty span.
			h.PositiveSpan = []*dto.BucketSpan{c.span(0, 0)}
		}
	}
	return h
}

// fractions sets the fields of a float histogram.
func (c *Converter) fractions(h *dto.Histogram, v *HistogramValue) {
	number := func(bits uint64) *float64 {
		f := c.histograms.floats.one()
		*f = math.Float64frombits(bits)
		return f
	}
	list := func(buckets []NativeBucket) []float64 {
		all := c.histograms.floats.some(len(buckets))
		for i, b := range buckets {
			all[i] = math.Float64frombits(b.Count)
		}
		return all
	}
	h.SampleCountFloat, h.ZeroCountFloat = number(v.Count), number(v.Native.ZeroCount)
	whole := c.histograms.counts.one() // the text format has integer counts only
	*whole = uint64(math.Round(*h.SampleCountFloat))
	h.SampleCount, h.ZeroCount = whole, nil
	h.PositiveDelta, h.NegativeDelta = nil, nil
	h.PositiveCount, h.NegativeCount = list(v.Native.Positive), list(v.Native.Negative)
}

// classic returns the cumulative buckets, with +Inf as the last.
func (c *Converter) classic(bounds []float64, counts []uint64) []*dto.Bucket {
	list := c.histograms.lists.some(len(counts))
	buckets, sums := c.histograms.buckets.some(len(counts)), c.histograms.counts.some(len(counts))
	sum := uint64(0)
	for i, n := range counts {
		sum += n
		sums[i] = sum
		b := &buckets[i]
		b.CumulativeCount = &sums[i]
		if i < len(bounds) {
			b.UpperBound = &bounds[i]
		} else {
			b.UpperBound = c.histograms.bounds.one()
			*b.UpperBound = math.Inf(1)
		}
		list[i] = b
	}
	return list
}

// native returns the spans of consecutive buckets, each with its distance from the end of the span before, and the
// difference of each bucket's count from that of the bucket before.
func (c *Converter) native(buckets []NativeBucket) ([]*dto.BucketSpan, []int64) {
	if len(buckets) == 0 {
		return nil, nil
	}
	spans, deltas := c.histograms.spanned.some(len(buckets))[:0], c.histograms.deltas.some(len(buckets))
	last := uint64(0)
	for i, b := range buckets {
		deltas[i] = int64(b.Count - last)
		last = b.Count
		switch {
		case i == 0:
			spans = append(spans, c.span(b.Index, 1))
		case b.Index == buckets[i-1].Index+1:
			*spans[len(spans)-1].Length++
		default:
			spans = append(spans, c.span(b.Index-buckets[i-1].Index-1, 1))
		}
	}
	return spans, deltas
}

func (c *Converter) span(offset int32, length uint32) *dto.BucketSpan {
	s := c.histograms.spans.one()
	s.Offset, s.Length = c.histograms.offsets.one(), c.histograms.lengths.one()
	*s.Offset, *s.Length = offset, length
	return s
}

func (c *Converter) summary(d *Desc, v *SummaryValue, start *timestamppb.Timestamp) *dto.Summary {
	s := c.summaries.values.one()
	s.SampleCount, s.SampleSum, s.CreatedTimestamp = &v.Count, &v.Sum, start
	n := min(len(v.Quantiles), len(d.Quantiles))
	s.Quantile = c.summaries.lists.some(n)
	quantiles := c.summaries.quantiles.some(n)
	for i := range quantiles {
		quantiles[i].Quantile, quantiles[i].Value = &d.Quantiles[i], &v.Quantiles[i]
		s.Quantile[i] = &quantiles[i]
	}
	return s
}
