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

// Series is a remembered series: its labels and metadata as both protocols need them. There are very many, so its slots
// are a text.
type Series struct {
	table      *Table
	refs       refs
	labels1    *string // the labels as fields of a 1.0 message; made when it is first needed
	help, unit uint32  // slots
	kind       metric.Type
}

// refs are the slots of labels' names and values in turn, each a varint.
type refs string

// next takes the first slot.
func (r refs) next() (slot uint32, rest refs) {
	for i := 0; ; i++ {
		c := r[i]
		slot |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			return slot, r[i+1:]
		}
	}
}

// Series remembers a series of these labels, sorted by name, the metric's name among them as __name__, with the type,
// help and unit of its family. It is to be given back by [Series.Forget].
func (t *Table) Series(labels []metric.Label, family *metric.Desc) Series {
	t.scratch = t.scratch[:0]
	for _, l := range labels {
		t.scratch = appendVarint(t.scratch, uint64(t.use(l.Name)))
		t.scratch = appendVarint(t.scratch, uint64(t.use(l.Value)))
	}
	return Series{table: t, refs: refs(t.scratch), help: t.use(family.Help), unit: t.use(family.Unit), kind: family.Type}
}

// Forget gives the series back. It must not be used after.
func (s *Series) Forget() {
	for _, b := range s.table.builders {
		if b.open == s {
			b.close()
		}
	}
	for rest := s.refs; rest != ""; {
		var slot uint32
		slot, rest = rest.next()
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

// label takes the first label from a series' refs.
func (t *Table) label(r refs) (l metric.Label, rest refs) {
	name, r := r.next()
	value, r := r.next()
	return metric.Label{Name: t.strings[name].text, Value: t.strings[value].text}, r
}

// Labels appends the series' labels to dst.
func (s *Series) Labels(dst []metric.Label) []metric.Label {
	for rest := s.refs; rest != ""; {
		var l metric.Label
		l, rest = s.table.label(rest)
		dst = append(dst, l)
	}
	return dst
}

// String is the series for messages: {__name__="x",team="a"}.
func (s *Series) String() string { return metric.Labels(s.Labels(nil)).String() }

// Compare orders two series of one table so that neighbours have most in common.
func Compare(a, b *Series) int {
	x, y := a.refs, b.refs
	for x != "" && y != "" {
		var p, q uint32
		p, x = x.next()
		q, y = y.next()
		if p != q {
			return strings.Compare(a.table.strings[p].text, b.table.strings[q].text)
		}
	}
	return cmp.Compare(len(x), len(y))
}

// Equal tells whether a series has these labels, which are sorted by name.
func (s *Series) Equal(labels []metric.Label) bool {
	rest := s.refs
	for _, want := range labels {
		if rest == "" {
			return false
		}
		var l metric.Label
		if l, rest = s.table.label(rest); l != want {
			return false
		}
	}
	return rest == ""
}

// encoded1 is the labels as fields of a 1.0 message.
func (s *Series) encoded1() string {
	if s.labels1 == nil {
		t := s.table
		t.scratch = t.scratch[:0]
		for rest := s.refs; rest != ""; {
			var l metric.Label
			l, rest = t.label(rest)
			t.scratch = appendLabel1(t.scratch, l.Name, l.Value)
		}
		s.labels1 = new(string(t.scratch))
	}
	return *s.labels1
}
