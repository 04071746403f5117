package ledger

import (
	"fmt"
	"math"

	"github.com/collectington/collectington/agent/metric"
)

// commit is what a tick's changes need to know.
type commit struct {
	tick   uint32
	at     int64 // the tick's time, Unix milliseconds
	since  int64 // a running total of ours that is new in this tick stood at zero then
	result *Result
}

// rollback undoes what match has done.
func (t *table) rollback() {
	t.pending = t.pending[:0]
	if t.events != nil {
		t.events.rollback()
	}
	t.cut(t.live)
}

// cut drops the entries from n on, which are the newest of their hashes.
func (t *table) cut(n int) {
	for i := len(t.entries) - 1; i >= n; i-- {
		e := &t.entries[i]
		if e.chain >= 0 {
			t.index[e.hash] = e.chain
		} else {
			delete(t.index, e.hash)
		}
	}
	clear(t.entries[n:])
	t.entries = t.entries[:n]
	t.live = n
}

// commit applies what match has found; it cannot fail. A metric without readings in this tick loses its series, unless
// they are running totals of ours or it could not be measured.
func (t *table) commit(c *commit) {
	defer func() { t.live, t.committed = len(t.entries), c.tick }()
	if t.visited == c.tick && t.failing {
		return
	}
	if t.visited != c.tick {
		t.pending = t.pending[:0]
		t.failing = false
	}
	for i := range t.pending {
		t.apply(c, &t.pending[i])
	}
	t.pending = t.pending[:0]
	if t.events != nil {
		t.events.commit(c.at)
	}
	if !t.desc.Accumulates() {
		t.dropUnseen(c.tick)
	}
	c.result.Drops = t.drops.appendTo(c.result.Drops, t.desc.Name)
}

// apply turns one reading into the series' new value. A reading that its metric cannot take is as if it had not been.
func (t *table) apply(c *commit, p *pending) {
	e := &t.entries[p.entry]
	if t.desc.OnDuplicate == metric.DuplicateCount && !t.adds() {
		p.value = float64(p.count)
	}
	if reason := t.refuses(e, p); reason != "" {
		t.drops.add(reason, func() string {
			return fmt.Sprintf("%v for %s%s, which was %v", p.value, t.desc.Name, e.labels, e.value)
		})
		e.seen = 0
		return
	}
	switch d := t.desc; {
	case d.Type == metric.Histogram || d.Type == metric.Summary:
		e.observe(d, c, p)
	case d.Type == metric.Counter && d.From != metric.Total:
		if !e.known {
			e.start = c.since
		}
		e.value += p.value
	case d.Type == metric.Counter:
		t.follow(c, e, p)
	case d.Delta:
		e.hidden = !e.known
		e.value, e.upstream = p.value-e.upstream, p.value
	default:
		e.value = p.value
	}
	e.known = true
	e.time = p.time
}

// refuses says why the metric cannot take the reading, "" where it can.
func (t *table) refuses(e *entry, p *pending) metric.Reason {
	switch {
	case math.IsNaN(p.value) || math.IsInf(p.value, 0):
		return metric.Invalid
	case t.desc.Type == metric.Counter && p.value < 0:
		return metric.Invalid
	case t.falls(e, p) && t.desc.OnDecrease == metric.DecreaseError:
		return metric.Decreased
	}
	return ""
}

// falls tells whether an upstream total is less than it was.
func (t *table) falls(e *entry, p *pending) bool {
	return t.desc.Type == metric.Counter && t.desc.From == metric.Total && e.known && p.value < e.value
}

// follow shows the upstream's own running total. When that falls, the upstream has begun anew: so does the series, with a
// start just before this tick, which is what Prometheus' functions expect of a counter. When the first total that we see
// began is unknown, so until a reset it has no start.
func (t *table) follow(c *commit, e *entry, p *pending) {
	if t.falls(e, p) {
		if t.desc.OnDecrease == metric.DecreaseIgnore {
			return
		}
		c.result.Resets++
		e.start = c.at - 1
	}
	e.value = p.value
}

// dropUnseen forgets the series that this tick had no reading of.
func (t *table) dropUnseen(tick uint32) {
	kept := 0
	for i := range t.entries {
		if t.entries[i].seen == tick {
			kept++
		}
	}
	if kept == len(t.entries) {
		return
	}
	clear(t.index)
	old := t.entries
	t.entries = t.entries[:0]
	for _, e := range old {
		if e.seen != tick {
			continue
		}
		e.chain = -1
		if at, found := t.index[e.hash]; found {
			e.chain = at
		}
		t.index[e.hash] = int32(len(t.entries))
		t.entries = append(t.entries, e)
	}
	clear(old[len(t.entries):])
}

// expected is how many series the table will have once the tick is committed.
func (t *table) expected(tick uint32) int {
	if t.desc.Accumulates() || t.visited == tick && t.failing {
		return len(t.entries)
	}
	n := 0
	for i := range t.entries {
		if t.entries[i].seen == tick {
			n++
		}
	}
	return n
}

// family is what the table has to show.
func (t *table) family(c *commit) metric.Family {
	f := metric.Family{Desc: t.desc, Series: make([]metric.Series, 0, len(t.entries))}
	for i := range t.entries {
		e := &t.entries[i]
		if !e.known || e.hidden {
			continue
		}
		s := metric.Series{Labels: e.labels, Value: e.value, Time: e.time, Start: e.start}
		if e.observed != nil {
			e.observed.show(t.desc, c, &s)
		}
		f.Series = append(f.Series, s)
	}
	return f
}
