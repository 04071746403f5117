package wire

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/collectington/collectington/agent/metric"
)

// Kind is the kind of an item.
type Kind uint8

// The kinds of items.
const (
	Sample Kind = iota
	Histogram
	Exemplar
)

// Item is one sample, native histogram or exemplar of a request.
type Item struct {
	Kind   Kind
	Series int           // index of the series' message in the request
	Labels metric.Labels // labels of the series, with the metric name as __name__
	Family *metric.Desc  // name, type, help and unit, as far as they are in the request

	Time, Start    int64 // Unix milliseconds; a start of 0 means no start timestamp
	Value          float64
	Histogram      *metric.HistogramValue // set if Kind is Histogram; it has native buckets
	ExemplarLabels []metric.Label
}

// Decode returns a request with its counts. It checks the whole request, and returns an error if no Builder could have encoded it.
func Decode(p Protocol, raw []byte) (Request, error) {
	q := Request{Protocol: p, Raw: raw}
	series := -1
	for item, err := range q.Items() {
		if err != nil {
			return Request{}, err
		}
		if item.Series != series {
			series = item.Series
			q.Counts.Series++
		}
		switch item.Kind {
		case Sample:
			q.Counts.addTime(item.Time)
			q.Counts.Samples++
		case Histogram:
			q.Counts.addTime(item.Time)
			q.Counts.Histograms++
		case Exemplar:
			q.Counts.Exemplars++
		}
	}
	return q, nil
}

// Items returns an iterator over the items of the request. An item is only valid until the next one. After an error the iteration
// ends.
func (q Request) Items() iter.Seq2[*Item, error] {
	return func(yield func(*Item, error) bool) {
		d := &decoder{protocol: q.Protocol, yield: func(i *Item) error {
			if !yield(i, nil) {
				return errStop
			}
			return nil
		}}
		if err := d.request(q.Raw); err != nil && !errors.Is(err, errStop) {
			yield(nil, fmt.Errorf("decode a remote-write request %s: %w", q.Protocol, err))
		}
	}
}

var errStop = errors.New("stop")

// decoder decodes a request. It reuses its memory for each item.
type decoder struct {
	protocol Protocol
	yield    func(*Item) error

	symbols  []string                // 2.0 only
	strings  map[string]string       // 1.0 only: interned strings
	families map[string]*metric.Desc // 1.0 only, by name

	item      Item
	labels    metric.Labels
	family    metric.Desc
	histogram metric.HistogramValue
	native    metric.NativeBuckets
	positive  bucketList
	negative  bucketList

	labelBytesLeft int // how many more bytes of labels may follow until MaxLabels is reached
}

func (d *decoder) request(raw []byte) error {
	switch {
	case d.protocol != V1 && d.protocol != V2:
		return errors.New("unknown protocol")
	case len(raw) > MaxRequest:
		return fmt.Errorf("%d bytes, want at most %d", len(raw), MaxRequest)
	}
	if err := d.header(raw); err != nil {
		return err
	}
	d.item.Series = -1
	return eachField(raw, func(f field) error {
		if f.tag != series1<<3|message && f.tag != series2<<3|message {
			return nil
		}
		d.item.Series++
		if err := d.series(f.bytes); err != nil {
			return fmt.Errorf("series %d: %w", d.item.Series, err)
		}
		return nil
	})
}

// header decodes all fields except the series: the symbols in 2.0, the metadata in 1.0.
func (d *decoder) header(raw []byte) error {
	if d.protocol == V2 {
		return eachField(raw, func(f field) error {
			switch f.tag {
			case symbol2<<3 | message:
				d.symbols = append(d.symbols, string(f.bytes))
			case series2<<3 | message:
			default:
				return errUnknown
			}
			return nil
		})
	}
	d.strings, d.families = map[string]string{}, map[string]*metric.Desc{}
	return eachField(raw, func(f field) error {
		switch f.tag {
		case metadata1<<3 | message:
			return d.metadata1(f.bytes)
		case series1<<3 | message:
			return nil
		}
		return errUnknown
	})
}

// series decodes the message of a series: first its labels and metadata, then its items.
func (d *decoder) series(raw []byte) error {
	d.labels, d.labelBytesLeft = d.labels[:0], MaxLabels
	d.family = metric.Desc{}
	d.item.Family = &d.family
	native := false
	err := eachField(raw, func(f field) (err error) {
		switch {
		case f.tag == seriesLabels<<3|message:
			d.labels, err = d.decodeLabels(d.labels, f.bytes)
		case d.protocol == V2 && f.tag == metadata2<<3|message:
			err = d.metadata2(f.bytes)
		case d.protocol == V2 && f.tag == histogram2<<3|message:
			native = true
		}
		return err
	})
	if err != nil {
		return err
	}
	d.item.Labels = d.labels
	name := d.labels.Get("__name__")
	if d.protocol == V1 {
		d.item.Family = d.familyOfSeries(name)
	} else {
		d.family.Name = name
		if !native {
			d.family.Name = familyOf(name, d.family.Type)
		}
	}
	return eachField(raw, d.decodeItem)
}

// decodeItem decodes a field of a series' message, and yields it if it is an item.
func (d *decoder) decodeItem(f field) error {
	i := &d.item
	d.labelBytesLeft = MaxLabels
	i.Kind, i.Time, i.Start, i.Value, i.Histogram, i.ExemplarLabels = Sample, 0, 0, 0, nil, i.ExemplarLabels[:0]
	var err error
	switch {
	case f.tag == seriesLabels<<3|message, d.protocol == V2 && f.tag == metadata2<<3|message:
		return nil
	case f.tag == seriesSample<<3|message:
		err = eachField(f.bytes, d.sample)
	case d.protocol == V1 && f.tag == histogram1<<3|message, d.protocol == V2 && f.tag == histogram2<<3|message:
		i.Kind = Histogram
		err = d.decodeHistogram(f.bytes)
	case d.protocol == V1 && f.tag == exemplar1<<3|message, d.protocol == V2 && f.tag == exemplar2<<3|message:
		i.Kind = Exemplar
		err = eachField(f.bytes, d.exemplar)
	default:
		err = errUnknown
	}
	if err != nil {
		return err
	}
	return d.yield(i)
}

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
		d.item.ExemplarLabels, err = d.decodeLabels(d.item.ExemplarLabels, f.bytes)
	case exemplarValue<<3 | fixed64:
		d.item.Value = math.Float64frombits(f.uint)
	case exemplarTime<<3 | varint:
		d.item.Time = int64(f.uint)
	default:
		err = errUnknown
	}
	return err
}

// decodeLabels appends the labels of a field: one label in 1.0, all labels of the series in 2.0.
func (d *decoder) decodeLabels(dst []metric.Label, raw []byte) ([]metric.Label, error) {
	var err error
	if d.protocol == V1 {
		var l metric.Label
		err = eachField(raw, func(f field) error {
			switch f.tag {
			case labelName<<3 | message:
				l.Name = d.text(f.bytes)
			case labelValue<<3 | message:
				l.Value = d.text(f.bytes)
			default:
				return errUnknown
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		return d.add(dst, l)
	}
	for len(raw) > 0 {
		var l metric.Label
		if l.Name, raw, err = d.ref(raw); err != nil {
			return nil, err
		}
		if l.Value, raw, err = d.ref(raw); err != nil {
			return nil, err
		}
		if dst, err = d.add(dst, l); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func (d *decoder) add(dst []metric.Label, l metric.Label) ([]metric.Label, error) {
	d.labelBytesLeft -= len(l.Name) + len(l.Value)
	if d.labelBytesLeft < 0 {
		return nil, fmt.Errorf("labels of more than %d bytes", MaxLabels)
	}
	return append(dst, l), nil
}

// text returns raw as an interned string, for 1.0.
func (d *decoder) text(raw []byte) string {
	s, known := d.strings[string(raw)]
	if !known {
		s = string(raw)
		d.strings[s] = s
	}
	return s
}

// ref returns the string to which the first varint of raw refers, for 2.0.
func (d *decoder) ref(raw []byte) (text string, rest []byte, err error) {
	number, n := protowire.ConsumeVarint(raw)
	if n < 0 {
		return "", nil, errors.New("truncated labels")
	}
	text, err = d.symbol(number)
	return text, raw[n:], err
}

func (d *decoder) symbol(number uint64) (string, error) {
	if number >= uint64(len(d.symbols)) {
		return "", fmt.Errorf("symbol %d of %d", number, len(d.symbols))
	}
	return d.symbols[number], nil
}

// metadata1 decodes the metadata of a family in 1.0.
func (d *decoder) metadata1(raw []byte) error {
	family := &metric.Desc{}
	err := eachField(raw, func(f field) (err error) {
		switch f.tag {
		case familyType<<3 | varint:
			family.Type, err = typeOf(f.uint)
		case familyName<<3 | message:
			family.Name = d.text(f.bytes)
		case familyHelp<<3 | message:
			family.Help = d.text(f.bytes)
		case familyUnit<<3 | message:
			family.Unit = d.text(f.bytes)
		default:
			err = errUnknown
		}
		return err
	})
	d.families[family.Name] = family
	return err
}

// metadata2 decodes the metadata of a series in 2.0.
func (d *decoder) metadata2(raw []byte) error {
	return eachField(raw, func(f field) (err error) {
		switch f.tag {
		case metadataType<<3 | varint:
			d.family.Type, err = typeOf(f.uint)
		case metadataHelp<<3 | varint:
			d.family.Help, err = d.symbol(f.uint)
		case metadataUnit<<3 | varint:
			d.family.Unit, err = d.symbol(f.uint)
		default:
			err = errUnknown
		}
		return err
	})
}

func typeOf(number uint64) (metric.Type, error) {
	for t := metric.Unknown; t <= metric.StateSet; t++ {
		if typeNumber(t) == number {
			return t, nil
		}
	}
	return 0, fmt.Errorf("unknown metric type %d", number)
}

// familyOfSeries returns the family of a series in 1.0. If the request has no metadata for it, the family has only a name.
func (d *decoder) familyOfSeries(name string) *metric.Desc {
	if family := d.families[name]; family != nil {
		return family
	}
	for _, t := range []metric.Type{metric.Histogram, metric.Summary} {
		if family := d.families[familyOf(name, t)]; family != nil && family.Type == t {
			return family
		}
	}
	d.family.Name = name
	return &d.family
}

// familyOf returns the name of the family to which a series of this name and type belongs. It is not meant for native histograms.
func familyOf(name string, t metric.Type) string {
	suffixes := []string{}
	switch {
	case t == metric.Histogram:
		suffixes = []string{"_bucket", "_sum", "_count"}
	case t == metric.Summary:
		suffixes = []string{"_sum", "_count"}
	}
	for _, suffix := range suffixes {
		if family, cut := strings.CutSuffix(name, suffix); cut {
			return family
		}
	}
	return name
}

// bucketList holds the encoded buckets of one sign. The counts are either deltas of integers, or floats.
type bucketList struct {
	spans  []span
	deltas []byte
	floats []byte
}

type span struct {
	offset int32
	length uint64
}

// countFields counts the fields of a histogram that hold a count or a zero count. It counts integers and floats separately.
type countFields struct{ integers, floats int }

func (d *decoder) decodeHistogram(raw []byte) error {
	h, n := &d.histogram, &d.native
	d.positive, d.negative = bucketList{spans: d.positive.spans[:0]}, bucketList{spans: d.negative.spans[:0]}
	*h = metric.HistogramValue{Native: n}
	*n = metric.NativeBuckets{Positive: n.Positive[:0], Negative: n.Negative[:0], Bounds: n.Bounds[:0]}
	var seen countFields
	err := eachField(raw, func(f field) error { return d.histogramField(f, &seen) })
	switch {
	case err != nil:
		return err
	case seen != countFields{integers: 2} && seen != countFields{floats: 2}:
		return errors.New("a histogram needs a count and a zero count, both integers or both floats")
	}
	n.Fractions = seen.floats > 0
	if n.Negative, err = d.negative.buckets(n.Negative, n.Fractions); err != nil {
		return err
	}
	n.Positive, err = d.positive.buckets(n.Positive, n.Fractions)
	d.item.Histogram = h
	return err
}

func (d *decoder) histogramField(f field, seen *countFields) (err error) {
	h, n := &d.histogram, &d.native
	switch f.tag {
	case histogramCount<<3 | varint:
		h.Count = f.uint
		seen.integers++
	case (histogramCount+1)<<3 | fixed64:
		h.Count = f.uint
		seen.floats++
	case histogramSum<<3 | fixed64:
		h.Sum = math.Float64frombits(f.uint)
	case histogramSchema<<3 | varint:
		n.Schema, err = sint32(f)
	case histogramZeroThreshold<<3 | fixed64:
		n.ZeroThreshold = math.Float64frombits(f.uint)
	case histogramZeroCount<<3 | varint:
		n.ZeroCount = f.uint
		seen.integers++
	case (histogramZeroCount+1)<<3 | fixed64:
		n.ZeroCount = f.uint
		seen.floats++
	case histogramNegative<<3 | message:
		err = d.negative.span(f.bytes)
	case (histogramNegative+1)<<3 | message:
		err = list(&d.negative.deltas, f.bytes)
	case (histogramNegative+2)<<3 | message:
		err = list(&d.negative.floats, f.bytes)
	case histogramPositive<<3 | message:
		err = d.positive.span(f.bytes)
	case (histogramPositive+1)<<3 | message:
		err = list(&d.positive.deltas, f.bytes)
	case (histogramPositive+2)<<3 | message:
		err = list(&d.positive.floats, f.bytes)
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

func (s *bucketList) span(raw []byte) error {
	var next span
	err := eachField(raw, func(f field) (err error) {
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
		err = errors.New("a histogram has an empty span")
	}
	s.spans = append(s.spans, next)
	return err
}

// list stores the contents of a packed list. If the message has the list twice, the result is an error.
func list(of *[]byte, raw []byte) error {
	if *of != nil {
		return errors.New("a histogram has two lists of counts")
	}
	*of = raw
	return nil
}

// doubles appends the numbers of a packed list of doubles.
func doubles(dst []float64, raw []byte) ([]float64, error) {
	for len(raw) > 0 {
		bits, n := protowire.ConsumeFixed64(raw)
		if n < 0 {
			return nil, errTruncated
		}
		dst, raw = append(dst, math.Float64frombits(bits)), raw[n:]
	}
	return dst, nil
}

func sint32(f field) (int32, error) {
	if f.uint > math.MaxUint32 {
		return 0, errors.New("a histogram has a number out of range")
	}
	return int32(protowire.DecodeZigZag(f.uint)), nil
}

// buckets appends the decoded buckets.
func (s *bucketList) buckets(dst []metric.NativeBucket, floats bool) ([]metric.NativeBucket, error) {
	rest, other := s.deltas, s.floats
	if floats {
		rest, other = other, rest
	}
	if other != nil {
		return nil, errors.New("a histogram has integer and float counts")
	}
	index, count := int32(0), uint64(0)
	for _, next := range s.spans {
		index += next.offset
		for ; next.length > 0; next.length-- {
			var n int
			if floats {
				count, n = protowire.ConsumeFixed64(rest)
			} else {
				var delta uint64
				delta, n = protowire.ConsumeVarint(rest)
				count += uint64(protowire.DecodeZigZag(delta))
			}
			if n < 0 {
				return nil, errors.New("a histogram has fewer counts than buckets")
			}
			rest = rest[n:]
			dst = append(dst, metric.NativeBucket{Index: index, Count: count})
			index++
		}
	}
	if len(rest) > 0 {
		return nil, errors.New("a histogram has more counts than buckets")
	}
	return dst, nil
}
