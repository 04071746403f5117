package wire

import (
	"cmp"
	"iter"
	"strings"

	"github.com/collectington/collectington/agent/metric"
)

// Table stores the strings of a set of series, each string once. A table, its series and its builders are not safe for concurrent use.
type Table struct {
	slots    map[string]uint32
	strings  []tableString // strings by slot; slot 0 is "" and is never released
	free     []uint32      // slots that are not used
	families map[familyKey]*family
	builders []*Builder
	scratch  []byte
}

type tableString struct {
	text string
	uses int
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{slots: map[string]uint32{"": 0}, strings: []tableString{{uses: 1}}, families: map[familyKey]*family{}}
}

// Series holds the labels and metadata of a series, in a format from which both protocols can be encoded. It is small, since there
// may be a million series.
type Series struct {
	refs    refs
	family  *family
	labels1 *string // the labels, encoded as fields of a 1.0 message; nil until they are needed
}

// family holds the metadata of series. All series of a table that have the same metadata share one family.
type family struct {
	familyKey
	table *Table
	uses  int // number of series
}

// familyKey is the metadata of series. The fields "help" and "unit" are slots.
type familyKey struct {
	help, unit uint32
	metricType metric.Type
}

// refs is a list of slots, encoded as varints: the name and the value of each label.
type refs string

// cut returns the first slot and the remaining list.
func (r refs) cut() (slot uint32, rest refs) {
	for i := 0; ; i++ {
		c := r[i]
		slot |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			return slot, r[i+1:]
		}
	}
}

// afterLabel returns the list without its first label.
func (r refs) afterLabel() refs {
	if r == "" {
		return r
	}
	_, r = r.cut()
	_, r = r.cut()
	return r
}

// Series returns a series with these labels, and with the type, help and unit of its family. The labels must be sorted by name and include
// the metric name as __name__. Call [Series.Forget] when the series is no longer used.
func (t *Table) Series(labels []metric.Label, family *metric.Desc) Series {
	t.scratch = t.scratch[:0]
	for _, l := range labels {
		t.scratch = appendVarint(t.scratch, uint64(t.acquire(l.Name)))
		t.scratch = appendVarint(t.scratch, uint64(t.acquire(l.Value)))
	}
	return Series{refs: refs(t.scratch), family: t.acquireFamily(family)}
}

// Forget releases the strings of the series. The series must not be used afterwards.
func (s *Series) Forget() {
	t := s.family.table
	for _, b := range t.builders {
		if b.open == s {
			b.closeSeries()
		}
	}
	for rest := s.refs; rest != ""; {
		var slot uint32
		slot, rest = rest.cut()
		t.release(slot)
	}
	t.releaseFamily(s.family)
	*s = Series{}
}

// acquireFamily returns the family with the metadata of d, and increases the family's number of uses by one.
func (t *Table) acquireFamily(d *metric.Desc) *family {
	key := familyKey{t.acquire(d.Help), t.acquire(d.Unit), cmp.Or(d.Scraped, d.Type)}
	f := t.families[key]
	if f == nil {
		f = &family{familyKey: key, table: t}
		t.families[key] = f
	}
	f.uses++
	return f
}

// releaseFamily decreases the number of uses of a family by one. It removes a family without uses.
func (t *Table) releaseFamily(f *family) {
	if f.uses--; f.uses == 0 {
		delete(t.families, f.familyKey)
	}
	t.release(f.help)
	t.release(f.unit)
}

// acquire returns the slot of a string, and increases the string's number of uses by one.
func (t *Table) acquire(text string) uint32 {
	slot, known := t.slots[text]
	if !known {
		text = strings.Clone(text) // the text may be part of a large string, which would stay in memory
		if n := len(t.free); n > 0 {
			slot, t.free = t.free[n-1], t.free[:n-1]
			t.strings[slot].text = text
		} else {
			slot = uint32(len(t.strings))
			t.strings = append(t.strings, tableString{text: text})
		}
		t.slots[text] = slot
	}
	t.strings[slot].uses++
	return slot
}

// release decreases the number of uses of a string by one. It removes a string without uses.
func (t *Table) release(slot uint32) {
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

// label returns the first label of r and the remaining list.
func (t *Table) label(r refs) (l metric.Label, rest refs) {
	name, r := r.cut()
	value, r := r.cut()
	return metric.Label{Name: t.strings[name].text, Value: t.strings[value].text}, r
}

// Labels appends the series' labels to dst.
func (s *Series) Labels(dst []metric.Label) []metric.Label {
	for rest := s.refs; rest != ""; {
		var l metric.Label
		l, rest = s.family.table.label(rest)
		dst = append(dst, l)
	}
	return dst
}

// String returns the series as text, such as {__name__="x",team="a"}. It is for messages.
func (s *Series) String() string { return metric.Labels(s.Labels(nil)).String() }

// Symbol identifies a string of a table. Symbol 0 is "".
type Symbol uint32

// Symbol returns the symbol of a text, and whether the table has it.
func (t *Table) Symbol(text string) (s Symbol, known bool) {
	slot, known := t.slots[text]
	return Symbol(slot), known
}

// Text returns the text of a symbol.
func (t *Table) Text(s Symbol) string { return t.strings[s].text }

// Symbols iterates over the labels of the series: the name and the value of each.
func (s *Series) Symbols() iter.Seq2[Symbol, Symbol] {
	return func(yield func(name, value Symbol) bool) {
		for rest := s.refs; rest != ""; {
			var name, value uint32
			name, rest = rest.cut()
			value, rest = rest.cut()
			if !yield(Symbol(name), Symbol(value)) {
				return
			}
		}
	}
}

// Value returns the value of a label, or 0 if the series does not have the label.
func (s *Series) Value(name Symbol) Symbol {
	for n, value := range s.Symbols() {
		if n == name {
			return value
		}
	}
	return 0
}

// Equal reports whether the series has exactly these labels, which must be sorted by name.
func (s *Series) Equal(labels []metric.Label) bool {
	rest := s.refs
	for _, want := range labels {
		if rest == "" {
			return false
		}
		var l metric.Label
		if l, rest = s.family.table.label(rest); l != want {
			return false
		}
	}
	return rest == ""
}

// Preload reads the memory that a 2.0 message of the series is made from. See the package encode for its use. The result has no meaning.
func (s *Series) Preload() int {
	n := 0
	if s.family != nil {
		n++
	}
	if s.refs != "" {
		n += int(s.refs[0]) + int(s.refs[len(s.refs)-1])
	}
	return n
}

// encoded1 returns the labels as fields of a 1.0 message.
func (s *Series) encoded1() string {
	if s.labels1 == nil {
		t := s.family.table
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
