package ledger

import (
	"cmp"
	"hash/maphash"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// table is the state of one metric.
type table struct {
	desc    *metric.Desc
	hash    func(values []string) uint64
	order   []place // of the labels in a set that has them all
	entries []entry
	slots   []int32 // open addressing by hash: an entry's place, from 1; 0 = free. At most two thirds are taken

	events *events // known event ids; nil where an event may count again

	visited  uint32    // the tick that last brought readings or an error
	measured time.Time // the last tick that brought no error

	// Of the tick under way.
	failing bool // it brought an error
	live    int  // entries from here on are new
	guess   int  // the entry that the next reading is likely to belong to
	pending []pending
	timed   bool // some of them have times of their own
	taken   int  // readings
	drops   drops

	earlier map[*metric.LabelSet][]metric.Point // what the last tick brought of a series beside its value
}

// place is where a label gets its value: that of the reading with this number, or -1 for one of the declaration's own.
type place struct {
	name  string
	value int
}

// entry is one series.
type entry struct {
	labels   *metric.LabelSet
	hash     uint64
	seen     uint32 // the tick that last had a reading of it
	pending  int32  // where that reading stands
	known    bool   // it has a value, or for a delta something to compare with
	hidden   bool   // a delta that has nothing to show yet
	gone     bool   // it is not shown: all that is left of it is its last time
	value    float64
	upstream float64 // the last reading, where the value is computed from it
	time     int64
	start    int64
	observed *observed // of a histogram or summary
}

func newTable(d *metric.Desc) *table {
	t := &table{desc: d, hash: newHash()}
	if d.Once {
		t.events = newEvents(d.Remember, d.MaxEvents)
	}
	for i, name := range d.LabelNames {
		t.order = append(t.order, place{name, i})
	}
	for _, l := range d.Const {
		if l.Value != "" {
			t.order = append(t.order, place{l.Name, -1})
		}
	}
	slices.SortFunc(t.order, func(a, b place) int { return cmp.Compare(a.name, b.name) })
	return t
}

// distinct tells whether no two labels have one name.
func (t *table) distinct() bool {
	return len(slices.CompactFunc(slices.Clone(t.order), func(a, b place) bool { return a.name == b.name })) == len(t.order)
}

func newHash() func(values []string) uint64 {
	seed := maphash.MakeSeed()
	return func(values []string) uint64 {
		var h uint64
		for _, v := range values {
			h = h*0x9e3779b97f4a7c15 + maphash.String(seed, v)
		}
		return h
	}
}

// find is the place of the entry with these label values, which is made if there is none. Readings mostly come in the same
// order from tick to tick, so the entry after the last one found is tried before anything is hashed.
func (t *table) find(values []string) int {
	if t.guess < len(t.entries) && t.is(&t.entries[t.guess], values) {
		t.guess++
		return t.guess - 1
	}
	if 3*(len(t.entries)+1) > 2*len(t.slots) {
		t.index(2 * len(t.entries))
	}
	hash := t.hash(values)
	slot := t.slot(hash)
	for ; t.slots[slot] != 0; slot = t.next(slot) {
		at := int(t.slots[slot]) - 1
		if e := &t.entries[at]; e.hash == hash && t.is(e, values) {
			t.guess = at + 1
			return at
		}
	}
	t.entries = append(t.entries, entry{labels: t.desc.LabelSet(values), hash: hash})
	t.slots[slot] = int32(len(t.entries))
	t.guess = len(t.entries)
	return t.guess - 1
}

// slot is where the search for a hash begins, next where it goes on.
func (t *table) slot(hash uint64) int { return int(hash & uint64(len(t.slots)-1)) }
func (t *table) next(slot int) int    { return (slot + 1) & (len(t.slots) - 1) }

// index fills the slots anew, with room for n entries before that is needed again.
func (t *table) index(n int) {
	size := 8
	for 2*size < 3*(n+1) {
		size *= 2
	}
	if len(t.slots) < size || len(t.slots) > 8*size {
		t.slots = make([]int32, size)
	} else {
		clear(t.slots)
	}
	for i := range t.entries {
		slot := t.slot(t.entries[i].hash)
		for t.slots[slot] != 0 {
			slot = t.next(slot)
		}
		t.slots[slot] = int32(i) + 1
	}
}

// is tells whether the entry has these label values.
func (t *table) is(e *entry, values []string) bool {
	rest := t.order
	left := func() { // out the labels without a value
		for len(rest) > 0 && rest[0].value >= 0 && values[rest[0].value] == "" {
			rest = rest[1:]
		}
	}
	left()
	for l := range e.labels.All() {
		if len(rest) == 0 || rest[0].name != l.Name || rest[0].value >= 0 && values[rest[0].value] != l.Value {
			return false
		}
		rest = rest[1:]
		left()
	}
	return len(rest) == 0
}

// cut drops the entries from n on and gives their memory back: a refused tick may have brought very many.
func (t *table) cut(n int) {
	if n < len(t.entries) {
		t.entries = slices.Clone(t.entries[:n])
		t.index(n)
	}
}

// lasts tells whether the entry will be left after the tick: it was seen, or is a running total of ours.
func (t *table) lasts(e *entry, tick uint32) bool {
	return e.seen == tick || e.known && t.desc.Accumulates()
}

// lasting is how many entries will be left after the tick.
func (t *table) lasting(tick uint32) int {
	n := 0
	for i := range t.entries {
		if e := &t.entries[i]; t.failing && !e.gone || !t.failing && t.lasts(e, tick) {
			n++
		}
	}
	return n
}

// keepLasting drops the other entries, but for last times that are remembered.
func (t *table) keepLasting(c *commit) {
	kept, gone := 0, 0
	for i := range t.entries {
		e := &t.entries[i]
		if e.gone = !t.lasts(e, c.tick); e.gone {
			if gone == maxGone || !t.remembers(e, c.at) {
				continue
			}
			gone++
		}
		if kept < i {
			t.entries[kept] = *e
		}
		kept++
	}
	if kept < len(t.entries) {
		clear(t.entries[kept:])
		t.entries = t.entries[:kept]
		t.index(kept)
	}
}

// idle tells whether the tick brought nothing of the metric and there is nothing to remember of it.
func (t *table) idle(tick uint32) bool {
	return t.visited != tick && t.desc.FirstRun == metric.FirstCount && len(t.entries) == 0 && (t.events == nil || len(t.events.known) == 0)
}
