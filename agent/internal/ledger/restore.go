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

// Restore loads records into an empty ledger: first a record of the whole state or a snapshot of version 1, then the records
// of changes since then, in their order. A metric whose declaration is the same as in the records continues from there. If
// Restore returns an error, nothing has changed.
//
// In the journal, the time when an event was last seen can be too early by up to an eighth of the setting remember. A restored event
// counts as seen at the latest possible time. So the event is perhaps remembered for up to an eighth longer, but it is never forgotten
// early.
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

// restoring is a ledger while records are loaded into it.
type restoring struct {
	*Ledger
	tables map[uint32]*table // by their number in the journal
}

// add loads the record with index i.
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
		t.earlier, t.saved.before = nil, t.saved.last
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
		r.fail(fmt.Errorf("it is damaged: %d bytes follow its end", len(r.s)))
	}
	return r.err
}

// addVersion1 loads a snapshot of version 1. Its tables and entries are numbered in their order.
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

// entryRecord reads one series. The argument "labels" is a buffer for the label values of the series.
func (r *reader) entryRecord(t *table, id uint32, labels []string) {
	var isNew, hasValue, hidden, gone, hasTime, hasStart, hasUpstream, hasPoints bool
	r.bools(&isNew, &hasValue, &hidden, &gone, &hasTime, &hasStart, &hasUpstream, &hasPoints)
	if isNew {
		r.labels(t, labels)
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

// summaryRecord reads a summary. It adds the observations in the record to those of the summary "old", unless "old" has them already
// because the record was read before.
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

// eventsRecord reads the events of one record. It also removes the events that the ledger has certainly forgotten since they
// were last seen.
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

// end makes the loaded state the inherited state of the ledger.
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
		if t.events != nil && t.desc.Targeted {
			t.events.countPlain()
		}
		if !re.exact && !fold && !t.saved.values {
			t.hide()
		}
		re.inherited[t.desc.Name] = t
	}
}

// hide hides the series whose restored values are perhaps older than the values delivered. They remain hidden until the source gives
// their value again.
func (t *table) hide() {
	for i := range t.entries {
		e := &t.entries[i]
		e.hidden = e.hidden || e.time == 0
	}
}

// computeQuantiles computes the quantiles, which records do not contain.
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

// removeEntries removes the entries that have these numbers in the journal.
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

func (r *reader) number() float64 {
	u := r.uint()
	if u == 0 {
		return r.float()
	}
	u--
	return float64(int64(u>>1) ^ -int64(u&1))
}

// labels reads the label values of a series.
func (r *reader) labels(t *table, values []string) {
	for i := range values {
		values[i] = r.text()
		if i == t.more && values[i] != metric.PackLabels(metric.UnpackLabels(nil, values[i])) {
			r.fail(errors.New("the labels of a series are not valid"))
		}
	}
}
