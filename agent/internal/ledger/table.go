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
// A tick goes through it in three steps: begin, match (find the series of each reading; may fail and be rolled back), and
// commit (compute the new values; cannot fail). Then family returns what the metric shows.
type table struct {
	desc   *metric.Desc
	labels []label    // of a series that has all of them, sorted by name
	more   int        // index of metric.MoreLabels among the values of a reading, -1 if it is not there
	sets   *labelSets // of the ledger

	entries []entry // one per series, in the order in which they appeared
	saved   *saved  // what the journal has of the table; nil without a journal
	slots   []int32 // open addressing by hash: index of an entry, from 1; 0 = free. A third is kept free

	events *events // nil if readings have no event IDs

	visited  uint32    // the last tick with readings or an error
	measured time.Time // the last tick without an error

	// State of the current tick.
	failing bool                        // the metric could not be measured
	ended   func(*metric.LabelSet) bool // whether a running total ends; nil = none does
	live    int                         // number of entries before the tick
	guess   int                         // index of the entry that the next reading probably belongs to
	pending []pending
	timed   bool // some pending readings have times of their own
	of      int  // number of readings, those left out included
	taken   int  // number of readings taken
	drops   drops

	earlier map[*metric.LabelSet][]metric.Point // points before the current value
}

// label is a declared label. Its value is that of the reading at index value, or constant if value is negative.
type label struct {
	name     string
	value    int
	constant string
}

// entry is one series.
type entry struct {
	labels   *metric.LabelSet
	hash     uint32
	seen     uint32 // the last tick with a reading of it
	pending  int32  // index of that reading in table.pending
	known    bool   // it has a value; of a delta, a value to compare with
	hidden   bool   // it is a delta without a change to show yet
	gone     bool   // it is not shown; only its last time is remembered
	changed  bool   // the journal has to be told
	value    float64
	upstream float64 // the last reading of a delta; of a total that is added on, the total at its last reset
	time     int64
	start    int64
	observed *observed // of a histogram or summary
}

// pending is a reading of the current tick, or several that were combined into one.
type pending struct {
	entry int32
	count int32 // readings combined
	value float64
	time  int64
}

// commit is what a tick's changes depend on.
type commit struct {
	tick   uint32
	at     int64 // the tick's time, Unix milliseconds
	seen   int64 // when its events count as seen, Unix milliseconds
	since  int64 // start timestamp of running totals that begin in this tick, Unix milliseconds
	result *Result
}

// A series that is gone is remembered without end if its total is added on. The last time of any other one is remembered for
// rememberTimes, so that old readings which the API still shows are
// not taken again. At most maxGone are remembered per metric.
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

// begin prepares the table for a tick. Until match is called, the tick has no readings of this metric.
func (t *table) begin() {
	t.failing, t.ended = false, nil
	t.live, t.guess = len(t.entries), 0
	t.pending, t.timed = t.pending[:0], false
	t.taken = 0
	t.earlier = nil
	t.drops.reset()
}

// rollback undoes match. It frees the memory of new entries, since a refused tick can have very many.
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

// match finds or makes the entry of each reading and adds the readings to pending. After an error the caller must roll back.
func (t *table) match(at, seen int64, tick uint32, rows []metric.Reading) error {
	t.reserve(rows)
	for i := range rows {
		row := &rows[i]
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
		if t.skips() {
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

// reserve allocates the entries of a metric's first tick at once, if each reading is a series.
func (t *table) reserve(rows []metric.Reading) {
	if len(t.entries) > 0 || len(rows) == 0 || rows[0].Time != 0 || t.desc.Accumulates() || t.desc.OnDuplicate != metric.DuplicateError {
		return
	}
	t.entries, t.pending = make([]entry, 0, len(rows)), make([]pending, 0, len(rows))
	t.index(len(rows))
}

// unfit returns why a reading cannot be used in any state, "" if it can. Such a reading is dropped.
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

// skips reports whether the readings of this tick do not count: it is the metric's first one ever, with first_run: skip.
// Event IDs are remembered.
func (t *table) skips() bool { return t.desc.FirstRun == metric.FirstSkip && t.measured.IsZero() }

// find returns the index of the entry with these label values. It makes the entry if there is none. Readings mostly come
// in the order of the last tick, so it first tries the entry after the one found last.
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

// slot returns the slot where the search for a hash begins, next the slot after one.
func (t *table) slot(hash uint32) int { return int(hash) & (len(t.slots) - 1) }
func (t *table) next(slot int) int    { return (slot + 1) & (len(t.slots) - 1) }

// index rebuilds the slots, with room for n entries.
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

// add adds a reading of the entry to pending, or combines it with an earlier reading of this tick.
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

// addZero adds the sum, or the number, of no readings.
func (t *table) addZero(tick uint32) {
	at := t.find(nil)
	t.entries[at].seen, t.entries[at].pending = tick, int32(len(t.pending))
	t.pending = append(t.pending, pending{entry: int32(at)})
}

// combine combines two readings into p, as on_duplicate says.
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

// adds reports whether each reading counts by itself, so that two readings of a series are not duplicates.
func (t *table) adds() bool {
	d := t.desc
	return d.Observes() && !d.Delta || d.Type == metric.Counter && d.From == metric.Events
}

// hasPoints reports whether a series can have several readings with different times in a tick. A running total of the
// ledger and a delta change only once per tick.
func (t *table) hasPoints() bool { return !t.desc.Accumulates() && !t.desc.Delta }

// inOrder sorts pending by series and time, if readings have times of their own, and combines readings with the same time.
// A reading without a time has the tick's.
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

// refuse drops the pending readings that their series cannot take, given its state and the readings before. The readings of
// a series are consecutive and sorted by time.
func (t *table) refuse(tick uint32) {
	if t.adds() {
		return
	}
	taken := t.pending[:0]
	shown := int32(-1) // the last entry that is shown
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
		t.entries[p.entry].seen = tick // a reading before it may have been refused
	}
}

// repeats reports whether a reading with a time of its own is not newer than the last one of its series.
func (t *table) repeats(e *entry, p *pending) bool {
	return t.hasPoints() && e.known && e.time != 0 && p.time != 0 && p.time <= e.time
}

// decreases reports whether an upstream total is less than before.
func (t *table) decreases(known bool, before, value float64) bool {
	return known && t.desc.Type == metric.Counter && t.desc.From == metric.Total && value < before
}

// commit applies the pending readings. A series without a reading in this tick is gone, unless it is a running total of the
// ledger or the metric could not be measured.
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
	t.removeGone(c)
	c.result.Readings += t.taken
	c.result.Drops = t.drops.appendTo(c.result.Drops, t.desc.Name, t.of)
}

// keepEarlier keeps the value of an entry as a point, before a later reading of the same tick replaces it.
func (t *table) keepEarlier(c *commit, e *entry) {
	if t.earlier == nil {
		t.earlier = map[*metric.LabelSet][]metric.Point{}
	}
	t.earlier[e.labels] = append(t.earlier[e.labels], metric.Point{Time: cmp.Or(e.time, c.at), Value: e.value, Start: e.start})
}

// apply sets the value of a series by a reading.
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
	if e.gone && !t.addsOn() { // it starts again, after its last time
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

// accumulate adds a reading to a running total of the ledger. The total's time is the latest of its readings' own times, so
// that it never decreases, or the tick's if one of them has none.
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

// follow sets an upstream running total. A decrease means that the upstream started again: the series gets a start
// timestamp just before this tick, as Prometheus' functions expect of a counter. Before the first reset the start is unknown.
func (t *table) follow(c *commit, e *entry, p *pending) {
	if t.decreases(e.known, e.value, p.value) {
		if t.desc.OnDecrease == metric.DecreaseIgnore {
			return
		}
		c.result.Resets++
		e.start = startBefore(c.at-1, p.time)
	}
	e.value = p.value
}

// addsOn reports whether upstream totals are added on after a decrease.
func (t *table) addsOn() bool {
	return t.desc.Type == metric.Counter && t.desc.From == metric.Total && t.desc.OnDecrease == metric.DecreaseAdd
}

// addOn sets a total that never decreases: the upstream's, and what it had counted before its last reset. That sum is kept rather
// than a difference, so that the total is rounded once and equals the upstream's before the first reset.
func (t *table) addOn(c *commit, e *entry, p *pending) {
	switch {
	case !e.known:
		e.upstream = 0
	case e.upstream+p.value < e.value:
		c.result.Resets++
		e.upstream = e.value
	}
	e.value = e.upstream + p.value
}

// removeGone removes the series that do not remain after the tick, except those whose last time is remembered.
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

// remains reports whether the series remains after the tick: it has a reading in it, or is a running total of the ledger.
func (t *table) remains(e *entry, tick uint32) bool {
	return e.seen == tick || e.known && t.desc.Accumulates() && (t.ended == nil || !t.ended(e.labels))
}

// remembers reports whether to remember a series that is gone: its last time, or the total that is added on when it comes back.
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

// series returns what an entry shows.
func (t *table) series(e *entry, c *commit) metric.Series {
	s := metric.Series{Labels: e.labels, Value: e.value, Time: e.time, Start: e.start}
	if e.observed != nil {
		e.observed.show(t.desc, c, &s)
	}
	return s
}

// idle reports whether the tick has nothing of the metric and there is nothing to remember of it.
func (t *table) idle(tick uint32) bool {
	return t.visited != tick && t.desc.FirstRun == metric.FirstCount && len(t.entries) == 0 && (t.events == nil || len(t.events.known) == 0)
}
