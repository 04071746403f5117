package wire

import (
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/collectington/collectington/agent/metric"
)

// side is the buckets of one sign as a message has them: packed lists, of which one is there where there are buckets.
type side struct {
	spans     []span
	deltas    []byte
	fractions []byte
}

type span struct {
	offset int32
	length uint64
}

// counts says which form a histogram's counts have been in.
type counts struct{ whole, fractions int }

func (d *decoder) someHistogram(raw []byte) error {
	h, n := &d.histogram, &d.native
	d.positive, d.negative = side{spans: d.positive.spans[:0]}, side{spans: d.negative.spans[:0]}
	*h = metric.HistogramValue{Native: n}
	*n = metric.NativeBuckets{Positive: n.Positive[:0], Negative: n.Negative[:0], Bounds: n.Bounds[:0]}
	var seen counts
	err := each(raw, func(f field) error { return d.histogramField(f, &seen) })
	switch {
	case err != nil:
		return err
	case seen != counts{whole: 2} && seen != counts{fractions: 2}: // they tell one of whole numbers from one of fractions
		return errors.New("a histogram without its counts")
	}
	n.Fractions = seen.fractions > 0
	if n.Negative, err = d.negative.buckets(n.Negative, n.Fractions); err != nil {
		return err
	}
	n.Positive, err = d.positive.buckets(n.Positive, n.Fractions)
	d.item.Histogram = h
	return err
}

func (d *decoder) histogramField(f field, seen *counts) (err error) {
	h, n := &d.histogram, &d.native
	switch f.tag {
	case histogramCount<<3 | varint:
		h.Count = f.uint
		seen.whole++
	case (histogramCount+1)<<3 | fixed64:
		h.Count = f.uint
		seen.fractions++
	case histogramSum<<3 | fixed64:
		h.Sum = math.Float64frombits(f.uint)
	case histogramSchema<<3 | varint:
		n.Schema, err = sint32(f)
	case histogramZeroThreshold<<3 | fixed64:
		n.ZeroThreshold = math.Float64frombits(f.uint)
	case histogramZeroCount<<3 | varint:
		n.ZeroCount = f.uint
		seen.whole++
	case (histogramZeroCount+1)<<3 | fixed64:
		n.ZeroCount = f.uint
		seen.fractions++
	case histogramNegative<<3 | message:
		err = d.negative.span(f.bytes)
	case (histogramNegative+1)<<3 | message:
		err = list(&d.negative.deltas, f.bytes)
	case (histogramNegative+2)<<3 | message:
		err = list(&d.negative.fractions, f.bytes)
	case histogramPositive<<3 | message:
		err = d.positive.span(f.bytes)
	case (histogramPositive+1)<<3 | message:
		err = list(&d.positive.deltas, f.bytes)
	case (histogramPositive+2)<<3 | message:
		err = list(&d.positive.fractions, f.bytes)
	case histogramHint<<3 | varint:
		if n.Gauge = f.uint == hintGauge; !n.Gauge {
			err = errUnknown
		}
	case histogramTime<<3 | varint:
		d.item.Time = int64(f.uint)
	case histogramBounds<<3 | message:
		n.Bounds, err = doubles(n.Bounds, f.bytes)
	case histogramStart<<3 | varint:
		d.item.Start = int64(f.uint)
	default:
		err = errUnknown
	}
	return err
}

func (s *side) span(raw []byte) error {
	var next span
	err := each(raw, func(f field) (err error) {
		switch f.tag {
		case spanOffset<<3 | varint:
			next.offset, err = sint32(f)
		case spanLength<<3 | varint:
			next.length = f.uint
		default:
			err = errUnknown
		}
		return err
	})
	if err == nil && (next.length == 0 || next.offset == 0 && len(s.spans) > 0) {
		err = errors.New("a histogram with a span that is none")
	}
	s.spans = append(s.spans, next)
	return err
}

// list keeps a packed list, of which there is one.
func list(of *[]byte, raw []byte) error {
	if *of != nil {
		return errors.New("a histogram with two lists of counts")
	}
	*of = raw
	return nil
}

// doubles appends a packed list of numbers.
func doubles(dst []float64, raw []byte) ([]float64, error) {
	for len(raw) > 0 {
		bits, n := protowire.ConsumeFixed64(raw)
		if n < 0 {
			return nil, errCut
		}
		dst, raw = append(dst, math.Float64frombits(bits)), raw[n:]
	}
	return dst, nil
}

func sint32(f field) (int32, error) {
	if f.uint > math.MaxUint32 {
		return 0, errors.New("a histogram with a number out of range")
	}
	return int32(protowire.DecodeZigZag(f.uint)), nil
}

// buckets appends the buckets of a side: there is a count for each.
func (s *side) buckets(dst []metric.NativeBucket, fractions bool) ([]metric.NativeBucket, error) {
	rest, other := s.deltas, s.fractions
	if fractions {
		rest, other = other, rest
	}
	if other != nil {
		return nil, errors.New("a histogram with counts of two forms")
	}
	index, count := int32(0), uint64(0)
	for _, next := range s.spans {
		index += next.offset
		for ; next.length > 0; next.length-- {
			var n int
			if fractions {
				count, n = protowire.ConsumeFixed64(rest)
			} else {
				var delta uint64
				delta, n = protowire.ConsumeVarint(rest)
				count += uint64(protowire.DecodeZigZag(delta))
			}
			if n < 0 {
				return nil, errors.New("a histogram with fewer counts than buckets")
			}
			rest = rest[n:]
			dst = append(dst, metric.NativeBucket{Index: index, Count: count})
			index++
		}
	}
	if len(rest) > 0 {
		return nil, errors.New("a histogram with more counts than buckets")
	}
	return dst, nil
}
