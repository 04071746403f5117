package wire

import (
	"cmp"
	"strings"

	"github.com/collectington/collectington/agent/metric"
)

// Table holds the strings of all remembered series, each once. Its series and builders belong to it; none of them is safe
// for concurrent use.
type Table struct {
	slots    map[string]uint32
	strings  []entry // the first one is "", for ever
	free     []uint32
	builders []*Builder
	scratch  []byte
}

type entry struct {
	text string
	uses int
}

// NewTable makes an empty one.
func NewTable() *Table {
	return &Table{slots: map[string]uint32{"": 0}, strings: []entry{{uses: 1}}}
}

// Series is a remembered series: its labels and metadata as both protocols need them.
type Series struct {
	table      *Table
	refs       []uint32 // slots of the labels' names and values in turn
	help, unit uint32   // slots
	kind       metric.Type
	labels1    string // the labels as fields of a 1.0 message; made when it is first needed
}

// Series remembers a series of these labels, sorted by name, the metric's name among them as __name__, with the type,
// help and unit of its family. It is to be given back by [Series.Forget].
func (t *Table) Series(labels []metric.Label, family *metric.Desc) *Series {
	s := &Series{table: t, kind: family.Type, refs: make([]uint32, 0, 2*len(labels))}
	for _, l := range labels {
		s.refs = append(s.refs, t.use(l.Name), t.use(l.Value))
	}
	s.help, s.unit = t.use(family.Help), t.use(family.Unit)
	return s
}

// Forget gives the series back. It must not be used after.
func (s *Series) Forget() {
	for _, b := range s.table.builders {
		if b.open == s {
			b.close()
		}
	}
	for _, slot := range s.refs {
		s.table.drop(slot)
	}
	s.table.drop(s.help)
	s.table.drop(s.unit)
	*s = Series{}
}

func (t *Table) use(text string) uint32 {
	slot, known := t.slots[text]
	if !known {
		text = strings.Clone(text) // it may be a part of something large
		if n := len(t.free); n > 0 {
			slot, t.free = t.free[n-1], t.free[:n-1]
			t.strings[slot].text = text
		} else {
			slot = uint32(len(t.strings))
			t.strings = append(t.strings, entry{text: text})
		}
		t.slots[text] = slot
	}
	t.strings[slot].uses++
	return slot
}

func (t *Table) drop(slot uint32) {
	e := &t.strings[slot]
	e.uses--
	if e.uses > 0 || slot == 0 {
		return
	}
	for _, b := range t.builders {
		b.symbols.forget(slot)
	}
	delete(t.slots, e.text)
	e.text = ""
	t.free = append(t.free, slot)
}

// text is the string of the i-th ref.
func (s *Series) text(i int) string { return s.table.strings[s.refs[i]].text }

// Labels appends the series' labels to dst.
func (s *Series) Labels(dst []metric.Label) []metric.Label {
	for i := 0; i < len(s.refs); i += 2 {
		dst = append(dst, metric.Label{Name: s.text(i), Value: s.text(i + 1)})
	}
	return dst
}

// String is the series for messages: {__name__="x",team="a"}.
func (s *Series) String() string { return metric.Labels(s.Labels(nil)).String() }

// Compare orders two series of one table so that neighbours have most in common.
func Compare(a, b *Series) int {
	for i := range min(len(a.refs), len(b.refs)) {
		if a.refs[i] != b.refs[i] {
			return strings.Compare(a.text(i), b.text(i))
		}
	}
	return cmp.Compare(len(a.refs), len(b.refs))
}

// Equal tells whether a series has these labels, which are sorted by name.
func (s *Series) Equal(labels []metric.Label) bool {
	if 2*len(labels) != len(s.refs) {
		return false
	}
	for i, l := range labels {
		if s.text(2*i) != l.Name || s.text(2*i+1) != l.Value {
			return false
		}
	}
	return true
}

// encoded1 is the labels as fields of a 1.0 message.
func (s *Series) encoded1() string {
	if s.labels1 == "" {
		t := s.table
		t.scratch = t.scratch[:0]
		for i := 0; i < len(s.refs); i += 2 {
			t.scratch = appendLabel1(t.scratch, s.text(i), s.text(i+1))
		}
		s.labels1 = string(t.scratch)
	}
	return s.labels1
}
