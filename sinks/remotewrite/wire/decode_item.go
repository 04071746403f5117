package wire

import (
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/collectington/collectington/agent/metric"
)

func (d *decoder) sample(f field) error {
	switch f.tag {
	case sampleValue<<3 | fixed64:
		d.item.Value = math.Float64frombits(f.uint)
	case sampleTime<<3 | varint:
		d.item.Time = int64(f.uint)
	case sampleStart<<3 | varint:
		d.item.Start = int64(f.uint)
	default:
		return errUnknown
	}
	return nil
}

func (d *decoder) exemplar(f field) (err error) {
	switch f.tag {
	case exemplarLabels<<3 | message:
		d.item.Own, err = d.someLabels(d.item.Own, f.bytes)
	case exemplarValue<<3 | fixed64:
		d.item.Value = math.Float64frombits(f.uint)
	case exemplarTime<<3 | varint:
		d.item.Time = int64(f.uint)
	default:
		err = errUnknown
	}
	return err
}

// side is the buckets of one sign as a message has them.
type side struct {
	spans  []span
	deltas []byte // a packed list
}

type span struct {
	offset int32
	length uint64
}

func (d *decoder) someHistogram(raw []byte) error {
	h, n := &d.histogram, &d.native
	positive, negative := side{spans: d.positive.spans[:0]}, side{spans: d.negative.spans[:0]}
	*h = metric.HistogramValue{Native: n}
	*n = metric.NativeBuckets{Positive: n.Positive[:0], Negative: n.Negative[:0]}
	counted, zeroCounted := false, false
	err := each(raw, func(f field) (err error) {
		switch f.tag {
		case histogramCount<<3 | varint:
			h.Count, counted = f.uint, true
		case histogramSum<<3 | fixed64:
			h.Sum = math.Float64frombits(f.uint)
		case histogramSchema<<3 | varint:
			n.Schema, err = sint32(f)
		case histogramZeroThreshold<<3 | fixed64:
			n.ZeroThreshold = math.Float64frombits(f.uint)
		case histogramZeroCount<<3 | varint:
			n.ZeroCount, zeroCounted = f.uint, true
		case histogramNegative<<3 | message:
			err = negative.span(f.bytes)
		case (histogramNegative+1)<<3 | message:
			err = negative.list(f.bytes)
		case histogramPositive<<3 | message:
			err = positive.span(f.bytes)
		case (histogramPositive+1)<<3 | message:
			err = positive.list(f.bytes)
		case histogramTime<<3 | varint:
			d.item.Time = int64(f.uint)
		case histogramStart<<3 | varint:
			d.item.Start = int64(f.uint)
		default:
			err = errUnknown
		}
		return err
	})
	if err == nil && !(counted && zeroCounted) {
		err = errors.New("a histogram without its counts") // they tell one of whole numbers from one of fractions
	}
	if err != nil {
		return err
	}
	d.positive, d.negative = positive, negative
	if n.Negative, err = negative.buckets(n.Negative); err != nil {
		return err
	}
	n.Positive, err = positive.buckets(n.Positive)
	d.item.Histogram = h
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

func (s *side) list(raw []byte) error {
	if s.deltas != nil {
		return errors.New("a histogram with two lists of deltas")
	}
	s.deltas = raw
	return nil
}

func sint32(f field) (int32, error) {
	if f.uint > math.MaxUint32 {
		return 0, errors.New("a histogram with a number out of range")
	}
	return int32(protowire.DecodeZigZag(f.uint)), nil
}

// buckets appends the buckets of a side: there is a delta for each.
func (s *side) buckets(dst []metric.NativeBucket) ([]metric.NativeBucket, error) {
	deltas, index, count := s.deltas, int32(0), uint64(0)
	for _, next := range s.spans {
		index += next.offset
		for ; next.length > 0; next.length-- {
			delta, n := protowire.ConsumeVarint(deltas)
			if n < 0 {
				return nil, errors.New("a histogram with fewer deltas than buckets")
			}
			deltas = deltas[n:]
			count += uint64(protowire.DecodeZigZag(delta))
			dst = append(dst, metric.NativeBucket{Index: index, Count: count})
			index++
		}
	}
	if len(deltas) > 0 {
		return nil, errors.New("a histogram with more deltas than buckets")
	}
	return dst, nil
}
