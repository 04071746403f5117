package samples

import (
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/collectington/collectington/agent/metric"
)

// The messages of both protocols: prometheus.WriteRequest and io.prometheus.write.v2.Request. Fields that are not used are left
// out.

// message is a request.
type message struct {
	symbols []string // only in 2.0
	series  []series
	known   []metadata // only in 1.0: the metadata of families
}

// series is a TimeSeries. In 2.0, labels are references to symbols.
type series struct {
	labels     []metric.Label
	refs       []uint32
	samples    []metric.StreamSample
	histograms []histogramSample
	exemplars  []exemplar

	typ        metric.Type // only in 2.0, like the fields below
	help, unit uint32
}

// exemplar is an Exemplar.
type exemplar struct {
	metric.Exemplar
	refs []uint32 // only in 2.0
}

// histogramSample is a Histogram.
type histogramSample struct {
	time, start int64
	isFloat     bool
	ints        histogram.Histogram
	floats      histogram.FloatHistogram // only the counts; the other fields are in "ints"
}

var errKind = errors.New("a field has another type than in the specification")

// fieldValue is the value of a field: a number, or bytes.
type fieldValue struct {
	kind  protowire.Type
	uint  uint64
	bytes []byte
}

// each calls the function "read" for each field of a message. This function must return errKind if the field has an unexpected type, and
// must ignore unknown fields.
func each(message []byte, read func(number protowire.Number, v fieldValue) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		v := fieldValue{kind: kind}
		switch kind {
		case protowire.VarintType:
			v.uint, n = protowire.ConsumeVarint(message)
		case protowire.Fixed64Type:
			v.uint, n = protowire.ConsumeFixed64(message)
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := read(number, v); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}

// The following methods return errKind if the value has an unexpected type.

func (v fieldValue) setText(dst *string) error {
	*dst = string(v.bytes)
	return v.is(protowire.BytesType)
}

func (v fieldValue) setInt(dst *int64) error {
	*dst = int64(v.uint)
	return v.is(protowire.VarintType)
}

func (v fieldValue) setFloat(dst *float64) error {
	*dst = math.Float64frombits(v.uint)
	return v.is(protowire.Fixed64Type)
}

func (v fieldValue) setRef(dst *uint32) error {
	*dst = uint32(v.uint)
	return v.is(protowire.VarintType)
}

func (v fieldValue) is(kind protowire.Type) error {
	if v.kind != kind {
		return errKind
	}
	return nil
}

// inner reads the message in a field.
func (v fieldValue) inner(read func(protowire.Number, fieldValue) error) error {
	if v.kind != protowire.BytesType {
		return errKind
	}
	return each(v.bytes, read)
}

// numbers calls the function "add" for each number in a repeated field. The field can be packed.
func (v fieldValue) numbers(kind protowire.Type, add func(uint64)) error {
	switch v.kind {
	case kind:
		add(v.uint)
		return nil
	case protowire.BytesType:
	default:
		return errKind
	}
	for rest := v.bytes; len(rest) > 0; {
		var number uint64
		var n int
		if kind == protowire.VarintType {
			number, n = protowire.ConsumeVarint(rest)
		} else {
			number, n = protowire.ConsumeFixed64(rest)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		add(number)
		rest = rest[n:]
	}
	return nil
}

func (m *message) readV1(raw []byte) error {
	return each(raw, func(number protowire.Number, v fieldValue) error {
		switch number {
		case 1:
			m.series = append(m.series, series{})
			s := &m.series[len(m.series)-1]
			return v.inner(s.fieldV1)
		case 3:
			var known metadata
			err := v.inner(known.field)
			m.known = append(m.known, known)
			return err
		}
		return nil
	})
}

func (m *message) readV2(raw []byte) error {
	return each(raw, func(number protowire.Number, v fieldValue) error {
		switch number {
		case 4:
			m.symbols = append(m.symbols, string(v.bytes))
			return v.is(protowire.BytesType)
		case 5:
			m.series = append(m.series, series{})
			s := &m.series[len(m.series)-1]
			return v.inner(s.fieldV2)
		}
		return nil
	})
}

// field reads a field of a MetricMetadata in 1.0.
func (m *metadata) field(number protowire.Number, v fieldValue) error {
	switch number {
	case 1:
		m.typ = typeOf(int32(v.uint))
		return v.is(protowire.VarintType)
	case 2:
		return v.setText(&m.name)
	case 4:
		return v.setText(&m.help)
	case 5:
		return v.setText(&m.unit)
	}
	return nil
}

func (s *series) fieldV1(number protowire.Number, v fieldValue) error {
	switch number {
	case 1:
		l, err := label(v)
		s.labels = append(s.labels, l)
		return err
	case 2:
		return s.addSample(v, false)
	case 3:
		return s.addExemplar(v, false)
	case 4:
		return s.addHistogram(v, false)
	}
	return nil
}

func (s *series) fieldV2(number protowire.Number, v fieldValue) error {
	switch number {
	case 1:
		return v.numbers(protowire.VarintType, func(ref uint64) { s.refs = append(s.refs, uint32(ref)) })
	case 2:
		return s.addSample(v, true)
	case 3:
		return s.addHistogram(v, true)
	case 4:
		return s.addExemplar(v, true)
	case 5:
		return v.inner(func(number protowire.Number, v fieldValue) error {
			switch number {
			case 1:
				s.typ = typeOf(int32(v.uint))
				return v.is(protowire.VarintType)
			case 3:
				return v.setRef(&s.help)
			case 4:
				return v.setRef(&s.unit)
			}
			return nil
		})
	}
	return nil
}

// label reads a Label in 1.0.
func label(v fieldValue) (l metric.Label, err error) {
	err = v.inner(func(number protowire.Number, v fieldValue) error {
		switch number {
		case 1:
			return v.setText(&l.Name)
		case 2:
			return v.setText(&l.Value)
		}
		return nil
	})
	return l, err
}

func (s *series) addSample(v fieldValue, isV2 bool) error {
	var p metric.StreamSample
	err := v.inner(func(number protowire.Number, v fieldValue) error {
		switch {
		case number == 1:
			return v.setFloat(&p.Value)
		case number == 2:
			return v.setInt(&p.Time)
		case number == 3 && isV2:
			return v.setInt(&p.Start)
		}
		return nil
	})
	s.samples = append(s.samples, p)
	return err
}

func (s *series) addExemplar(v fieldValue, isV2 bool) error {
	var e exemplar
	err := v.inner(func(number protowire.Number, v fieldValue) error {
		switch {
		case number == 1 && isV2:
			return v.numbers(protowire.VarintType, func(ref uint64) { e.refs = append(e.refs, uint32(ref)) })
		case number == 1:
			l, err := label(v)
			e.Labels = append(e.Labels, l)
			return err
		case number == 2:
			return v.setFloat(&e.Value)
		case number == 3:
			return v.setInt(&e.Time)
		}
		return nil
	})
	s.exemplars = append(s.exemplars, e)
	return err
}

func (s *series) addHistogram(v fieldValue, isV2 bool) error {
	var h histogramSample
	err := v.inner(func(number protowire.Number, v fieldValue) error {
		if number == 17 && isV2 {
			return v.setInt(&h.start)
		}
		return h.field(number, v)
	})
	s.histograms = append(s.histograms, h)
	return err
}

// field reads a field of a Histogram, except the start timestamp of 2.0.
func (h *histogramSample) field(number protowire.Number, v fieldValue) error {
	n := &h.ints
	switch number {
	case 1:
		h.isFloat, n.Count, h.floats.Count = false, v.uint, 0
		return v.is(protowire.VarintType)
	case 2:
		h.isFloat, n.Count = true, 0
		return v.setFloat(&h.floats.Count)
	case 3:
		return v.setFloat(&n.Sum)
	case 4:
		n.Schema = int32(protowire.DecodeZigZag(v.uint & math.MaxUint32))
		return v.is(protowire.VarintType)
	case 5:
		return v.setFloat(&n.ZeroThreshold)
	case 6:
		n.ZeroCount, h.floats.ZeroCount = v.uint, 0
		return v.is(protowire.VarintType)
	case 7:
		n.ZeroCount = 0
		return v.setFloat(&h.floats.ZeroCount)
	case 8:
		return addSpan(&n.NegativeSpans, v)
	case 9:
		return addDeltas(&n.NegativeBuckets, v)
	case 10:
		return addFloats(&h.floats.NegativeBuckets, v)
	case 11:
		return addSpan(&n.PositiveSpans, v)
	case 12:
		return addDeltas(&n.PositiveBuckets, v)
	case 13:
		return addFloats(&h.floats.PositiveBuckets, v)
	case 14:
		n.CounterResetHint = histogram.CounterResetHint(v.uint)
		return v.is(protowire.VarintType)
	case 15:
		return v.setInt(&h.time)
	case 16:
		return addFloats(&n.CustomValues, v)
	}
	return nil
}

func addSpan(dst *[]histogram.Span, v fieldValue) error {
	var s histogram.Span
	err := v.inner(func(number protowire.Number, v fieldValue) error {
		switch number {
		case 1:
			s.Offset = int32(protowire.DecodeZigZag(v.uint & math.MaxUint32))
			return v.is(protowire.VarintType)
		case 2:
			return v.setRef(&s.Length)
		}
		return nil
	})
	*dst = append(*dst, s)
	return err
}

func addDeltas(dst *[]int64, v fieldValue) error {
	return v.numbers(protowire.VarintType, func(n uint64) { *dst = append(*dst, protowire.DecodeZigZag(n)) })
}

func addFloats(dst *[]float64, v fieldValue) error {
	return v.numbers(protowire.Fixed64Type, func(n uint64) { *dst = append(*dst, math.Float64frombits(n)) })
}

// values returns the histogram: the first result if it has integer counts, or the second one if it has float counts.
func (h *histogramSample) values() (*histogram.Histogram, *histogram.FloatHistogram) {
	if !h.isFloat {
		return &h.ints, nil
	}
	f, n := &h.floats, &h.ints
	f.CounterResetHint, f.Schema, f.ZeroThreshold, f.Sum = n.CounterResetHint, n.Schema, n.ZeroThreshold, n.Sum
	f.PositiveSpans, f.NegativeSpans, f.CustomValues = n.PositiveSpans, n.NegativeSpans, n.CustomValues
	return nil, f
}
