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

// Labels are labels sorted by name, without empty names and values.
type Labels []Label

// LabelSet is an immutable set of labels: sorted by name, no empty value, without the metric's name. It is the one form
// in which the ledger, batches and sinks share labels. Its inner form may change; use its methods.
//
// A series is identified by its family's [Desc] together with its LabelSet:
//
//   - A series keeps the same *LabelSet from batch to batch for as long as it exists. A sink may use the pointer, together
//     with the *Desc, as the key of what it remembers of a series, such as its encoded labels. After a reload of the
//     configuration the *Desc can be another one.
//   - Series of different families may share a *LabelSet. The ledger makes one for all series of a job that have the same
//     labels. The pointer alone is not the key of a series.
//   - Two pointers may still have equal labels: in batches of different jobs, before and after a series was absent, and
//     in series that a source hands over ready-made. Use [LabelSet.Equal] where the content counts.
//   - A LabelSet is freed when no series uses it any more and no sink remembers it. The ledger may keep the sets of series
//     that are gone for some ticks, but not more than a quarter of the job's series.
//
// The zero LabelSet and a nil *LabelSet are the empty set.
type LabelSet struct {
	text string // see AppendLabel
}

// NewLabelSet returns the set of the labels, which are copied.
func NewLabelSet(labels Labels) *LabelSet {
	var buf [256]byte // large enough for most sets
	encoded := buf[:0]
	for _, l := range labels {
		encoded = AppendLabel(encoded, l.Name, l.Value)
	}
	return LabelSetOf(encoded)
}

// AppendLabel appends a label to an encoded set of labels and returns the extended buffer. Labels must be appended sorted
// by name, without empty values. Two encoded sets are the same bytes if and only if they have the same labels, so they can
// be hashed and compared. The form of the bytes may change: do not store them.
func AppendLabel(encoded []byte, name, value string) []byte {
	encoded = append(binary.AppendUvarint(encoded, uint64(len(name))), name...)
	return append(binary.AppendUvarint(encoded, uint64(len(value))), value...)
}

// LabelSetOf returns the set that [AppendLabel] has encoded. The bytes are copied.
func LabelSetOf(encoded []byte) *LabelSet { return &LabelSet{string(encoded)} }

// Is reports whether s is the set that [AppendLabel] has encoded.
func (s *LabelSet) Is(encoded []byte) bool { return s.encoded() == string(encoded) }

// Equal reports whether the sets have the same labels.
func (s *LabelSet) Equal(other *LabelSet) bool { return s == other || s.encoded() == other.encoded() }

func (s *LabelSet) encoded() string {
	if s == nil {
		return ""
	}
	return s.text
}

// All iterates over the labels, sorted by name.
func (s *LabelSet) All() iter.Seq[Label] {
	return func(yield func(Label) bool) {
		for text := s.encoded(); text != ""; {
			var l Label
			l.Name, text = cutString(text)
			l.Value, text = cutString(text)
			if !yield(l) {
				return
			}
		}
	}
}

// cutString splits an encoded set after its first string.
func cutString(text string) (first, rest string) {
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

// Append appends the labels to dst, sorted by name, and returns the extended slice. The strings share the set's memory.
func (s *LabelSet) Append(dst []Label) []Label {
	for l := range s.All() {
		dst = append(dst, l)
	}
	return dst
}

// Get returns the value of the label called name, "" if the set has none.
func (s *LabelSet) Get(name string) string {
	for l := range s.All() {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// String returns the labels in the text exposition format, as [Labels.String] does.
func (s *LabelSet) String() string { return Labels(s.Append(nil)).String() }

func compareLabels(a, b Label) int { return cmp.Compare(a.Name, b.Name) }

// Get returns the value of the label called name, "" if there is none.
func (s Labels) Get(name string) string {
	for _, l := range s {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// String returns the labels in the text exposition format: {a="1",b="2"}, or "" if there are none.
func (s Labels) String() string {
	if len(s) == 0 {
		return ""
	}
	// The format escapes these three characters and no others.
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
