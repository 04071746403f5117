package expose

import (
	"bytes"
	"encoding/binary"
	"fmt"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/proto"
)

// formats are those that can be asked for, in the order in which they are preferred. OpenMetrics goes without _created
// lines unless they are asked for: Prometheus makes series of them.
func formats() []expfmt.Format {
	return []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtProtoDelim, expfmt.FmtText}
}

// encoder turns one family after the other into a format. A family comes in chunks, so that what is needed in between
// does not grow with it.
type encoder struct {
	kind    expfmt.FormatType
	escape  escaper
	packer  packer
	created creations
	begun   bool         // something of the family at hand is written
	text    bytes.Buffer // the chunk at hand
	message []byte       // the family's message so far; of protobuf alone
}

func newEncoder(format expfmt.Format, p packer, created bool) *encoder {
	return &encoder{
		kind: format.FormatType(), escape: escaper{scheme: format.ToEscapingScheme()}, packer: p, created: creations{on: created},
	}
}

// begin drops what a panic may have left of the family before.
func (e *encoder) begin() {
	e.message = e.message[:0]
	e.end()
}

// add encodes a chunk of a family. The first one's name, help and type stand for all of them.
func (e *encoder) add(chunk *dto.MetricFamily, legacy bool) error {
	if !legacy {
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
		text = withoutHead(text)
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

// addMessage relies on that encoded messages, one after the other, are the encoding of one message with the lists of both
// (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
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

// end returns the family.
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

// tail is what ends a page.
func (e *encoder) tail() piece {
	if e.kind == expfmt.TypeOpenMetrics {
		e.packer.write([]byte("# EOF\n"))
	}
	return e.packer.end()
}

// escaper makes names that a scraper does not take into ones that it does. Two names can become one by that: what would
// be there twice is left out, since a scraper refuses the whole page for a label that a series has twice.
type escaper struct {
	scheme model.EscapingScheme
	seen   seriesSet
	hidden int // series left out of the family at hand
}

func (e *escaper) family(f *dto.MetricFamily) *dto.MetricFamily {
	if e.scheme == model.NoEscaping {
		return f
	}
	f = model.EscapeMetricFamily(f, e.scheme)
	kept := f.Metric[:0]
	for _, m := range f.Metric {
		if e.fresh(m) {
			kept = append(kept, m)
		}
	}
	e.hidden += len(f.Metric) - len(kept)
	f.Metric = kept
	return f
}

func (e *escaper) fresh(m *dto.Metric) bool {
	e.seen.key = e.seen.key[:0]
	for i, l := range m.Label {
		for _, other := range m.Label[:i] {
			if other.GetName() == l.GetName() {
				return false
			}
		}
		e.seen.add(l.GetName())
		e.seen.add(l.GetValue())
	}
	return e.seen.take()
}
