package ledger

import (
	"fmt"
	"math"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// pending is what a tick wants of one entry.
type pending struct {
	entry int32
	count int32 // readings combined
	value float64
	time  int64
}

// begin makes the table ready for a tick, as one that brings no readings of this metric.
func (t *table) begin() {
	t.failing = false
	t.live, t.guess = len(t.entries), 0
	t.pending, t.timed = t.pending[:0], false
	t.taken = 0
	t.earlier = nil
	t.drops.reset()
}

// rollback undoes what match has done.
func (t *table) rollback() {
	if t.events != nil {
		t.events.rollback()
	}
	t.cut(t.live)
	t.begin()
}

// match finds or makes the entry of each reading, and what the readings want of it. On an error the caller rolls back.
func (t *table) match(at, seen int64, tick uint32, rows []metric.Reading) error {
	t.expect(rows)
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
		if err := t.pend(t.find(row.Labels), tick, row); err != nil {
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

// expect makes room at once for the series of a metric that has none yet, where each reading is a series of its own.
func (t *table) expect(rows []metric.Reading) {
	if len(t.entries) > 0 || len(rows) == 0 || rows[0].Time != 0 || t.desc.Accumulates() || t.desc.OnDuplicate != metric.DuplicateError {
		return
	}
	t.entries, t.pending = make([]entry, 0, len(rows)), make([]pending, 0, len(rows))
	t.index(len(rows))
}

// skips tells whether this is the metric's first tick ever, of which nothing is to count: event ids are remembered alone.
func (t *table) skips() bool { return t.desc.FirstRun == metric.FirstSkip && t.measured.IsZero() }

// unfit says why a reading cannot be taken whatever the state is, "" where it can. It is then as if it had not been there.
func (t *table) unfit(at int64, row *metric.Reading) metric.Reason {
	switch {
	case math.IsNaN(row.Value) || math.IsInf(row.Value, 0):
		return metric.Invalid
	case t.desc.Type == metric.Counter && row.Value < 0:
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

// pend notes a reading for its entry, combined with an earlier one of this tick where its metric says how.
func (t *table) pend(at int, tick uint32, row *metric.Reading) error {
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

// combine makes one reading of two.
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
		when := "in one tick"
		if t.timed {
			when = "of one time"
		}
		return fmt.Errorf("two readings of %s%s %s; tell them apart by a label, or set on_duplicate to sum, last, max, min or count", t.desc.Name, t.entries[p.entry].labels, when)
	}
	return nil
}

// adds tells whether each reading counts by itself, so that two of one series are no duplicates.
func (t *table) adds() bool {
	d := t.desc
	return d.Type == metric.Histogram || d.Type == metric.Summary || d.Type == metric.Counter && d.From == metric.Events
}

// later is the later of two readings' own times, where 0 is the tick's.
func later(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// refuse drops what a metric cannot take because of what it is or has become by combination. Readings of one series stand
// together, in order of time.
func (t *table) refuse(tick uint32) {
	if t.adds() {
		return
	}
	taken := t.pending[:0]
	shown := int32(-1) // the last entry that has something to show
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
		case t.isToldAgain(e, &p):
			reason, shown = metric.NotNewer, p.entry
		case t.desc.OnDecrease == metric.DecreaseError && t.falls(known, before, p.value):
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
		t.entries[p.entry].seen = tick // one of its readings may have been refused before
	}
}

// falls tells whether an upstream total is less than it was before.
func (t *table) falls(known bool, before, value float64) bool {
	return known && t.desc.Type == metric.Counter && t.desc.From == metric.Total && value < before
}
