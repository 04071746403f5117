package ledger

import (
	"fmt"
	"hash/maphash"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// table is the state of one metric.
type table struct {
	desc    *metric.Desc
	seed    maphash.Seed
	sorted  []int // where the value of each label name stands in a full label set
	entries []entry
	index   map[uint64]int32 // hash of the label values → the newest entry of that hash
	live    int              // entries from here on belong to the tick under way
	pending []pending
	guess   int32 // the entry that the next reading is likely to belong to

	events *events // known event ids; nil where an event may count again
	drops  drops   // of the tick under way

	visited   uint32 // the tick that last brought readings or an error
	committed uint32 // the tick that was last committed
	failing   bool
	measured  time.Time // when it was last measured
}

// entry is one series.
type entry struct {
	labels   *metric.LabelSet
	hash     uint64
	chain    int32  // the next entry of the same hash, -1 = none
	seen     uint32 // the tick that last had a reading of it
	pending  int32  // where that reading stands
	known    bool   // it has a value, or for a delta something to compare with
	hidden   bool   // a delta that has nothing to show yet
	value    float64
	upstream float64 // the last reading, where the value is computed from it
	time     int64
	start    int64
	observed *observed // of a histogram or summary
}

// pending is what a tick wants of one entry.
type pending struct {
	entry int32
	count int32 // readings combined
	value float64
	time  int64
}

func newTable(d *metric.Desc) *table {
	t := &table{desc: d, seed: maphash.MakeSeed(), index: map[uint64]int32{}}
	if d.Once {
		t.events = newEvents(d.Remember, d.MaxEvents)
	}
	probe := make([]string, len(d.LabelNames))
	for i := range probe {
		probe[i] = "x"
	}
	set := d.LabelSet(probe)
	for _, name := range d.LabelNames {
		for i, l := range set.Labels {
			if l.Name == name {
				t.sorted = append(t.sorted, i)
			}
		}
	}
	return t
}

// match finds or makes the entry of each reading. On an error the caller rolls back.
func (t *table) match(at int64, tick uint32, rows []metric.Reading) error {
	t.live = len(t.entries)
	t.pending = t.pending[:0]
	t.guess = 0
	for i := range rows {
		row := &rows[i]
		if row.Time > at+maxAhead.Milliseconds() {
			t.drops.add(metric.Future, func() string { return time.UnixMilli(row.Time).UTC().Format(time.RFC3339) })
			continue
		}
		if t.events != nil && !t.events.stage(row.Event) {
			continue
		}
		if err := t.pend(t.find(row.Labels), tick, row); err != nil {
			return err
		}
	}
	if t.events != nil {
		return t.events.fit(&t.drops)
	}
	return nil
}

// pend notes a reading for its entry, combined with an earlier one of this tick where its metric says how.
func (t *table) pend(at int32, tick uint32, row *metric.Reading) error {
	e := &t.entries[at]
	again := e.seen == tick && int(e.pending) < len(t.pending) && t.pending[e.pending].entry == at
	if !again || t.adds() {
		e.seen, e.pending = tick, int32(len(t.pending))
		t.pending = append(t.pending, pending{entry: at, count: 1, value: row.Value, time: row.Time})
		return nil
	}
	p := &t.pending[e.pending]
	p.count++
	p.time = max(p.time, row.Time)
	switch t.desc.OnDuplicate {
	case metric.DuplicateSum:
		p.value += row.Value
	case metric.DuplicateLast:
		p.value = row.Value
	case metric.DuplicateMax:
		p.value = max(p.value, row.Value)
	case metric.DuplicateMin:
		p.value = min(p.value, row.Value)
	case metric.DuplicateCount:
	default:
		return fmt.Errorf("two readings of %s%s in one tick; tell them apart by a label, or set on_duplicate to sum, last, max, min or count", t.desc.Name, e.labels)
	}
	return nil
}

// adds tells whether each reading counts by itself, so that two of one series are no duplicates.
func (t *table) adds() bool {
	d := t.desc
	return d.Type == metric.Histogram || d.Type == metric.Summary || d.Type == metric.Counter && d.From == metric.Events
}

// find is the entry with these label values. Readings mostly come in the same order from tick to tick, so the entry after
// the last one found is tried before anything is hashed.
func (t *table) find(values []string) int32 {
	if int(t.guess) < len(t.entries) && t.is(&t.entries[t.guess], values) {
		t.guess++
		return t.guess - 1
	}
	hash := t.hash(values)
	at, found := t.index[hash]
	if !found {
		at = -1
	}
	for ; at >= 0; at = t.entries[at].chain {
		if t.is(&t.entries[at], values) {
			t.guess = at + 1
			return at
		}
	}
	e := entry{labels: t.desc.LabelSet(values), hash: hash, chain: -1}
	if found {
		e.chain = t.index[hash]
	}
	at = int32(len(t.entries))
	t.entries = append(t.entries, e)
	t.index[hash] = at
	t.guess = at + 1
	return at
}

// is tells whether the entry has these label values.
func (t *table) is(e *entry, values []string) bool {
	labels := e.labels.Labels
	if len(labels) == len(t.desc.Const)+len(values) {
		for i, v := range values {
			if labels[t.sorted[i]].Value != v {
				return false
			}
		}
		return true
	}
	for i, v := range values {
		if e.labels.Get(t.desc.LabelNames[i]) != v {
			return false
		}
	}
	return true
}

func (t *table) hash(values []string) uint64 {
	var h uint64
	for _, v := range values {
		h = h*0x9e3779b97f4a7c15 + maphash.String(t.seed, v)
	}
	return h
}
