package expose

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/proto"
)

// formats returns the formats of the page, in order of preference. The OpenMetrics formats have no _created lines by default, since
// Prometheus would store them as series.
func formats() []expfmt.Format {
	return []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtProtoDelim, expfmt.FmtText}
}

// encoder encodes one family after another in a format. A family is added in chunks, which limits the memory that is needed.
type encoder struct {
	kind    expfmt.FormatType
	escape  escaper
	packer  packer
	created createdLines
	plain   plainWriter
	begun   bool         // a chunk of the family was encoded
	text    bytes.Buffer // the text of the current chunk
	message []byte       // the message of the family; only for protobuf
}

func newEncoder(format expfmt.Format, p packer, created bool) *encoder {
	return &encoder{
		kind: format.FormatType(), escape: escaper{scheme: format.ToEscapingScheme()}, packer: p, created: createdLines{on: created},
	}
}

// begin begins a family. If the encoding of the previous family has panicked, begin removes what is left of that family.
func (e *encoder) begin() {
	e.message = e.message[:0]
	e.end()
}

// add encodes a chunk of a family. The name, help and type of the family are those of the first chunk.
func (e *encoder) add(chunk *dto.MetricFamily, isLegacy bool) error {
	if !isLegacy {
		chunk = e.escape.family(chunk)
	}
	if len(chunk.Metric) == 0 {
		return nil
	}
	first := !e.begun
	e.begun = true
	if e.kind == expfmt.TypeProtoDelim {
		return e.addMessage(chunk, first)
	}
	text, err := e.write(chunk)
	if err != nil {
		return fmt.Errorf("write metric %s: %w", chunk.GetName(), err)
	}
	if !first {
		text = withoutComments(text)
	}
	e.packer.write(text)
	if e.created.on && e.kind == expfmt.TypeTextPlain {
		return e.created.add(chunk)
	}
	return nil
}

func (e *encoder) write(chunk *dto.MetricFamily) (text []byte, err error) {
	e.text.Reset()
	switch {
	case e.kind == expfmt.TypeOpenMetrics && e.created.on:
		_, err = expfmt.MetricFamilyToOpenMetrics(&e.text, chunk, expfmt.WithCreatedLines())
	case e.kind == expfmt.TypeOpenMetrics:
		_, err = expfmt.MetricFamilyToOpenMetrics(&e.text, chunk)
	default:
		_, err = expfmt.MetricFamilyToText(&e.text, chunk)
	}
	return e.text.Bytes(), err
}

// addMessage appends a chunk to the family's message. Two encoded messages, one after the other, are one message that contains the
// lists of both (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
func (e *encoder) addMessage(chunk *dto.MetricFamily, first bool) (err error) {
	if !first {
		chunk = &dto.MetricFamily{Metric: chunk.Metric}
	}
	e.message, err = proto.MarshalOptions{}.MarshalAppend(e.message, chunk)
	if err != nil {
		return fmt.Errorf("write metric %s: %w", chunk.GetName(), err)
	}
	return nil
}

// end returns the encoded family.
func (e *encoder) end() piece {
	hidden := e.escape.hidden
	e.begun, e.escape.seen, e.escape.hidden = false, seriesSet{}, 0
	if len(e.message) > 0 {
		e.packer.write(binary.AppendUvarint(nil, uint64(len(e.message))))
		e.packer.write(e.message)
		e.message = e.message[:0]
	}
	if created := e.created.end(); len(created) > 0 {
		e.packer.write(created)
	}
	p := e.packer.end()
	p.hidden = hidden
	return p
}

// tail returns the end of a page.
func (e *encoder) tail() piece {
	if e.kind == expfmt.TypeOpenMetrics {
		e.packer.write([]byte("# EOF\n"))
	}
	return e.packer.end()
}

// escaper escapes names for scrapers that do not accept UTF-8 names. Different names may become equal when they are escaped. If a series
// would occur twice after escaping, or would have the same label twice, it is left out, because a scraper would refuse the whole page.
type escaper struct {
	scheme model.EscapingScheme
	seen   seriesSet
	hidden int // number of series of the family that are left out
}

func (e *escaper) family(f *dto.MetricFamily) *dto.MetricFamily {
	if e.scheme == model.NoEscaping {
		return f
	}
	f = model.EscapeMetricFamily(f, e.scheme)
	kept := f.Metric[:0]
	for _, m := range f.Metric {
		if e.isUnique(m) {
			kept = append(kept, m)
		}
	}
	e.hidden += len(f.Metric) - len(kept)
	f.Metric = kept
	return f
}

// isUnique reports whether no label name occurs twice in the series, and whether the series was not seen before.
func (e *escaper) isUnique(m *dto.Metric) bool {
	e.seen.key = e.seen.key[:0]
	for i, l := range m.Label {
		for _, other := range m.Label[:i] {
			if other.GetName() == l.GetName() {
				return false
			}
		}
		e.seen.appendKey(l.GetName())
		e.seen.appendKey(l.GetValue())
	}
	return e.seen.addKey()
}

// createdLines writes start timestamps. The text format has no syntax for them, so they are written as a gauge NAME_created in Unix
// seconds, as the Python client does.
type createdLines struct {
	on   bool
	text bytes.Buffer
}

// add adds the start timestamps of a chunk of a family.
func (c *createdLines) add(chunk *dto.MetricFamily) error {
	name := chunk.GetName()
	if chunk.GetType() == dto.MetricType_COUNTER {
		name = strings.TrimSuffix(name, "_total")
	}
	name += "_created"
	made := &dto.MetricFamily{Name: &name, Help: chunk.Help, Type: dto.MetricType_GAUGE.Enum()}
	for _, m := range chunk.Metric {
		at := m.GetCounter().GetCreatedTimestamp()
		if m.Histogram != nil {
			at = m.Histogram.CreatedTimestamp
		} else if m.Summary != nil {
			at = m.Summary.CreatedTimestamp
		}
		if at != nil {
			seconds := float64(at.Seconds) + float64(at.Nanos)/1e9
			made.Metric = append(made.Metric, &dto.Metric{Label: m.Label, Gauge: &dto.Gauge{Value: &seconds}})
		}
	}
	if len(made.Metric) == 0 {
		return nil
	}
	begun := c.text.Len()
	if _, err := expfmt.MetricFamilyToText(&c.text, made); err != nil {
		return err
	}
	if begun > 0 {
		more := withoutComments(bytes.Clone(c.text.Bytes()[begun:]))
		c.text.Truncate(begun)
		c.text.Write(more)
	}
	return nil
}

// end returns the lines of the family and begins the next family.
func (c *createdLines) end() []byte {
	text := c.text.Bytes()
	c.text.Reset()
	return text
}

// withoutComments removes # HELP and # TYPE from the text of a chunk. Only the first chunk of a family has them.
func withoutComments(text []byte) []byte {
	for bytes.HasPrefix(text, []byte("# ")) {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text
}
