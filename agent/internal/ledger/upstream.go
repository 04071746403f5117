package ledger

import "github.com/collectington/collectington/agent/metric"

// Running totals that the upstream keeps, and their decreases.

// decreases returns true if an upstream total is less than its previous value.
func (t *table) decreases(known bool, before, value float64) bool {
	return known && t.desc.Type == metric.Counter && t.desc.From == metric.Total && value < before
}

// follow sets a running total that the upstream keeps. A decrease means that the upstream started again. The series then
// gets a start timestamp just before this tick, as Prometheus' functions expect of a counter. Before the first reset the
// start is unknown.
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

// addsOn reports whether the metric has on_decrease: add: after a decrease of the upstream total, the series continues from its value.
func (t *table) addsOn() bool {
	return t.desc.Type == metric.Counter && t.desc.From == metric.Total && t.desc.OnDecrease == metric.DecreaseAdd
}

// addOn sets a total that never decreases: the upstream's total plus what was counted before its last reset. The entry stores what was
// counted before the last reset, and no differences, so that the sum is rounded only once and is equal to the upstream's total before the
// first reset.
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
