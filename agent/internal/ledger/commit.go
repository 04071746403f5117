package ledger

import "github.com/collectington/collectington/agent/metric"

// commit is what a tick's changes need to know.
type commit struct {
	tick   uint32
	at     int64 // the tick's time, Unix milliseconds
	seen   int64 // when its events count as seen, Unix milliseconds
	since  int64 // a running total of ours that is new in this tick stood at zero then
	result *Result
}

// commit applies what match has found; it cannot fail. A metric without readings in this tick loses its series, unless
// they are running totals of ours or it could not be measured.
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
		t.events.commit(c.seen, &t.drops)
	}
	t.keepLasting(c)
	c.result.Readings += t.taken
	c.result.Drops = t.drops.appendTo(c.result.Drops, t.desc.Name)
}

// apply turns one reading into the series' new value.
func (t *table) apply(c *commit, p *pending) {
	e := &t.entries[p.entry]
	t.comeBack(e)
	switch d := t.desc; {
	case d.Accumulates():
		t.accumulate(c, e, p)
		return
	case d.Type == metric.Counter:
		t.follow(c, e, p)
	case d.Delta:
		e.hidden = !e.known
		e.value, e.upstream = p.value-e.upstream, p.value
	default:
		e.value = p.value
	}
	e.known, e.time = true, p.time
}

// accumulate adds to a running total of ours. Its time is the latest of its readings' own times, so that it never goes
// back, and the tick's once a reading had none.
func (t *table) accumulate(c *commit, e *entry, p *pending) {
	if !e.known {
		e.known, e.start, e.time = true, startBefore(c.since, p.time), p.time
	}
	if t.desc.Type == metric.Counter {
		e.value += p.value
	} else {
		e.observe(t.desc, c, p)
	}
	e.time = later(e.time, p.time)
}

// follow shows the upstream's own running total. When that falls, the upstream has begun anew: so does the series, with a
// start just before this tick, which is what Prometheus' functions expect of a counter. When the first total that we see
// began is unknown, so until a reset it has no start.
func (t *table) follow(c *commit, e *entry, p *pending) {
	if t.falls(e.known, e.value, p.value) {
		if t.desc.OnDecrease == metric.DecreaseIgnore {
			return
		}
		c.result.Resets++
		e.start = startBefore(c.at-1, p.time)
	}
	e.value = p.value
}

// startBefore is a start, or the millisecond before a reading's own time if that is earlier.
func startBefore(start, own int64) int64 {
	if own != 0 {
		return min(start, own-1)
	}
	return start
}

// family is what the table has to show.
func (t *table) family(c *commit) metric.Family {
	f := metric.Family{Desc: t.desc, Series: make([]metric.Series, 0, len(t.entries)), Earlier: t.earlier}
	for i := range t.entries {
		e := &t.entries[i]
		if e.hidden || e.gone {
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
