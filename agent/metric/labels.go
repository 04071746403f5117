package metric

import (
	"cmp"
	"encoding/binary"
	"iter"
	"strings"

	"github.com/prometheus/common/model"
)

// Label is a name and a value.
type Label struct{ Name, Value string }

// Labels are labels sorted by name, none empty.
type Labels []Label

// LabelSet is what tells a series from the others of its family: labels sorted by name, none empty, without the metric's
// name. It is made once for a series and never changed, and a series keeps it for as long as it lives, so that whoever
// remembers something of a series (its encoded labels) may know it again by the pointer. As there are very many of them,
// each is one text: of every label the name and the value, each behind its length.
type LabelSet struct{ text string }

// NewLabelSet copies the labels.
func NewLabelSet(labels Labels) *LabelSet {
	var room [256]byte // most often enough
	text := room[:0]
	for _, l := range labels {
		text = AppendLabel(text, l.Name, l.Value)
	}
	return LabelSetOf(text)
}

// AppendLabel appends a label in the form that [LabelSetOf] takes.
func AppendLabel(text []byte, name, value string) []byte {
	text = append(binary.AppendUvarint(text, uint64(len(name))), name...)
	return append(binary.AppendUvarint(text, uint64(len(value))), value...)
}

// LabelSetOf is the set of the labels that [AppendLabel] has put together, which are copied.
func LabelSetOf(text []byte) *LabelSet { return &LabelSet{string(text)} }

// Is tells whether it is the set of these labels, put together by [AppendLabel].
func (s *LabelSet) Is(text []byte) bool { return s.text == string(text) }

// All goes through the labels.
func (s *LabelSet) All() iter.Seq[Label] {
	return func(yield func(Label) bool) {
		for text := s.text; text != ""; {
			var l Label
			l.Name, text = cut(text)
			l.Value, text = cut(text)
			if !yield(l) {
				return
			}
		}
	}
}

// cut takes the first piece from a set's text.
func cut(text string) (piece, rest string) {
	n, size := int(text[0]), 1
	if n >= 0x80 { // a varint of several bytes
		n &= 0x7f
		for shift := 7; ; shift += 7 {
			b := text[size]
			n |= int(b&0x7f) << shift
			if size++; b < 0x80 {
				break
			}
		}
	}
	return text[size : size+n], text[size+n:]
}

// Append appends the labels to dst.
func (s *LabelSet) Append(dst []Label) []Label {
	for l := range s.All() {
		dst = append(dst, l)
	}
	return dst
}

// Get is the value of the label, "" where there is none.
func (s *LabelSet) Get(name string) string {
	for l := range s.All() {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// String is as that of [Labels].
func (s *LabelSet) String() string { return Labels(s.Append(nil)).String() }

func compareLabels(a, b Label) int { return cmp.Compare(a.Name, b.Name) }

// Get is the value of the label, "" where there is none.
func (s Labels) Get(name string) string {
	for _, l := range s {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// String is the labels as they stand in the text format: {a="1",b="2"}, or nothing where there are none.
func (s Labels) String() string {
	if len(s) == 0 {
		return ""
	}
	// The format escapes these three and nothing else.
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	var b strings.Builder
	for i, l := range s {
		b.WriteByte("{,"[min(i, 1)])
		if model.LegacyValidation.IsValidLabelName(l.Name) {
			b.WriteString(l.Name)
		} else {
			b.WriteString(`"` + escape.Replace(l.Name) + `"`)
		}
		b.WriteString(`="` + escape.Replace(l.Value) + `"`)
	}
	b.WriteByte('}')
	return b.String()
}
