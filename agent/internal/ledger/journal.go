package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// journal is what a ledger has to know to write records: the state as a whole, and then what each tick changes of it. A
// record holds the new state of what has changed, not the difference, so a record that is read twice does no harm.
//
// Kept are the values that only the ledger has: running totals of its own, deltas, observations, event IDs, times of readings
// that have their own. What the source gives again in its next answer is kept as labels alone, so that a series which is
// missing there can be ended; of an upstream's total the value at its start and at each reset is kept, so that a reset is not
// seen twice.
type journal struct {
	values  bool     // keep all values: the source does not give them again
	based   bool     // a record with the whole state has been written
	tables  uint32   // the number of the last table
	removed []uint32 // numbers of tables that are gone since the last record

	// sightings is how often an event that the source shows in every answer is written while it is remembered.
	sightings int64
}

// saved is what the journal has of one table. Its methods do nothing for nil.
type saved struct {
	number    uint32   // of the table; 0 = not in the journal yet
	values    bool     // of all changes, see keepsValues
	totals    bool     // of the start and the resets of an upstream's total
	ids       []uint32 // of the table's entries, in their order; 0 = not in the journal yet
	last      uint32   // the last number given to an entry
	removed   []uint32 // numbers of entries that are gone since the last record
	seen      []string // event IDs whose sighting is not in the journal yet
	forgotten []string // event IDs that were forgotten before their time since the last record
}

// Journal makes the ledger keep track of changes for Changes. It is called before the first Apply, Inherit or Restore. With
// values, the values of all series are kept: those of a job that reads each window once are not in its next answer.
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

// declare notes that the metric is declared again, maybe so that more has to be kept of it.
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

// differs reports whether the journal has to have the entry's new state.
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

// written notes that a record has all changes.
func (s *saved) written() {
	s.removed = s.removed[:0]
	clear(s.seen)
	clear(s.forgotten)
	s.seen, s.forgotten = s.seen[:0], s.forgotten[:0]
}

// Keeps reports whether the last tick has left something that only the ledger knows, so that a record must be on disk before
// the batch is delivered: a restart would otherwise go on from an older value than the one delivered.
func (l *Ledger) Keeps() bool {
	return slices.ContainsFunc(l.order, func(t *table) bool {
		if t.events != nil || t.saved.values && len(t.entries) > 0 || t.earlier != nil {
			return true
		}
		for i := range t.entries {
			e := &t.entries[i]
			if e.time != 0 || e.changed && t.saved.ids[i] != 0 { // or a reset
				return true
			}
		}
		return false
	})
}

// Grown reports whether series have come or gone that no record has yet.
func (l *Ledger) Grown() bool {
	return len(l.journal.removed) > 0 || slices.ContainsFunc(l.order, func(t *table) bool {
		return len(t.saved.removed) > 0 || slices.Contains(t.saved.ids, 0)
	})
}

// recordMark is the first byte of a record. A snapshot of version 1 begins with a time, which is never -1.
const recordMark = 1

// Changes returns a record of what has changed since the last call, for Restore. The first record of a ledger that was not
// restored has its whole state, and replaces all earlier ones. With all, the values of all series are in it.
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

// Fold returns one record in place of several: what Restore makes of it is what it makes of them.
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

// record writes a record: of the whole state, or of what has changed.
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

// notMeasured writes when those metrics were measured last that the last tick has not measured.
func (w *writer) notMeasured(l *Ledger) {
	for _, t := range l.held() {
		if t.saved.number != 0 && t.measured.UnixMilli() != l.last {
			w.uint(uint64(t.saved.number))
			w.int(nanoseconds(t.measured))
		}
	}
	w.uint(0)
}

// unsaved reports whether the table has changes for a record.
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
		for _, name := range t.desc.LabelNames {
			w.text(e.labels.Get(name))
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

// summaryRecord writes a summary with the observations that are new since the last record, or all of them.
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

// eventsRecord writes the event IDs that were seen since the last record, or all of them with their times.
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

// number writes a float: an integer that a float holds exactly as a varint, any other as a zero and eight bytes.
func (w *writer) number(f float64) {
	if n := int64(f); float64(n) == f && n > -1<<52 && n < 1<<52 && (n != 0 || !math.Signbit(f)) {
		w.uint(uint64(n<<1) ^ uint64(n>>63) + 1)
		return
	}
	w.uint(0)
	w.float(f)
}

func (r *reader) number() float64 {
	u := r.uint()
	if u == 0 {
		return r.float()
	}
	u--
	return float64(int64(u>>1) ^ -int64(u&1))
}

// Restore loads records into an empty ledger: one with the whole state, or a snapshot of version 1, and then the changes since,
// in their order. A metric that is declared as in the records continues from there. After an error nothing has changed.
//
// The journal knows when an event was last seen only to within an eighth of remember. A restored event counts as seen at the
// latest possible time, so it is remembered for up to that much longer, and never forgotten early.
func (l *Ledger) Restore(records ...[]byte) error { return l.restore(records, false) }

func (l *Ledger) restore(records [][]byte, fold bool) error {
	re := &restoring{Ledger: New(l.validUntil, l.maxSeries), tables: map[uint32]*table{}}
	re.journal = l.journal
	if re.journal == nil {
		re.journal = newJournal(false)
	}
	for i, record := range records {
		if err := re.add(record, i); err != nil {
			return fmt.Errorf("record %d: %w", i+1, err)
		}
	}
	re.end(fold)
	l.inherited, l.sets, l.last, l.seen, l.exact = re.inherited, re.sets, re.last, re.seen, re.exact
	if l.journal == nil {
		for _, t := range l.inherited {
			t.saved = nil
		}
		return nil
	}
	l.journal.based = len(records) > 0
	return nil
}

// restoring is a ledger that records are loaded into.
type restoring struct {
	*Ledger
	tables map[uint32]*table // by number
}

// add loads one record.
func (re *restoring) add(record []byte, i int) error {
	if len(record) == 0 || record[0] != recordMark {
		if i > 0 {
			return errors.New("it is not a record")
		}
		return re.addVersion1(record)
	}
	r := &reader{s: string(record[1:])}
	var whole bool
	r.bools(&whole, &re.exact)
	if whole {
		clear(re.tables)
		re.sets, re.journal.tables = newLabelSets(), 0
	} else if i == 0 {
		return errors.New("it has changes of a state that is missing")
	}
	re.last = r.int()
	re.seen = re.last + r.int()
	for range r.count(1) {
		delete(re.tables, uint32(r.uint()))
	}
	for _, t := range re.tables {
		t.earlier = nil
	}
	for r.err == nil {
		number := uint32(r.uint())
		if number == 0 {
			break
		}
		if err := re.addTable(r, number); err != nil {
			return err
		}
	}
	for _, t := range re.tables {
		t.measured = time.UnixMilli(re.last)
	}
	for r.err == nil {
		number := uint32(r.uint())
		if number == 0 {
			break
		}
		measured := time.Time{}
		if ns := r.int(); ns != 0 {
			measured = time.Unix(0, ns)
		}
		if t := re.tables[number]; t != nil {
			t.measured = measured
		}
	}
	if r.err == nil && len(r.s) > 0 {
		r.fail(fmt.Errorf("%d bytes too many", len(r.s)))
	}
	return r.err
}

// addVersion1 loads a snapshot of version 1. Its tables and entries get the numbers of their order.
func (re *restoring) addVersion1(snapshot []byte) error {
	tables, last, err := re.version1(snapshot)
	if err != nil {
		return err
	}
	re.last, re.seen, re.exact = last, last, true
	for _, t := range tables {
		re.journal.tables++
		t.saved.number = re.journal.tables
		for i := range t.saved.ids {
			t.saved.last++
			t.saved.ids[i] = t.saved.last
		}
		re.tables[t.saved.number] = t
	}
	return nil
}

func (re *restoring) addTable(r *reader, number uint32) error {
	var isNew, values bool
	r.bools(&isNew, &values)
	t := re.tables[number]
	if isNew {
		d := &metric.Desc{}
		text := r.text()
		if r.err != nil {
			return r.err
		}
		if err := json.Unmarshal([]byte(text), d); err != nil {
			return fmt.Errorf("a metric's declaration: %w", err)
		}
		t = newTable(d, re.sets, re.journal)
		t.saved.number = number
		re.tables[number] = t
		re.journal.tables = max(re.journal.tables, number)
		if !t.distinct() {
			return fmt.Errorf("%q: two labels have the same name", d.Name)
		}
	}
	if t == nil {
		return errors.New("it has changes of a metric that is missing")
	}
	t.saved.values = t.saved.values || values
	last, labels := uint32(0), make([]string, len(t.desc.LabelNames))
	for range r.count(2) {
		last += uint32(r.int())
		r.entryRecord(t, last, labels)
		if r.err != nil {
			return fmt.Errorf("%q: %w", t.desc.Name, r.err)
		}
	}
	if n := r.count(1); n > 0 {
		removed := make(map[uint32]bool, n)
		for range n {
			removed[uint32(r.uint())] = true
		}
		t.removeEntries(removed)
	}
	if t.events != nil {
		r.eventsRecord(t.events, isNew, re.seen)
	}
	if r.err != nil {
		return fmt.Errorf("%q: %w", t.desc.Name, r.err)
	}
	return nil
}

// entryRecord reads one series. labels has room for its label values.
func (r *reader) entryRecord(t *table, id uint32, labels []string) {
	var isNew, hasValue, hidden, gone, hasTime, hasStart, hasUpstream, hasPoints bool
	r.bools(&isNew, &hasValue, &hidden, &gone, &hasTime, &hasStart, &hasUpstream, &hasPoints)
	if isNew {
		for i := range labels {
			labels[i] = r.text()
		}
		if r.err != nil {
			return
		}
		n := len(t.entries)
		i := t.find(labels)
		if i == n && id <= t.saved.last || i < n && t.saved.ids[i] != id {
			r.fail(errors.New("a series is in it twice"))
			return
		}
		t.saved.ids[i] = id
		t.saved.last = max(t.saved.last, id)
	}
	i, ok := slices.BinarySearch(t.saved.ids, id)
	if !ok {
		r.fail(errors.New("a change of a series that is missing"))
		return
	}
	old := t.entries[i]
	e := entry{labels: old.labels, hash: old.hash, known: hasValue, hidden: hidden, gone: gone, value: old.value}
	if hasTime {
		e.time = r.int()
	}
	if hasStart {
		e.start = r.int()
	}
	if hasUpstream {
		e.upstream = r.number()
	}
	if hasPoints {
		r.points(t, e.labels)
	}
	switch {
	case !hasValue:
	case t.desc.Type == metric.Histogram:
		e.observed = r.histogram(t.desc)
	case t.desc.Type == metric.Summary:
		e.observed = r.summaryRecord(t.desc, old.observed)
	default:
		e.value = r.number()
	}
	t.entries[i] = e
}

func (r *reader) points(t *table, labels *metric.LabelSet) {
	if t.earlier == nil {
		t.earlier = map[*metric.LabelSet][]metric.Point{}
	}
	var points []metric.Point
	for range r.count(3) {
		points = append(points, metric.Point{Time: r.int(), Value: r.number(), Start: r.int()})
	}
	t.earlier[labels] = points
}

// summaryRecord reads a summary. Its observations are added to those of old, unless old has them already.
func (r *reader) summaryRecord(d *metric.Desc, old *observed) *observed {
	s := &metric.SummaryValue{Count: r.uint(), Sum: r.float(), Quantiles: slices.Repeat([]float64{math.NaN()}, len(d.Quantiles))}
	o := &observed{summary: s}
	known := uint64(0)
	if old != nil && old.summary != nil {
		o.window, known = old.window, old.summary.Count
	}
	at := int64(0)
	n := r.count(9)
	for range n {
		at += r.int()
		value := r.float()
		if known < s.Count || n == 0 {
			o.window = append(o.window, observation{at, value})
		}
	}
	if len(d.Quantiles) == 0 {
		s.Quantiles = nil
	}
	o.window = o.window[max(0, len(o.window)-maxWindow):]
	return o
}

// eventsRecord reads the events of one record, and forgets those that the ledger has forgotten for certain.
func (r *reader) eventsRecord(e *events, whole bool, seen int64) {
	if whole {
		r.events(e)
	} else {
		for range r.count(1) {
			id := r.text()
			s := e.known[id]
			if s == nil {
				s = &sighting{id: id}
				e.known[id] = s
			}
			s.at = seen
			s.unlink()
			s.linkBefore(&e.ring)
		}
	}
	for range r.count(1) {
		id := r.text()
		if s := e.known[id]; s != nil {
			s.unlink()
			delete(e.known, id)
		}
	}
	for s := e.ring.after; s != &e.ring && seen-s.at > e.remember+e.slack-1; s = e.ring.after {
		s.unlink()
		delete(e.known, s.id)
	}
}

// end makes what was loaded the state that the ledger inherits.
func (re *restoring) end(fold bool) {
	re.inherited = map[string]*table{}
	for _, number := range sortedKeys(re.tables) {
		t := re.tables[number]
		t.computeQuantiles(re.last)
		if t.events != nil && !fold {
			for s := t.events.ring.after; s != &t.events.ring; s = s.after {
				s.at = max(s.at, min(s.at+t.events.slack-1, re.seen))
			}
		}
		if !re.exact && !fold && !t.saved.values {
			t.hide()
		}
		re.inherited[t.desc.Name] = t
	}
}

// hide hides the series whose values may be older than those delivered, until the source gives their value again.
func (t *table) hide() {
	for i := range t.entries {
		e := &t.entries[i]
		e.hidden = e.hidden || e.time == 0
	}
}

// Last returns what the last tick before Restore has shown, for a receiver that may not have it: the series with their
// values, and those of which only the labels are known, which a receiver needs to end a series that is gone. If the last batch
// was delivered, all series are among known. descs are the metrics as they are declared now.
func (l *Ledger) Last(descs []*metric.Desc, delivered bool) (families, known []metric.Family, at time.Time) {
	c := &commit{tick: l.tick, at: l.last, result: &Result{}}
	for _, t := range l.held() {
		i := slices.IndexFunc(descs, func(d *metric.Desc) bool { return d.Name == t.desc.Name && sameState(d, t.desc) })
		if i >= 0 {
			t.desc = descs[i]
		}
		if all := t.family(c); len(all.Series) > 0 && !delivered {
			families = append(families, all)
		}
		f := metric.Family{Desc: t.desc}
		for i := range t.entries {
			if e := &t.entries[i]; !e.gone && (delivered || e.hidden) {
				f.Series = append(f.Series, metric.Series{Labels: e.labels})
			}
		}
		if len(f.Series) > 0 {
			known = append(known, f)
		}
	}
	return families, known, time.UnixMilli(l.last)
}

// computeQuantiles computes what records leave out.
func (t *table) computeQuantiles(at int64) {
	if len(t.desc.Quantiles) == 0 {
		return
	}
	for i := range t.entries {
		if o := t.entries[i].observed; o != nil {
			o.quantiles(t.desc, &commit{at: at})
		}
	}
}

// removeEntries removes the entries with these numbers.
func (t *table) removeEntries(numbers map[uint32]bool) {
	kept := 0
	for i := range t.entries {
		if numbers[t.saved.ids[i]] {
			continue
		}
		t.entries[kept] = t.entries[i]
		t.saved.move(i, kept)
		kept++
	}
	clear(t.entries[kept:])
	t.entries = t.entries[:kept]
	t.saved.truncate(kept)
	t.index(kept)
}

func sortedKeys[V any](m map[uint32]V) []uint32 {
	keys := make([]uint32, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare[uint32])
	return keys
}
