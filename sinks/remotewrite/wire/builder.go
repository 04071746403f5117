package wire

import (
	"github.com/collectington/collectington/agent/metric"
)

// Builder writes one request after another, in memory that it keeps. Samples of one series that are added one after the
// other go into one message; they are to be in order of time.
type Builder struct {
	protocol Protocol
	counts   Counts
	out      []byte

	body     []byte  // messages of series
	open     *Series // whose message is open; nil = none
	opened   int     // where its contents begin
	metadata []byte  // of 1.0

	symbols symbols // of 2.0
}

// NewBuilder makes one for the table's series. It lives as long as the table.
func (t *Table) NewBuilder() *Builder {
	b := &Builder{symbols: symbols{table: t, others: map[string]uint32{}}}
	t.builders = append(t.builders, b)
	return b
}

// Begin begins a request. What was begun before is lost, the bytes of the last one are taken back.
func (b *Builder) Begin(p Protocol) {
	b.protocol, b.counts, b.open = p, Counts{}, nil
	b.body, b.metadata = b.body[:0], b.metadata[:0]
	b.symbols.begin()
}

// End gives the request. Its bytes are valid until the next Begin.
func (b *Builder) End() Request {
	b.close()
	if b.protocol == V2 {
		b.out = append(append(b.out[:0], b.symbols.body...), b.body...)
	} else {
		b.out = append(append(b.out[:0], b.body...), b.metadata...)
	}
	return Request{b.protocol, b.out, b.counts}
}

// Counts says what has been added since Begin.
func (b *Builder) Counts() Counts { return b.counts }

// Size is how many bytes the request has so far, without the last series' metadata.
func (b *Builder) Size() int { return len(b.symbols.body) + len(b.body) + len(b.metadata) }

// Add adds a sample. Times are Unix milliseconds; a start of 0 is none, and 1.0 has none.
func (b *Builder) Add(s *Series, time int64, value float64, start int64) {
	b.into(s)
	b.counts.at(time)
	b.counts.Samples++
	dst, at := begin(b.body, seriesSample)
	dst = appendDouble(dst, sampleValue, value)
	dst = appendInt(dst, sampleTime, time)
	if start != 0 && b.protocol == V2 {
		dst = appendInt(dst, sampleStart, start)
	}
	b.body = end(dst, at)
}

// EndSeries ends the message of the last series. The next sample begins another one, even if it is of the same series.
func (b *Builder) EndSeries() { b.close() }

// AddHistogram adds the native buckets of h as a sample, as Add does.
func (b *Builder) AddHistogram(s *Series, time int64, h *metric.HistogramValue, start int64) {
	b.into(s)
	b.counts.at(time)
	b.counts.Histograms++
	if b.protocol == V2 {
		b.body = appendHistogram(b.body, histogram2, h, time, start)
	} else {
		b.body = appendHistogram(b.body, histogram1, h, time, 0)
	}
}

// AddExemplar adds an exemplar of the series' samples, with labels of its own sorted by name.
func (b *Builder) AddExemplar(s *Series, labels []metric.Label, value float64, time int64) {
	b.into(s)
	b.counts.Exemplars++
	if b.protocol == V1 {
		dst, at := begin(b.body, exemplar1)
		for _, l := range labels {
			dst = appendLabel1(dst, l.Name, l.Value)
		}
		dst = appendDouble(dst, exemplarValue, value)
		b.body = end(appendInt(dst, exemplarTime, time), at)
		return
	}
	dst, at := begin(b.body, exemplar2)
	if len(labels) > 0 {
		list := 0
		dst, list = begin(dst, seriesLabels)
		for _, l := range labels {
			dst = appendVarint(dst, uint64(b.symbols.ofText(l.Name)))
			dst = appendVarint(dst, uint64(b.symbols.ofText(l.Value)))
		}
		dst = end(dst, list)
	}
	dst = appendDouble(dst, exemplarValue, value)
	b.body = end(appendInt(dst, exemplarTime, time), at)
}

// AddMetadata tells a family's type, help and unit to a receiver of 1.0. In 2.0 every series tells its own.
func (b *Builder) AddMetadata(family *metric.Desc) {
	if b.protocol != V1 {
		return
	}
	dst, at := begin(b.metadata, metadata1)
	dst = appendUint(dst, familyType, typeNumber(family.Type))
	dst = appendString(dst, familyName, family.Name)
	if family.Help != "" {
		dst = appendString(dst, familyHelp, family.Help)
	}
	if family.Unit != "" {
		dst = appendString(dst, familyUnit, family.Unit)
	}
	b.metadata = end(dst, at)
}

// into makes the message of s the open one.
func (b *Builder) into(s *Series) {
	if b.open == s {
		return
	}
	b.close()
	b.open = s
	b.counts.Series++
	if b.protocol == V1 {
		b.body, b.opened = begin(b.body, series1)
		b.body = append(b.body, s.encoded1()...)
		return
	}
	b.symbols.grow()
	dst, at := begin(b.body, series2)
	dst, list := begin(dst, seriesLabels)
	for rest := s.refs; rest != ""; {
		var slot uint32
		slot, rest = rest.next()
		dst = appendVarint(dst, uint64(b.symbols.of(slot)))
	}
	b.body, b.opened = end(dst, list), at
}

// close ends the open message. The metadata comes last: the next message begins as this one did, so that from a value to
// the next labels there is one repetition.
func (b *Builder) close() {
	s := b.open
	if s == nil {
		return
	}
	b.open = nil
	if b.protocol == V2 && (s.kind != metric.Unknown || s.help != 0 || s.unit != 0) {
		dst, at := begin(b.body, metadata2)
		dst = appendUint(dst, metadataType, typeNumber(s.kind))
		if s.help != 0 {
			dst = appendUint(dst, metadataHelp, uint64(b.symbols.of(s.help)))
		}
		if s.unit != 0 {
			dst = appendUint(dst, metadataUnit, uint64(b.symbols.of(s.unit)))
		}
		b.body = end(dst, at)
	}
	b.body = end(b.body, b.opened)
}
