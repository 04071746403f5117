package ledger

import (
	"math"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// journal is what a ledger needs to write records: first one record of the whole state, then records of what each tick has
// changed. A record has the new values of what has changed, not the differences, so reading a record twice does no harm.
//
// Records have the values that only the ledger knows: running totals that the ledger adds up itself, deltas, observations, event IDs, and
// the own times of readings. If the source gives a value again in its next answer, records have only the labels of the series. With these
// labels, the ledger can end a series that is missing from that answer. For a total that the source keeps, records have the value at its
// start and at each reset, so that no reset is counted twice.
type journal struct {
	values  bool     // keep the values of all series: the source does not give them again
	based   bool     // a record with the whole state has been written
	tables  uint32   // number of the table that was added last
	removed []uint32 // numbers of the tables that were removed since the last record

	// sightings is how many times an event ID is written to the journal during the time that it is remembered, if the source
	// shows the event in every answer.
	sightings int64
}

// saved says what the journal has of one table. The methods of a nil *saved do nothing.
type saved struct {
	number    uint32   // number of the table in the journal; 0 = not in the journal yet
	values    bool     // the journal has the value of each series after each change; see declare
	totals    bool     // the metric is a counter whose totals the source keeps: the journal has their values at the start and at resets
	ids       []uint32 // numbers of the table's entries, in the entries' order; 0 = not in the journal yet
	last      uint32   // highest number given to an entry
	before    uint32   // value of the field "last" before the newest record was restored
	removed   []uint32 // numbers of the entries that were removed since the last record
	seen      []string // IDs of events that were seen again since the last record; only if the journal stores when an event was last seen
	forgotten []string // event IDs forgotten early since the last record, because there were too many
}

// Journal makes the ledger keep track of changes, so that Changes can return them. It must be called before the first Apply, Inherit or
// Restore. If the argument "values" is true, the journal has the values of all series. This is meant for a job that reads each window
// once: its next answer does not have the values again.
func (l *Ledger) Journal(values bool) { l.journal = newJournal(values) }

func newJournal(values bool) *journal { return &journal{values: values, sightings: 8} }

func (j *journal) table(d *metric.Desc) *saved {
	if j == nil {
		return nil
	}
	s := &saved{}
	s.declare(j, d)
	return s
}

func (j *journal) drop(s *saved) {
	if s != nil && s.number != 0 {
		j.removed = append(j.removed, s.number)
	}
}

func (s *saved) declare(j *journal, d *metric.Desc) {
	total := d.Type == metric.Counter && d.From == metric.Total
	s.values = j.values || d.Accumulates() || d.Delta || total && d.OnDecrease != metric.DecreaseReset
	s.totals = total
}

// declare is called when the metric is declared again. If the new declaration requires the values of all changes, and the old one did
// not, all entries are marked as changed.
func (t *table) declare(j *journal) {
	if t.saved == nil {
		return
	}
	before := t.saved.values
	t.saved.declare(j, t.desc)
	if t.saved.values && !before {
		for i := range t.entries {
			t.entries[i].changed = true
		}
	}
}

// differs returns true if the new state of an entry must be written to the journal.
func (s *saved) differs(before, e *entry) bool {
	if s.values || e.time != 0 || before.time != 0 {
		return e.observed != nil || e.known != before.known || e.hidden != before.hidden || e.gone != before.gone ||
			e.value != before.value || e.upstream != before.upstream || e.time != before.time || e.start != before.start
	}
	return s.totals && (e.start != before.start || !before.known)
}

func (s *saved) add() {
	if s != nil {
		s.ids = append(s.ids, 0)
	}
}

func (s *saved) move(from, to int) {
	if s != nil {
		s.ids[to] = s.ids[from]
	}
}

func (s *saved) truncate(n int) {
	if s != nil {
		s.ids = s.ids[:n]
	}
}

func (s *saved) remove(i int) {
	if s != nil && s.ids[i] != 0 {
		s.removed = append(s.removed, s.ids[i])
	}
}

func (s *saved) see(id string) {
	if s != nil {
		s.seen = append(s.seen, id)
	}
}

func (s *saved) forget(id string) {
	if s != nil {
		s.forgotten = append(s.forgotten, id)
	}
}

// written makes a note that all changes are now in a record.
func (s *saved) written() {
	s.removed = s.removed[:0]
	clear(s.seen)
	clear(s.forgotten)
	s.seen, s.forgotten = s.seen[:0], s.forgotten[:0]
}

// Keeps reports whether the last tick has changed something that only the ledger knows. A record must then be on disk before
// the batch is delivered. Otherwise a restart could continue from an older value than the one delivered.
func (l *Ledger) Keeps() bool {
	return slices.ContainsFunc(l.order, func(t *table) bool {
		if t.events != nil || t.saved.values && len(t.entries) > 0 || t.earlier != nil {
			return true
		}
		for i := range t.entries {
			e := &t.entries[i]
			if e.time != 0 || e.changed && t.saved.ids[i] != 0 { // if an entry is already in the journal and has changed, it was reset
				return true
			}
		}
		return false
	})
}

// Grown reports whether series were added or removed since the last record.
func (l *Ledger) Grown() bool {
	return len(l.journal.removed) > 0 || slices.ContainsFunc(l.order, func(t *table) bool {
		return len(t.saved.removed) > 0 || slices.Contains(t.saved.ids, 0)
	})
}

// recordMark is the first byte of a record. A snapshot of version 1 never begins with this byte: it begins with a time as a
// varint, and the byte would mean the time -1.
const recordMark = 1

// Changes returns a record of what has changed since the last call. Restore reads these records. If the ledger was not restored, its
// first record has the whole state and replaces all earlier records. If the argument "all" is true, the record has the values of all
// series.
func (l *Ledger) Changes(all bool) []byte {
	w := &writer{b: make([]byte, 0, 64)}
	w.record(l, !l.journal.based, all)
	l.journal.based = true
	l.journal.removed = l.journal.removed[:0]
	for _, t := range l.held() {
		t.saved.written()
	}
	return w.b
}

// Fold combines several records into one. Restoring that record gives the same state as restoring all of them.
func Fold(records [][]byte) ([]byte, error) { return fold(records, newJournal(false).sightings) }

func fold(records [][]byte, sightings int64) ([]byte, error) {
	l := New(For(0), 0)
	l.journal = newJournal(false)
	l.journal.sightings = sightings
	if err := l.restore(records, true); err != nil {
		return nil, err
	}
	w := &writer{}
	w.record(l, true, l.exact)
	return w.b, nil
}

// record writes a record. If the argument "whole" is true, this is a record of the whole state, otherwise of what has changed.
func (w *writer) record(l *Ledger, whole, all bool) {
	w.b = append(w.b, recordMark)
	w.bools(whole, all)
	w.int(l.last)
	w.int(l.seen - l.last)
	w.count(len(l.journal.removed))
	for _, number := range l.journal.removed {
		w.uint(uint64(number))
	}
	for _, t := range l.held() {
		if key := stateKey(t.desc); key != "" && (whole || t.unsaved(l, all)) {
			w.tableRecord(l, t, key, whole, all)
		}
	}
	w.uint(0)
	w.notMeasured(l)
}

// notMeasured writes a time for each metric that the last tick has not measured: when the metric was last measured.
func (w *writer) notMeasured(l *Ledger) {
	for _, t := range l.held() {
		if t.saved.number != 0 && t.measured.UnixMilli() != l.last {
			w.uint(uint64(t.saved.number))
			w.int(nanoseconds(t.measured))
		}
	}
	w.uint(0)
}

// unsaved reports whether the table has changes that must be written to a record.
func (t *table) unsaved(l *Ledger, all bool) bool {
	s := t.saved
	return all || s.number == 0 || len(s.removed)+len(s.seen)+len(s.forgotten) > 0 || t.earlier != nil ||
		slices.Contains(s.ids, 0) || t.hasChanged()
}

func (t *table) hasChanged() bool {
	for i := range t.entries {
		if t.entries[i].changed {
			return true
		}
	}
	return false
}

func (w *writer) tableRecord(l *Ledger, t *table, key string, whole, all bool) {
	s := t.saved
	isNew := whole || s.number == 0
	if s.number == 0 {
		l.journal.tables++
		s.number = l.journal.tables
	}
	w.uint(uint64(s.number))
	w.bools(isNew, s.values)
	if isNew {
		w.text(key)
	}
	entries := 0
	for i := range t.entries {
		if isNew || all || s.ids[i] == 0 || t.entries[i].changed {
			entries++
		}
	}
	w.count(entries)
	last := uint32(0)
	for i := range t.entries {
		e := &t.entries[i]
		fresh := isNew || s.ids[i] == 0
		if !fresh && !all && !e.changed {
			continue
		}
		if s.ids[i] == 0 {
			s.last++
			s.ids[i] = s.last
		}
		w.int(int64(s.ids[i]) - int64(last))
		last = s.ids[i]
		w.entryRecord(t, e, fresh, all)
		e.changed = false
	}
	w.count(len(s.removed))
	for _, id := range s.removed {
		w.uint(uint64(id))
	}
	if t.events != nil {
		w.eventsRecord(t.events, s, isNew)
	}
}

// entryRecord writes the state of one series.
func (w *writer) entryRecord(t *table, e *entry, isNew, all bool) {
	hasValue := e.known && (all || t.saved.values || t.saved.totals || e.time != 0)
	points := t.earlier[e.labels]
	w.bools(isNew, hasValue, e.hidden, e.gone, e.time != 0, e.start != 0, e.upstream != 0, len(points) > 0)
	if isNew {
		for _, value := range t.values(nil, e.labels) {
			w.text(value)
		}
	}
	if e.time != 0 {
		w.int(e.time)
	}
	if e.start != 0 {
		w.int(e.start)
	}
	if e.upstream != 0 {
		w.number(e.upstream)
	}
	if len(points) > 0 {
		w.count(len(points))
		for _, p := range points {
			w.int(p.Time)
			w.number(p.Value)
			w.int(p.Start)
		}
	}
	switch {
	case !hasValue:
	case t.desc.Type == metric.Histogram:
		w.histogram(e.observed)
	case t.desc.Type == metric.Summary:
		w.summaryRecord(e.observed, isNew)
	default:
		w.number(e.value)
	}
}

// summaryRecord writes a summary and its observations. If the argument "all" is true, it writes all observations, otherwise those since
// the last record.
func (w *writer) summaryRecord(o *observed, all bool) {
	n := min(o.unsaved, len(o.window))
	if all {
		n = len(o.window)
	}
	o.unsaved = 0
	w.uint(o.summary.Count)
	w.float(o.summary.Sum)
	w.count(n)
	at := int64(0)
	for _, x := range o.window[len(o.window)-n:] {
		w.int(x.at - at)
		w.float(x.value)
		at = x.at
	}
}

// eventsRecord writes event IDs. If the argument "whole" is true, it writes all IDs with their times. Otherwise it writes the IDs that
// were seen since the last record, and the IDs that were forgotten early since then.
func (w *writer) eventsRecord(e *events, s *saved, whole bool) {
	if whole {
		w.events(e)
		w.count(0)
		return
	}
	for _, ids := range [][]string{s.seen, s.forgotten} {
		w.count(len(ids))
		for _, id := range ids {
			w.text(id)
		}
	}
}

// number writes a float. An integer of less than 52 bits is written as a varint, any other float as a zero byte and eight
// bytes.
func (w *writer) number(f float64) {
	if n := int64(f); float64(n) == f && n > -1<<52 && n < 1<<52 && (n != 0 || !math.Signbit(f)) {
		w.uint(uint64(n<<1) ^ uint64(n>>63) + 1)
		return
	}
	w.uint(0)
	w.float(f)
}

// Last returns the series of the newest tick that was restored, for a receiver that has perhaps not received them. The result "families"
// has the series whose values are in the records. The result "known" has the series that were already shown before that tick, and the
// series for which the records have only the labels. If the batch of that tick was delivered, "known" has all series and "families" is
// nil. The argument descs has the current declarations of the metrics.
func (l *Ledger) Last(descs []*metric.Desc, delivered bool) (families, known []metric.Family, at time.Time) {
	c := &commit{tick: l.tick, at: l.last, result: &Result{}}
	for _, t := range l.held() {
		i := slices.IndexFunc(descs, func(d *metric.Desc) bool { return d.Name == t.desc.Name && sameState(d, t.desc) })
		if i >= 0 {
			t.desc = descs[i]
		}
		shown, earlier := t.family(c), metric.Family{Desc: t.desc}
		for i := range t.entries {
			if e := &t.entries[i]; !e.gone && (e.hidden || !delivered && t.saved.ids[i] <= t.saved.before) {
				earlier.Series = append(earlier.Series, t.series(e, c))
			}
		}
		if delivered {
			known = append(known, shown, earlier)
		} else {
			families, known = append(families, shown), append(known, earlier)
		}
	}
	return families, known, time.UnixMilli(l.last)
}
