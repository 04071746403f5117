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

// LabelSet is an immutable set of labels: sorted by name, without empty values, and without the metric's name. The ledger, batches
// and sinks share LabelSets. The encoding inside may change, so use the methods.
//
// A series is identified by the [Desc] of its family together with its LabelSet:
//
//   - A series has the same *LabelSet in all batches, for as long as it exists. A sink may use the pointer, together with the
//     *Desc, as the key under which it keeps data about a series, such as the encoded labels. After a reload of the
//     configuration, the *Desc can be another one.
//   - Series of different families may share a *LabelSet. The ledger makes one LabelSet for all series of a job that have the
//     same labels. So the pointer alone does not identify a series.
//   - Two pointers may have equal labels: in batches of different jobs, before and after a series was absent, and in series
//     that a source provides with absolute values. Use [LabelSet.Equal] to compare the labels.
//   - A LabelSet is freed when no series uses it and no sink keeps it. The ledger may keep the sets of series that have ended
//     for some ticks, but not more than a quarter of the job's series.
//
// The zero LabelSet and a nil *LabelSet are the empty set.
type LabelSet struct {
	text string // see AppendLabel
}

// NewLabelSet returns a set of the labels. The labels are copied.
func NewLabelSet(labels Labels) *LabelSet {
	var buf [256]byte // large enough for most sets
	encoded := buf[:0]
	for _, l := range labels {
		encoded = AppendLabel(encoded, l.Name, l.Value)
	}
	return LabelSetOf(encoded)
}

// AppendLabel appends a label to an encoded set of labels and returns the extended buffer. Labels must be appended sorted by name,
// and must not have empty values. Two sets have the same labels if and only if their encodings have the same bytes. So encodings
// can be hashed and compared. Do not store them, since the encoding may change.
func AppendLabel(encoded []byte, name, value string) []byte {
	encoded = append(binary.AppendUvarint(encoded, uint64(len(name))), name...)
	return append(binary.AppendUvarint(encoded, uint64(len(value))), value...)
}

// LabelSetOf returns a set from its encoding by [AppendLabel]. The bytes are copied.
func LabelSetOf(encoded []byte) *LabelSet { return &LabelSet{string(encoded)} }

// Is reports whether the argument has the same bytes as the encoding of the set by [AppendLabel].
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

// cutString splits an encoded set after the first string.
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

// Map returns the labels as a map, nil for the empty set.
func (s *LabelSet) Map() map[string]string {
	var labels map[string]string
	for l := range s.All() {
		if labels == nil {
			labels = map[string]string{}
		}
		labels[l.Name] = l.Value
	}
	return labels
}

// Get returns the value of the label called name, or "" if the set does not have the label.
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

// Get returns the value of the label called name, or "" if there is no such label.
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
	// The format escapes only these three characters.
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
