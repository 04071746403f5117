// Package ledger keeps the state of a job in memory: running totals, last values, IDs of counted events. Only this package
// turns readings into the values of series. A tick is one run of the job; its readings are applied all together or not at
// all.
//
//	readings ─▶ match (find the series) ─▶ commit (compute the values) ─▶ families, with absolute values
//	               └─ an error here leaves the state unchanged
package ledger

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// maxAhead is how far in the future a reading's own time can be. A receiver that accepts one sample far in the future can
// reject every later sample of the tenant.
const maxAhead = 10 * time.Minute

// maxSince is how long before its first sample a running total can start. It is equal to Prometheus' default lookback.
const maxSince = 5 * time.Minute

// Ledger is the state of one job. It is not safe for concurrent use.
type Ledger struct {
	validUntil Until
	maxSeries  int

	tables    map[*metric.Desc]*table
	inherited map[string]*table // by metric name: state of an earlier ledger, for metrics with the same declaration
	order     []*table
	sets      *labelSets
	tick      uint32
	last      int64    // time of the last tick that was applied, Unix milliseconds; 0 = none yet
	journal   *journal // nil = the ledger writes no records
	exact     bool     // the restored records have the last values of all series
	resume    int64    // start timestamp of running totals that are new in the first tick, Unix milliseconds; 0 = unknown
	near      bool     // the job is close to maxSeries
	seen      int64    // the time at which events of the current tick count as seen, Unix milliseconds
}

// An Until returns the time up to which the last values of a metric remain valid if the metric cannot be measured. The argument
// "measured" is the time of its last measurement.
type Until func(measured time.Time) time.Time

// For returns an Until that adds d to the time of the last measurement.
func For(d time.Duration) Until { return func(measured time.Time) time.Time { return measured.Add(d) } }

// New returns an empty ledger. A metric that cannot be measured keeps its last values up to the time that the argument "until" returns.
// The job has at most maxSeries series (see limit).
func New(until Until, maxSeries int) *Ledger {
	return &Ledger{validUntil: until, maxSeries: maxSeries, tables: map[*metric.Desc]*table{}, sets: newLabelSets()}
}

// Result is the result of applying a tick's readings.
type Result struct {
	Families  []metric.Family // series of all metrics of the job
	Series    int             // number of series in Families
	Readings  int             // number of readings used; those in Drops are not included
	Resets    int             // decreases of upstream totals that count as resets
	Problems  []Problem       // metrics that could not be measured
	Drops     []Drop          // readings that were left out
	Warnings  []Warning       // what the configuration probably does not intend
	Restarted []string        // metrics that lost their earlier state, because their declaration has changed
}

// Problem is the reason why a metric could not be measured in a tick.
type Problem struct {
	Metric string
	Err    error
}

// Drop describes the readings of one metric that were left out for one reason.
type Drop struct {
	Metric string
	Of     int // number of all readings of the metric in the tick, including those left out
	metric.Drop
}

// Warning describes something about one metric that is probably not intended, although its readings are used.
type Warning struct {
	Metric, Text string
	Limit        bool // the metric is not wrong; the job is close to its maximum of series
}

// Apply applies a tick's readings. If the tick is refused, it returns an error and changes nothing.
func (l *Ledger) Apply(at time.Time, readings metric.Readings) (*Result, error) {
	return l.ApplyWindow(at, at, readings)
}

// ApplyWindow applies the readings of a tick that reads a window up to end. Events count as seen at the end of the window.
// The next window can contain the same events, and they must still be remembered then, even if that window is read late.
func (l *Ledger) ApplyWindow(at, end time.Time, readings metric.Readings) (*Result, error) {
	l.tick++
	l.seen = end.UnixMilli()
	for _, t := range l.order {
		t.begin()
	}
	r := &Result{}
	step := matching
	defer func() { l.settle(step) }()
	for i := range readings {
		l.match(at, &readings[i], r)
	}
	if err := l.limit(at, readings, r); err != nil {
		return nil, err
	}
	step = committing
	l.show(at, l.commit(at, r))
	l.warn(at, r)
	step = done
	return r, nil
}

// step is the progress of a call of Apply.
type step int

const (
	matching step = iota
	committing
	done
)

// settle ends an Apply that has failed or panicked. In the step "matching", the changes are rolled back. A panic in the step "committing"
// leaves totals that are partly changed and cannot be used, so the ledger is made empty.
func (l *Ledger) settle(s step) {
	switch s {
	case matching:
		for _, t := range l.order {
			t.rollback()
		}
		l.remove(func(t *table) bool { return t.born == l.tick })
		l.sets.endTick(l.held())
	case committing:
		journal := l.journal
		*l = *New(l.validUntil, l.maxSeries)
		if journal != nil {
			l.Journal(journal.values)
		}
	}
}

// Empty reports whether the ledger has no state at all.
func (l *Ledger) Empty() bool { return len(l.order) == 0 && len(l.inherited) == 0 }

// Counted returns the names of the metrics whose values go on from run to run only because the ledger adds to them, sorted. A total that the
// upstream keeps is not among them.
func (l *Ledger) Counted() (names []string) {
	for _, t := range l.held() {
		if t.desc.Accumulates() || t.addsOn() {
			names = append(names, t.desc.Name)
		}
	}
	slices.Sort(names)
	return names
}

// match finds the series of a metric's readings. Its changes can be rolled back.
func (l *Ledger) match(at time.Time, m *metric.Measured, r *Result) {
	of := m.Count()
	for _, d := range m.Drops {
		r.Drops = append(r.Drops, Drop{m.Desc.Name, of, d})
	}
	for _, text := range m.Warnings {
		r.Warnings = append(r.Warnings, Warning{Metric: m.Desc.Name, Text: text})
	}
	if m.Series != nil || m.ByName {
		r.pass(m)
		return
	}
	t := l.table(m.Desc, r)
	err := m.Err
	if t.visited == l.tick {
		err = fmt.Errorf("%s was measured twice in one run: return all its readings at once", m.Desc.Name)
	}
	t.visited, t.of, t.ended = l.tick, of, m.Ended
	if err == nil {
		err = t.match(at.UnixMilli(), l.seen, l.tick, m)
	}
	if err == nil && of == 0 && len(m.Drops) == 0 && m.Desc.IsZeroWhenEmpty() {
		t.addZero(l.tick)
	}
	if err != nil {
		t.rollback()
		t.failing = true
		r.Problems = append(r.Problems, Problem{m.Desc.Name, err})
	}
}

// pass adds series that the source has already made, such as the series of a scrape, to the result.
func (r *Result) pass(m *metric.Measured) {
	if m.Err != nil {
		r.Problems = append(r.Problems, Problem{m.Desc.Name, m.Err})
	}
	if len(m.Series) > 0 {
		r.Families = append(r.Families, metric.Family{Desc: m.Desc, Series: m.Series, Earlier: m.Earlier})
		r.Series += len(m.Series)
		r.Readings += len(m.Series)
	}
}

// commit returns the commit of the current tick. Running totals that begin in this tick count as zero at the last tick, or at the time
// given to Resume. That start is at most maxSince ago, because a receiver may reject an older sample.
func (l *Ledger) commit(at time.Time, r *Result) *commit {
	c := &commit{tick: l.tick, at: at.UnixMilli(), seen: l.seen, result: r}
	c.since = c.at - 1
	if from := max(l.last, l.resume); from > 0 && from < c.at {
		c.since = max(from, c.at-maxSince.Milliseconds())
	}
	return c
}

// show commits the tick in all tables and adds the families to the result.
func (l *Ledger) show(at time.Time, c *commit) {
	r := c.result
	for _, t := range l.order {
		t.commit(c)
		if !t.failing {
			t.measured = at
		} else if l.expired(t, at) {
			continue
		}
		if family := t.family(c); len(family.Series) > 0 {
			r.Families = append(r.Families, family)
			r.Series += len(family.Series)
		}
	}
	l.remove(func(t *table) bool { return t.idle(l.tick) })
	for _, t := range l.inherited { // inherited tables that remain are of metrics no longer declared
		l.sets.drop(len(t.entries))
		l.journal.drop(t.saved)
	}
	l.inherited = nil
	l.sets.endTick(l.order)
	l.last = c.at
}

// remove removes each table for which the result of the argument "old" is true. These tables belong to metrics that are no longer
// measured, or to metrics that are new in a tick that is refused.
func (l *Ledger) remove(old func(*table) bool) {
	l.order = slices.DeleteFunc(l.order, func(t *table) bool {
		gone := old(t)
		if gone {
			delete(l.tables, t.desc)
			l.journal.drop(t.saved)
		}
		return gone
	})
}

// table returns the table of a metric. If there is none, it takes the inherited table or makes a new one.
func (l *Ledger) table(d *metric.Desc, r *Result) *table {
	t := l.tables[d]
	if t != nil {
		return t
	}
	switch t = l.inherited[d.Name]; {
	case t == nil:
		t = newTable(d, l.sets, l.journal)
		t.born = l.tick
	case !sameState(t.desc, d):
		r.Restarted = append(r.Restarted, d.Name)
		t = newTable(d, l.sets, l.journal)
		t.born = l.tick
	default:
		delete(l.inherited, d.Name)
		t.desc = d
		t.declare(l.journal)
		t.begin()
	}
	l.tables[d] = t
	l.order = append(l.order, t)
	return t
}

// Inherit takes over the state of an older ledger. The older ledger must not be used any more. A metric continues if its declaration is
// the same, except for settings that do not matter for its state, such as help and first_run. Inherit must be called before the first
// Apply.
func (l *Ledger) Inherit(old *Ledger) {
	l.inherited = map[string]*table{}
	maps.Copy(l.inherited, old.inherited) // if no Apply of old has succeeded
	for _, t := range old.order {
		l.inherited[t.desc.Name] = t
	}
	l.sets, l.tick, l.last = old.sets, old.tick, old.last
	if l.journal != nil && old.journal != nil {
		old.journal.values = l.journal.values
		l.journal = old.journal
	}
}

// Resume sets the start timestamp of running totals that are new in the next tick. It is called after Restore, if nothing
// newer than the restored state has been delivered.
func (l *Ledger) Resume(at time.Time) { l.resume = at.UnixMilli() }

// held returns the tables in use, followed by the inherited tables that are not used yet, sorted by name.
func (l *Ledger) held() []*table {
	all := slices.Clone(l.order)
	for _, name := range slices.Sorted(maps.Keys(l.inherited)) {
		all = append(all, l.inherited[name])
	}
	return all
}

// stateKey returns the part of a declaration that the metric's state depends on, as text (see metric.Desc). It returns "" if
// the declaration cannot be written as text, such as one with an infinite bucket. The state of such a metric cannot be
// saved.
func stateKey(d *metric.Desc) string {
	text, err := json.Marshal(d)
	if err != nil {
		return ""
	}
	return string(text)
}

// sameState reports whether state that was collected under declaration a is valid under declaration b.
func sameState(a, b *metric.Desc) bool {
	text := stateKey(a)
	return text != "" && text == stateKey(b)
}
