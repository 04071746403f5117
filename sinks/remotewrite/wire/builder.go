package wire

import (
	"cmp"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/collectington/collectington/agent/metric"
)

// Builder encodes one request after another and reuses its memory. It puts consecutive samples of the same series into one message. These
// samples must be in order of time.
type Builder struct {
	protocol Protocol
	layout   Layout
	counts   Counts
	out      []byte

	body     []byte  // the messages of series
	open     *Series // the series whose message is open; nil = none
	start    int     // where the contents of the open message start in body
	labels   []byte  // 2.0, SamplesFirst: the encoded references of the open message, which closeSeries adds
	metadata []byte  // 1.0 only: the metadata messages

	symbols symbols // 2.0 only
}

// NewBuilder returns a builder for series of the table. The table keeps a reference to the builder.
func (t *Table) NewBuilder() *Builder {
	b := &Builder{symbols: symbols{table: t, texts: map[string]uint32{}}}
	t.builders = append(t.builders, b)
	return b
}

// Layout is the order of the fields in the messages of series and samples in 2.0. Protobuf allows any order. Neighbouring series differ in
// some bytes, and compression finds the repetitions between these bytes. So the series and their order determine which layout makes a
// request shorter.
type Layout uint8

const (
	// LabelsFirst is the order of the field numbers: labels, samples with the value first, metadata.
	LabelsFirst Layout = iota
	// SamplesFirst is samples with the value last, labels, metadata. The value and the name, which is the first label, are close together.
	// The metadata comes after the labels, since Mimir decodes a message in one pass and needs the name for the metadata.
	SamplesFirst
)

// SetLayout sets the layout of all series that begin after the call.
func (b *Builder) SetLayout(l Layout) {
	b.closeSeries()
	b.layout = l
}

// Begin begins a request. It makes the bytes of the previous request invalid.
func (b *Builder) Begin(p Protocol) {
	b.protocol, b.counts, b.open = p, Counts{}, nil
	b.body, b.labels, b.metadata = b.body[:0], b.labels[:0], b.metadata[:0]
	b.symbols.reset()
}

// End returns the request. Its bytes are valid until the next Begin.
func (b *Builder) End() Request {
	b.closeSeries()
	if b.protocol == V2 {
		b.out = append(append(b.out[:0], b.symbols.body...), b.body...)
	} else {
		b.out = append(append(b.out[:0], b.body...), b.metadata...)
	}
	return Request{b.protocol, b.out, b.counts}
}

// Counts returns what was added since Begin.
func (b *Builder) Counts() Counts { return b.counts }

// Size returns the size of the request in bytes, without the metadata of a series whose message is open.
func (b *Builder) Size() int {
	return len(b.symbols.body) + len(b.body) + len(b.labels) + len(b.metadata)
}

// Add adds a sample. Timestamps are in Unix milliseconds. If "start" is 0, there is no start timestamp. Protocol 1.0 has no start
// timestamps, so Add ignores them there.
func (b *Builder) Add(s *Series, time int64, value float64, start int64) {
	b.openSeries(s)
	b.counts.addTime(time)
	b.counts.Samples++
	dst, at := beginMessage(b.body, seriesSample)
	valueLast := b.protocol == V2 && b.layout == SamplesFirst
	if !valueLast {
		dst = appendDouble(dst, sampleValue, value)
	}
	dst = appendInt(dst, sampleTime, time)
	if start != 0 && b.protocol == V2 {
		dst = appendInt(dst, sampleStart, start)
	}
	if valueLast {
		dst = appendDouble(dst, sampleValue, value)
	}
	b.body = endMessage(dst, at)
}

// EndSeries ends the message of the current series. The next sample begins a new message, even if it is of the same series.
func (b *Builder) EndSeries() { b.closeSeries() }

// AddHistogram adds the native histogram of h as a sample.
func (b *Builder) AddHistogram(s *Series, time int64, h *metric.HistogramValue, start int64) {
	b.openSeries(s)
	b.counts.addTime(time)
	b.counts.Histograms++
	if b.protocol == V2 {
		b.body = appendHistogram(b.body, histogram2, h, time, start)
	} else {
		b.body = appendHistogram(b.body, histogram1, h, time, 0)
	}
}

// AddExemplar adds an exemplar of the series. The labels must be sorted by name.
func (b *Builder) AddExemplar(s *Series, labels []metric.Label, value float64, time int64) {
	b.openSeries(s)
	b.counts.Exemplars++
	if b.protocol == V1 {
		dst, at := beginMessage(b.body, exemplar1)
		for _, l := range labels {
			dst = appendLabel1(dst, l.Name, l.Value)
		}
		dst = appendDouble(dst, exemplarValue, value)
		b.body = endMessage(appendInt(dst, exemplarTime, time), at)
		return
	}
	dst, at := beginMessage(b.body, exemplar2)
	if len(labels) > 0 {
		list := 0
		dst, list = beginMessage(dst, seriesLabels)
		for _, l := range labels {
			dst = appendVarint(dst, uint64(b.symbols.refOfText(l.Name)))
			dst = appendVarint(dst, uint64(b.symbols.refOfText(l.Value)))
		}
		dst = endMessage(dst, list)
	}
	dst = appendDouble(dst, exemplarValue, value)
	b.body = endMessage(appendInt(dst, exemplarTime, time), at)
}

// AddMetadata adds the type, help and unit of a family to a request of 1.0. In 2.0 it does nothing, since every series has its
// metadata.
func (b *Builder) AddMetadata(family *metric.Desc) {
	if b.protocol != V1 {
		return
	}
	dst, at := beginMessage(b.metadata, metadata1)
	dst = appendUint(dst, familyType, typeNumber(cmp.Or(family.Scraped, family.Type)))
	dst = appendString(dst, familyName, family.Name)
	if family.Help != "" {
		dst = appendString(dst, familyHelp, family.Help)
	}
	if family.Unit != "" {
		dst = appendString(dst, familyUnit, family.Unit)
	}
	b.metadata = endMessage(dst, at)
}

// openSeries begins a message for s, unless the open message is already for s.
func (b *Builder) openSeries(s *Series) {
	if b.open == s {
		return
	}
	b.closeSeries()
	b.open = s
	b.counts.Series++
	if b.protocol == V1 {
		b.body, b.start = beginMessage(b.body, series1)
		b.body = append(b.body, s.encoded1()...)
		return
	}
	b.symbols.grow()
	b.body, b.start = beginMessage(b.body, series2)
	if b.layout == SamplesFirst {
		b.labels = b.symbols.appendRefs(b.labels[:0], s.refs)
		return
	}
	dst, list := beginMessage(b.body, seriesLabels)
	b.body = endMessage(b.symbols.appendRefs(dst, s.refs), list)
}

// closeSeries ends the open message, if any. It puts the metadata at the end of the message, next to the start of the following message.
// Both are often the same for consecutive series. As neighbours, they compress as one repetition.
func (b *Builder) closeSeries() {
	s := b.open
	if s == nil {
		return
	}
	b.open = nil
	if b.protocol == V2 && b.layout == SamplesFirst {
		dst, list := beginMessage(b.body, seriesLabels)
		b.body, b.labels = endMessage(append(dst, b.labels...), list), b.labels[:0]
	}
	if f := s.family.familyKey; b.protocol == V2 && f != (familyKey{}) {
		dst, at := beginMessage(b.body, metadata2)
		dst = appendUint(dst, metadataType, typeNumber(f.metricType))
		if f.help != 0 {
			dst = appendUint(dst, metadataHelp, uint64(b.symbols.ref(f.help)))
		}
		if f.unit != 0 {
			dst = appendUint(dst, metadataUnit, uint64(b.symbols.ref(f.unit)))
		}
		b.body = endMessage(dst, at)
	}
	b.body = endMessage(b.body, b.start)
}

// symbols is the symbol table of a 2.0 request. A reference is the index of a string, in the order of first use. Reference 0 is "",
// as the specification demands.
type symbols struct {
	table  *Table
	body   []byte            // the strings, encoded as fields of a request
	next   uint32            // the next reference
	bySlot []uint32          // references of the table's strings; 0 = none
	used   []uint32          // slots that have a reference
	texts  map[string]uint32 // references of strings that are not in the table

	// The labels of the newest series except the first label, and the encoded references of these labels. Metrics of one record differ only
	// in their names, so the next series often has the same labels.
	tail        refs
	encodedTail []byte
}

func (y *symbols) reset() {
	y.body = appendString(y.body[:0], symbol2, "")
	y.next = 1
	for _, slot := range y.used {
		y.bySlot[slot] = 0
	}
	y.used = y.used[:0]
	clear(y.texts)
	y.tail = ""
}

// grow makes bySlot at least as long as the list of the table's strings.
func (y *symbols) grow() {
	if missing := len(y.table.strings) - len(y.bySlot); missing > 0 {
		y.bySlot = append(y.bySlot, make([]uint32, missing)...)
	}
}

// appendRefs appends the references of the slots of a series.
func (y *symbols) appendRefs(dst []byte, slots refs) []byte {
	tail := slots.afterLabel()
	dst = y.appendAll(dst, slots[:len(slots)-len(tail)])
	if tail != y.tail {
		y.tail, y.encodedTail = tail, y.appendAll(y.encodedTail[:0], tail)
	}
	if tail == "" {
		return dst
	}
	return append(dst, y.encodedTail...)
}

// appendAll appends the references of a list of slots, one after another.
func (y *symbols) appendAll(dst []byte, slots refs) []byte {
	for slots != "" {
		var slot uint32
		slot, slots = slots.cut()
		dst = appendVarint(dst, uint64(y.ref(slot)))
	}
	return dst
}

// ref returns the reference of the string in a slot.
func (y *symbols) ref(slot uint32) uint32 {
	if n := y.bySlot[slot]; n != 0 {
		return n
	}
	return y.addSlot(slot)
}

// addSlot adds the string in a slot and returns its reference.
func (y *symbols) addSlot(slot uint32) uint32 {
	if slot == 0 {
		return 0
	}
	y.bySlot[slot] = y.addText(y.table.strings[slot].text)
	y.used = append(y.used, slot)
	return y.bySlot[slot]
}

// refOfText returns the reference of any string.
func (y *symbols) refOfText(text string) uint32 {
	if slot, known := y.table.slots[text]; known {
		y.grow()
		return y.ref(slot)
	}
	n := y.addText(text)
	y.texts[text] = n
	return n
}

// addText returns the reference of a string, and adds the string if it has none. The string can have a reference from a time when it was
// not yet in the table.
func (y *symbols) addText(text string) uint32 {
	if n := y.texts[text]; n != 0 {
		return n
	}
	y.body = appendString(y.body, symbol2, text)
	y.next++
	return y.next - 1
}

// forget moves the reference of a slot to the map "texts", since another string will be put into the slot.
func (y *symbols) forget(slot uint32) {
	y.tail = ""
	if int(slot) < len(y.bySlot) && y.bySlot[slot] != 0 {
		y.texts[y.table.strings[slot].text] = y.bySlot[slot]
		y.bySlot[slot] = 0
	}
}

// appendHistogram appends the native histogram of h. The counts are written even if they are zero, since they are members of a
// oneof.
func appendHistogram(dst []byte, field byte, h *metric.HistogramValue, time, start int64) []byte {
	n := h.Native
	dst, at := beginMessage(dst, field)
	dst = appendCount(dst, histogramCount, h.Count, n.Fractions)
	dst = appendDouble(dst, histogramSum, h.Sum)
	dst = appendUint(dst, histogramSchema, protowire.EncodeZigZag(int64(n.Schema)))
	dst = appendDouble(dst, histogramZeroThreshold, n.ZeroThreshold)
	dst = appendCount(dst, histogramZeroCount, n.ZeroCount, n.Fractions)
	dst = appendBuckets(dst, histogramNegative, n.Negative, n.Fractions)
	dst = appendBuckets(dst, histogramPositive, n.Positive, n.Fractions)
	if n.Gauge {
		dst = appendUint(dst, histogramHint, hintGauge)
	}
	dst = appendInt(dst, histogramTime, time)
	if len(n.Bounds) > 0 {
		dst = protowire.AppendTag(dst, histogramBounds, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(8*len(n.Bounds)))
		for _, bound := range n.Bounds {
			dst = protowire.AppendFixed64(dst, math.Float64bits(bound))
		}
	}
	if start != 0 {
		dst = protowire.AppendTag(dst, histogramStart, protowire.VarintType)
		dst = appendVarint(dst, uint64(start))
	}
	return endMessage(dst, at)
}

// appendCount appends a count. An integer is written as the field with this number, a float as the field with the next number.
func appendCount(dst []byte, field byte, count uint64, fraction bool) []byte {
	if fraction {
		return protowire.AppendFixed64(append(dst, (field+1)<<3|fixed64), count)
	}
	return appendUint(dst, field, count)
}

// appendBuckets appends the spans of adjacent buckets, and the counts of the buckets. Integers are encoded as deltas, floats as
// absolute values.
func appendBuckets(dst []byte, field byte, buckets []metric.NativeBucket, fractions bool) []byte {
	if len(buckets) == 0 {
		return dst
	}
	after := int32(0) // the index after the last bucket
	for rest := buckets; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Index == rest[0].Index+int32(n) {
			n++
		}
		var at int
		dst, at = beginMessage(dst, field)
		dst = appendUint(dst, spanOffset, protowire.EncodeZigZag(int64(rest[0].Index-after)))
		dst = endMessage(appendUint(dst, spanLength, uint64(n)), at)
		after = rest[0].Index + int32(n)
		rest = rest[n:]
	}
	if fractions {
		dst, at := beginMessage(dst, field+2)
		for _, b := range buckets {
			dst = protowire.AppendFixed64(dst, b.Count)
		}
		return endMessage(dst, at)
	}
	dst, at := beginMessage(dst, field+1)
	last := uint64(0)
	for _, b := range buckets {
		dst = appendVarint(dst, protowire.EncodeZigZag(int64(b.Count-last)))
		last = b.Count
	}
	return endMessage(dst, at)
}
