// Package ledger is the in-memory state of a job and the only place that turns readings into metric values: running
// totals, last values, seen events. A tick's readings are applied whole or not at all.
//
//	readings ─▶ match (which series?) ─▶ commit (what does it become?) ─▶ families, as absolute values
//	               └─ an error here leaves everything as it was
package ledger

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// maxAhead is how far a reading's own time may lie ahead of the tick: one sample far in the future can make a receiver
// refuse everything that follows.
const maxAhead = 10 * time.Minute

// maxSince is Prometheus' default look-back: a zero older than this tells its functions nothing more.
const maxSince = 5 * time.Minute

// Ledger is one job's state. It is not safe for concurrent use.
type Ledger struct {
	validUntil Until
	maxSeries  int

	tables map[*metric.Desc]*table
	heirs  map[string]*table // by metric name: state of a ledger before this one, for whoever declares the same metric
	order  []*table
	tick   uint32
	last   int64 // the last applied tick's time, Unix milliseconds; 0 = none yet
	resume int64 // what is new in the tick after it has begun then, or later; 0 = nothing known
	seen   int64 // when the events of the tick under way count as seen, Unix milliseconds

	snapshot int // bytes of the last one
}

// Until says how long a metric's last values stand in when it cannot be measured, given when it was measured last.
type Until func(measured time.Time) time.Time

// For is Until a fixed time later.
func For(d time.Duration) Until { return func(measured time.Time) time.Time { return measured.Add(d) } }

// New makes an empty ledger. A metric that cannot be measured keeps its last values as long as until says; a tick with
// more than maxSeries series is refused.
func New(until Until, maxSeries int) *Ledger {
	return &Ledger{validUntil: until, maxSeries: maxSeries, tables: map[*metric.Desc]*table{}}
}

// Result is what became of a tick's readings.
type Result struct {
	Families []metric.Family // all that the job has to show now
	Series   int             // in Families
	Readings int             // taken, which those in Drops are not
	Resets   int             // upstream totals that fell and were taken to have begun anew
	Problems []Problem       // metrics that could not be measured
	Drops    []Drop          // readings left out
	Anew     []string        // metrics that were handed on, but are declared otherwise now: their totals begin anew
}

// Problem is why one metric was not measured in a tick.
type Problem struct {
	Metric string
	Err    error
}

// Drop is readings of one metric left out for one reason.
type Drop struct {
	Metric string
	metric.Drop
}

// Apply takes a tick's readings. On an error, which says that the tick as a whole cannot be taken, nothing has changed.
func (l *Ledger) Apply(at time.Time, readings metric.Readings) (*Result, error) {
	return l.ApplyWindow(at, at, readings)
}

// ApplyWindow takes the readings of a tick that may be late: events count as seen at the end of its window, so that those
// which the next window shows again are known, however long it takes until that is read.
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
	if n := l.series() + r.Series; n > l.maxSeries {
		return nil, fmt.Errorf("%d series are more than max_series (%d)", n, l.maxSeries)
	}
	step = committing
	c := l.commit(at, r)
	for _, t := range l.order {
		t.commit(c)
		if !t.failing {
			t.measured = at
		} else if t.measured.IsZero() || !at.Before(l.validUntil(t.measured)) {
			continue
		}
		if family := t.family(c); len(family.Series) > 0 {
			r.Families = append(r.Families, family)
			r.Series += len(family.Series)
		}
	}
	l.forgetIdle()
	l.heirs = nil
	l.last = c.at
	step = done
	return r, nil
}

// step is how far an Apply has come.
type step int

const (
	matching step = iota
	committing
	done
)

// settle ends an Apply that has failed or panicked. While it only matched, its changes are rolled back. A panic later
// leaves totals that are partly changed, which are of no use: the ledger is empty then.
func (l *Ledger) settle(s step) {
	switch s {
	case matching:
		for _, t := range l.order {
			t.rollback()
		}
	case committing:
		*l = *New(l.validUntil, l.maxSeries)
	}
}

// Empty reports whether the ledger holds no state at all.
func (l *Ledger) Empty() bool { return len(l.order) == 0 && len(l.heirs) == 0 }

// Resume says that at a time, after Restore, nobody had been told of more than the ledger holds: running totals that its
// next tick begins stood at zero then.
func (l *Ledger) Resume(at time.Time) { l.resume = at.UnixMilli() }

// commit says when the running totals that this tick begins stood at zero: at the last tick, or when the ledger resumed, but
// not longer ago than maxSince, since a receiver may refuse an older sample.
func (l *Ledger) commit(at time.Time, r *Result) *commit {
	c := &commit{tick: l.tick, at: at.UnixMilli(), seen: l.seen, result: r}
	c.since = c.at - 1
	if from := max(l.last, l.resume); from > 0 && from < c.at {
		c.since = max(from, c.at-maxSince.Milliseconds())
	}
	return c
}

// match finds the series of a metric's readings. What it changes can be rolled back.
func (l *Ledger) match(at time.Time, m *metric.Measured, r *Result) {
	for _, d := range m.Drops {
		r.Drops = append(r.Drops, Drop{m.Desc.Name, d})
	}
	if m.Series != nil {
		r.pass(m)
		return
	}
	t := l.table(m.Desc, r)
	err := m.Err
	if t.visited == l.tick {
		err = fmt.Errorf("%s was measured twice in one tick; put all its readings together", m.Desc.Name)
	}
	t.visited = l.tick
	if err == nil {
		err = t.match(at.UnixMilli(), l.seen, l.tick, m.Rows)
	}
	if err != nil {
		t.rollback()
		t.failing = true
		r.Problems = append(r.Problems, Problem{m.Desc.Name, err})
	}
}

// pass takes what is ready.
func (r *Result) pass(m *metric.Measured) {
	if m.Err != nil {
		r.Problems = append(r.Problems, Problem{m.Desc.Name, m.Err})
	}
	if len(m.Series) > 0 {
		r.Families = append(r.Families, metric.Family{Desc: m.Desc, Series: m.Series})
		r.Series += len(m.Series)
		r.Readings += len(m.Series)
	}
}

func (l *Ledger) table(d *metric.Desc, r *Result) *table {
	t := l.tables[d]
	if t == nil {
		t = l.inherited(d, r)
		l.tables[d] = t
		l.order = append(l.order, t)
	}
	return t
}

// Inherit hands on the state of a ledger that is used no longer: a metric that is declared as it was there, but for its
// help, and for what its first tick was to count, goes on from where it stood. It comes before the first Apply.
func (l *Ledger) Inherit(old *Ledger) {
	l.heirs = map[string]*table{}
	maps.Copy(l.heirs, old.heirs) // what it has not come to use itself
	for _, t := range old.order {
		l.heirs[t.desc.Name] = t
	}
	l.tick, l.last = old.tick, old.last
}

func (l *Ledger) inherited(d *metric.Desc, r *Result) *table {
	t := l.heirs[d.Name]
	if t == nil {
		return newTable(d)
	}
	if !sameMeaning(t.desc, d) {
		r.Anew = append(r.Anew, d.Name)
		return newTable(d)
	}
	delete(l.heirs, d.Name)
	t.desc = d
	t.begin()
	return t
}

// forgetIdle drops the tables of metrics that are measured no longer.
func (l *Ledger) forgetIdle() {
	l.order = slices.DeleteFunc(l.order, func(t *table) bool {
		idle := t.idle(l.tick)
		if idle {
			delete(l.tables, t.desc)
		}
		return idle
	})
}

// series is how many series the ledger holds, those of the tick under way included. What this tick did not show again is
// about to go and does not count.
func (l *Ledger) series() int {
	n := 0
	for _, t := range l.order {
		n += t.lasting(l.tick)
	}
	return n
}
