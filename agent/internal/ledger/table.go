package ledger

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// table is the state of one metric: its series, indexed by their labels, and the event IDs it has counted.
//
// A tick calls begin, then match (find the series of each reading; can fail and be rolled back), then commit (compute the new values;
// cannot fail). After that, the method "family" returns the series that the metric shows.
type table struct {
	desc   *metric.Desc
	labels []label    // all declared labels, sorted by name; a series lacks those whose value is empty
	more   int        // index of metric.MoreLabels among the values of a reading, -1 if it is not there
	sets   *labelSets // the label sets that all tables of the ledger share

	entries []entry // one entry per series, in the order in which the series appeared
	saved   *saved  // the state of the table in the journal; nil without a journal
	slots   []int32 // hash table with open addressing: index of an entry plus 1; 0 = free. At least a third is free

	events  *events // nil if readings have no event IDs
	answers answers

	born     uint32    // the tick in which the table was made; 0 = it was restored
	visited  uint32    // the last tick that had readings or an error for this metric
	measured time.Time // time of the last tick without an error

	// State of the current tick.
	failing bool                        // the metric could not be measured
	ended   func(*metric.LabelSet) bool // whether a running total ends; nil = none does
	live    int                         // number of entries before the tick
	guess   int                         // index of the entry that the next reading probably belongs to
	pending []pending
	timed   bool // some pending readings have times of their own
	of      int  // number of readings, including those left out
	taken   int  // number of readings used
	drops   drops

	earlier map[*metric.LabelSet][]metric.Point // for series with several readings in the tick: all points before the last
}

// label is a declared label. If the field "value" is negative, the label has the value in the field "constant". Otherwise the field
// "value" is the index of the label's value in a reading.
type label struct {
	name     string
	value    int
	constant string
}

// entry is one series.
type entry struct {
	labels   *metric.LabelSet
	hash     uint32
	seen     uint32 // the last tick with a reading of this series
	pending  int32  // index of that reading in table.pending
	known    bool   // the series has a value; for a delta: upstream is set, so the next reading can be compared with it
	hidden   bool   // the series is not shown yet: a delta after its first reading, or a restored series whose value is perhaps old
	gone     bool   // the series is not shown; only its last time is remembered
	changed  bool   // the new state must be written to the journal
	value    float64
	upstream float64 // for a delta, the last reading; for on_decrease: add, the series' total at the last reset
	time     int64
	start    int64
	observed *observed // for a histogram or summary, else nil
}

// pending is a reading of the current tick, or several readings that were combined into one.
type pending struct {
	entry int32
	count int32 // number of readings combined
	value float64
	time  int64
}

// commit holds the data of a tick that the new values depend on.
type commit struct {
	tick   uint32
	at     int64 // the tick's time, Unix milliseconds
	seen   int64 // the time at which the tick's events count as seen, Unix milliseconds
	since  int64 // start timestamp of running totals that begin in this tick, Unix milliseconds
	result *Result
}

// With on_decrease: add, a series that is gone is remembered for ever, because its total must go on. For any other series that is gone, the
// ledger remembers only its last time, and only for the duration rememberTimes. So it does not use old readings again that the API still
// shows. A metric remembers at most maxGone series that are gone.
const (
	rememberTimes = 24 * time.Hour
	maxGone       = 100_000
)

func newTable(d *metric.Desc, sets *labelSets, j *journal) *table {
	t := &table{desc: d, more: slices.Index(d.LabelNames, metric.MoreLabels), sets: sets, saved: j.table(d)}
	sets.tables = append(sets.tables, t)
	if d.Once {
		t.events = newEvents(d.Remember, d.MaxEvents)
		if j != nil {
			t.events.slack = max(t.events.remember/j.sightings, 1)
		}
	}
	for i, name := range d.LabelNames {
		if i == t.more {
			continue
		}
		t.labels = append(t.labels, label{name: name, value: i})
	}
	for _, l := range d.Const {
		if l.Value != "" {
			t.labels = append(t.labels, label{name: l.Name, value: -1, constant: l.Value})
		}
	}
	slices.SortFunc(t.labels, func(a, b label) int { return cmp.Compare(a.name, b.name) })
	return t
}

// distinct reports whether all labels have different names.
func (t *table) distinct() bool {
	return len(slices.CompactFunc(slices.Clone(t.labels), func(a, b label) bool { return a.name == b.name })) == len(t.labels)
}

// begin prepares the table for a tick. As long as match has not been called, the tick has no readings of this metric.
func (t *table) begin() {
	t.failing, t.ended = false, nil
	t.live, t.guess = len(t.entries), 0
	t.pending, t.timed = t.pending[:0], false
	t.taken = 0
	t.earlier = nil
	t.answers.stage(nil)
	t.drops.reset()
}

// rollback undoes match. It frees the memory of new entries, because a refused tick can have a very large number of them.
func (t *table) rollback() {
	if t.events != nil {
		t.events.rollback()
	}
	if n := len(t.entries) - t.live; n > 0 {
		t.entries = slices.Clone(t.entries[:t.live])
		t.saved.truncate(t.live)
		t.index(t.live)
		t.sets.drop(n)
	}
	t.begin()
}

// match finds the entry of each reading, or adds an entry if there is none. It adds the readings to pending. After an error the caller
// must roll back.
func (t *table) match(at, seen int64, tick uint32, m *metric.Measured) error {
	rows := m.Rows
	t.answers.stage(m.Answers)
	if t.events != nil {
		t.events.was = m.EventWas
	}
	t.reserve(rows)
	for i := range rows {
		row, again := &rows[i], t.answers.again()
		if len(row.Labels) != len(t.desc.LabelNames) {
			return fmt.Errorf("a reading of %s has %d label values, want %d", t.desc.Name, len(row.Labels), len(t.desc.LabelNames))
		}
		if reason := t.unfit(at, row); reason != "" {
			t.drops.add(reason, 1, func() string { return t.describe(row) })
			continue
		}
		if t.events != nil && !t.events.stage(row.Event, seen) {
			continue
		}
		if again || t.skips() {
			continue
		}
		if err := t.add(t.find(row.Labels), tick, row); err != nil {
			return err
		}
	}
	if t.events != nil {
		if err := t.events.fit(); err != nil {
			return err
		}
	}
	if err := t.inOrder(at); err != nil {
		return err
	}
	t.refuse(tick)
	t.taken = len(rows) - t.drops.count()
	return nil
}

// reserve allocates all entries of a metric's first tick in one step. It does so only if all readings probably belong to different series.
func (t *table) reserve(rows []metric.Reading) {
	if len(t.entries) > 0 || len(rows) == 0 || rows[0].Time != 0 || t.desc.Accumulates() || t.desc.OnDuplicate != metric.DuplicateError {
		return
	}
	t.entries, t.pending = make([]entry, 0, len(rows)), make([]pending, 0, len(rows))
	t.index(len(rows))
}

// unfit returns why a reading must be dropped, or "" if it can be used. It considers only the reading, not the state of its
// series.
func (t *table) unfit(at int64, row *metric.Reading) metric.Reason {
	switch {
	case math.IsNaN(row.Value) || math.IsInf(row.Value, 0):
		return metric.Invalid
	case row.Value < 0 && (t.desc.Type == metric.Counter || t.desc.Delta && t.desc.Observes()):
		return metric.Invalid
	case row.Time > at+maxAhead.Milliseconds():
		return metric.Future
	case t.events != nil && row.Event == "":
		return metric.Missing
	}
	return ""
}

func (t *table) describe(row *metric.Reading) string {
	text := fmt.Sprintf("%v for %s%s", row.Value, t.desc.Name, t.desc.LabelSet(row.Labels))
	if row.Time != 0 {
		text += " at " + time.UnixMilli(row.Time).UTC().Format(time.RFC3339)
	}
	if t.events != nil && row.Event == "" {
		text += ", without an event id"
	}
	return text
}

// skips returns true if the readings of this tick are not added to the total, because the metric has first_run: skip and was never
// measured before. The event IDs of these readings are remembered nevertheless.
func (t *table) skips() bool { return t.desc.FirstRun == metric.FirstSkip && t.measured.IsZero() }

// find returns the index of the entry with these label values. It adds the entry if there is none. Readings mostly come in the same order
// as in the last tick, so find first tries the entry after the entry that it found last.
func (t *table) find(values []string) int {
	encoded := t.encode(values)
	if t.guess < len(t.entries) && t.entries[t.guess].labels.Is(encoded) {
		t.guess++
		return t.guess - 1
	}
	if 3*(len(t.entries)+1) > 2*len(t.slots) {
		t.index(2 * len(t.entries))
	}
	hash := t.sets.hash(encoded)
	slot := t.slot(hash)
	for ; t.slots[slot] != 0; slot = t.next(slot) {
		at := int(t.slots[slot]) - 1
		if e := &t.entries[at]; e.hash == hash && e.labels.Is(encoded) {
			t.guess = at + 1
			return at
		}
	}
	t.entries = append(t.entries, entry{labels: t.sets.get(t, hash, encoded), hash: hash})
	t.saved.add()
	t.slots[slot] = int32(len(t.entries))
	t.guess = len(t.entries)
	return t.guess - 1
}

// slot returns the slot where the search for a hash begins. next returns the slot after the given slot.
func (t *table) slot(hash uint32) int { return int(hash) & (len(t.slots) - 1) }
func (t *table) next(slot int) int    { return (slot + 1) & (len(t.slots) - 1) }

// index rebuilds the slots, with space for n entries.
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

// add adds a reading to pending, or combines it with an earlier reading of this tick. The argument "at" is the index of the reading's
// entry.
func (t *table) add(at int, tick uint32, row *metric.Reading) error {
	e := &t.entries[at]
	next := pending{entry: int32(at), count: 1, value: row.Value, time: row.Time}
	t.timed = t.timed || row.Time != 0 && t.hasPoints()
	if e.seen != tick || t.timed || t.adds() {
		e.seen, e.pending = tick, int32(len(t.pending))
		t.pending = append(t.pending, next)
		return nil
	}
	return t.combine(&t.pending[e.pending], &next)
}

// addZero adds a reading of 0 for a metric without readings in this tick: the sum or the number of no readings.
func (t *table) addZero(tick uint32) {
	at := t.find(nil)
	t.entries[at].seen, t.entries[at].pending = tick, int32(len(t.pending))
	t.pending = append(t.pending, pending{entry: int32(at)})
}

// combine combines the reading "next" with p, in the way that the setting on_duplicate says.
func (t *table) combine(p, next *pending) error {
	p.count += next.count
	switch how := t.desc.OnDuplicate; {
	case how == metric.DuplicateSum:
		p.value += next.value
		p.time = later(p.time, next.time)
	case how == metric.DuplicateCount:
		p.time = later(p.time, next.time)
	case how == metric.DuplicateLast, how == metric.DuplicateMax && next.value > p.value, how == metric.DuplicateMin && next.value < p.value:
		p.value, p.time = next.value, next.time
	case how == metric.DuplicateError:
		when := "in one run"
		if t.timed {
			when = "of one time"
		}
		return fmt.Errorf("two readings of %s%s %s; tell them apart by a label, or set on_duplicate to sum, last, max, min or count", t.desc.Name, t.entries[p.entry].labels, when)
	}
	return nil
}

// adds returns true if each reading is one observation or event. Two readings of a series are then not duplicates: both are counted.
func (t *table) adds() bool {
	d := t.desc
	return d.Observes() && !d.Delta || d.Type == metric.Counter && d.From == metric.Events
}

// hasPoints reports whether a series can have several readings with different times in a tick. The result is false for running totals of
// the ledger and for deltas, which change only once per tick.
func (t *table) hasPoints() bool { return !t.desc.Accumulates() && !t.desc.Delta }

// inOrder sorts pending by series and time, and combines two readings if they have the same series and the same time. It does nothing if
// no reading has a time of its own. A reading without a time of its own has the tick's time.
func (t *table) inOrder(at int64) error {
	if !t.timed {
		return nil
	}
	when := func(p *pending) int64 { return cmp.Or(p.time, at) }
	slices.SortStableFunc(t.pending, func(a, b pending) int {
		return cmp.Or(cmp.Compare(a.entry, b.entry), cmp.Compare(when(&a), when(&b)))
	})
	kept := t.pending[:0]
	for _, p := range t.pending {
		if n := len(kept) - 1; n >= 0 && kept[n].entry == p.entry && when(&kept[n]) == when(&p) {
			if err := t.combine(&kept[n], &p); err != nil {
				return err
			}
			continue
		}
		kept = append(kept, p)
	}
	t.pending = kept
	return nil
}

// refuse drops each pending reading that its series cannot use. The reason is either the state of the series or an earlier reading of it.
// In pending, the readings of a series are consecutive and sorted by time.
func (t *table) refuse(tick uint32) {
	if t.adds() {
		return
	}
	taken := t.pending[:0]
	shown := int32(-1) // the last entry with a reading that is used or repeats a known one
	for _, p := range t.pending {
		e := &t.entries[p.entry]
		if t.desc.OnDuplicate == metric.DuplicateCount {
			p.value = float64(p.count)
		}
		known, before := e.known && !e.gone, e.value
		if n := len(taken); n > 0 && taken[n-1].entry == p.entry {
			known, before = true, taken[n-1].value
		}
		var reason metric.Reason
		switch {
		case math.IsInf(p.value, 0):
			reason = metric.Invalid
		case t.repeats(e, &p):
			reason, shown = metric.NotNewer, p.entry
		case t.desc.OnDecrease == metric.DecreaseError && t.decreases(known, before, p.value):
			reason = metric.Decreased
		default:
			taken, shown = append(taken, p), p.entry
			continue
		}
		if shown != p.entry {
			e.seen = 0
		}
		t.drops.add(reason, int(p.count), func() string {
			return fmt.Sprintf("%v for %s%s, which was %v", p.value, t.desc.Name, e.labels, before)
		})
	}
	t.pending = taken
	for _, p := range taken {
		t.entries[p.entry].seen = tick // perhaps an earlier reading that was refused has set it to 0
	}
}

// repeats returns true if a reading that has its own time is not newer than the last reading of its series.
func (t *table) repeats(e *entry, p *pending) bool {
	return t.hasPoints() && e.known && e.time != 0 && p.time != 0 && p.time <= e.time
}

// commit applies the pending readings. A series without a reading in this tick is gone afterwards, unless it is a running
// total of the ledger. If the metric could not be measured, nothing changes.
func (t *table) commit(c *commit) {
	if t.failing {
		return
	}
	for i := range t.pending {
		if i > 0 && t.pending[i].entry == t.pending[i-1].entry && !t.adds() {
			t.keepEarlier(c, &t.entries[t.pending[i].entry])
		}
		t.apply(c, &t.pending[i])
	}
	if t.events != nil {
		t.events.commit(c.seen, t.saved, &t.drops)
	}
	t.answers.commit(c.at)
	t.removeGone(c)
	c.result.Readings += t.taken
	c.result.Drops = t.drops.appendTo(c.result.Drops, t.desc.Name, t.of)
}

// keepEarlier stores the value of an entry as a point, before a later reading of the same tick replaces it.
func (t *table) keepEarlier(c *commit, e *entry) {
	if t.earlier == nil {
		t.earlier = map[*metric.LabelSet][]metric.Point{}
	}
	t.earlier[e.labels] = append(t.earlier[e.labels], metric.Point{Time: cmp.Or(e.time, c.at), Value: e.value, Start: e.start})
}

// apply updates the series of a reading, and notes whether the journal needs the new state.
func (t *table) apply(c *commit, p *pending) {
	e := &t.entries[p.entry]
	if t.saved == nil {
		t.set(c, e, p)
		return
	}
	before := *e
	t.set(c, e, p)
	e.changed = e.changed || t.saved.differs(&before, e)
}

func (t *table) set(c *commit, e *entry, p *pending) {
	if e.gone && !t.addsOn() { // the series starts again, with a reading newer than its last time
		e.known, e.start = false, 0
	}
	e.gone = false
	switch d := t.desc; {
	case d.Accumulates():
		t.accumulate(c, e, p)
		return
	case t.addsOn():
		e.hidden = false
		t.addOn(c, e, p)
	case d.Type == metric.Counter:
		e.hidden = false
		t.follow(c, e, p)
	case d.Delta:
		e.hidden = !e.known
		e.value, e.upstream = p.value-e.upstream, p.value
	default:
		e.hidden, e.value = false, p.value
	}
	e.known, e.time = true, p.time
}

// accumulate adds a reading to a running total that the ledger adds up. The total's time is the latest of its readings' own
// times, so that it never decreases. It is the tick's time if one of the readings has no own time.
func (t *table) accumulate(c *commit, e *entry, p *pending) {
	first := !e.known
	if first {
		e.known, e.time = true, p.time
		if t.desc.Type != metric.Gauge {
			e.start = startBefore(c.since, p.time)
		}
	}
	switch {
	case !t.desc.Observes():
		e.value += p.value
	case t.desc.Delta:
		e.observeChange(t.desc, c, p.value, first)
	default:
		e.observe(t.desc, c, p.value)
	}
	e.time = later(e.time, p.time)
}

// removeGone removes the series that do not remain after the tick. It keeps those whose last time must be remembered.
func (t *table) removeGone(c *commit) {
	kept, gone := 0, 0
	for i := range t.entries {
		e := &t.entries[i]
		before := e.gone
		if e.gone = !t.remains(e, c.tick); e.gone {
			if gone == maxGone || !t.remembers(e, c.at) {
				t.saved.remove(i)
				continue
			}
			gone++
		}
		e.changed = e.changed || e.gone != before
		if kept < i {
			t.entries[kept] = *e
			t.saved.move(i, kept)
		}
		kept++
	}
	if n := len(t.entries) - kept; n > 0 {
		clear(t.entries[kept:])
		t.entries = t.entries[:kept]
		t.saved.truncate(kept)
		t.index(kept)
		t.sets.drop(n)
	}
}

// remains returns true if a series is kept after the tick: it had a reading in this tick, or the ledger itself adds up its values and its
// labels have not ended.
func (t *table) remains(e *entry, tick uint32) bool {
	return e.seen == tick || e.known && t.desc.Accumulates() && (t.ended == nil || !t.ended(e.labels))
}

// remembers returns true if a series that is gone must be remembered. With "on_decrease: add" its total is remembered, otherwise its last
// time.
func (t *table) remembers(e *entry, at int64) bool {
	return t.addsOn() && e.known || t.hasPoints() && e.known && e.time != 0 && at-e.time <= rememberTimes.Milliseconds()
}

// remaining returns the number of series that remain after the tick.
func (t *table) remaining(tick uint32) int {
	n := 0
	for i := range t.entries {
		if e := &t.entries[i]; t.failing && !e.gone || !t.failing && t.remains(e, tick) {
			n++
		}
	}
	return n
}

// lasting returns the number of series that there were before the tick.
func (t *table) lasting() int {
	n := 0
	for i := range t.entries[:t.live] {
		if !t.entries[i].gone {
			n++
		}
	}
	return n
}

// loses returns true if readings of this tick are lost when the metric is left out. Such readings are added up or compared by the ledger,
// or have times of their own. The API perhaps does not show them again.
func (t *table) loses() bool { return t.desc.Accumulates() || t.desc.Delta || t.timed }

// family returns the series that the metric shows.
func (t *table) family(c *commit) metric.Family {
	f := metric.Family{Desc: t.desc, Series: make([]metric.Series, 0, len(t.entries)), Earlier: t.earlier}
	for i := range t.entries {
		e := &t.entries[i]
		if e.hidden || e.gone {
			continue
		}
		f.Series = append(f.Series, t.series(e, c))
	}
	return f
}

// series returns the series of an entry, as it is shown.
func (t *table) series(e *entry, c *commit) metric.Series {
	s := metric.Series{Labels: e.labels, Value: e.value, Time: e.time, Start: e.start}
	if e.observed != nil {
		e.observed.show(t.desc, c, &s)
	}
	return s
}

// idle returns true if the table can be removed: the tick has no readings of the metric, and the table has no state to remember.
func (t *table) idle(tick uint32) bool {
	return t.visited != tick && t.desc.FirstRun == metric.FirstCount && len(t.entries) == 0 && (t.events == nil || len(t.events.known) == 0)
}
