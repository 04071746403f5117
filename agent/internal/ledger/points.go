package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// A series that is gone has its last time remembered while that is not older than rememberTimes, so that what the API shows
// of it once more is known again; and only so many of a metric.
const (
	rememberTimes = 24 * time.Hour
	maxGone       = 100_000
)

// hasPoints tells whether readings of one series with different times of their own stand side by side, as points. A
// running total of ours changes at ticks alone, and so does a change since the last one.
func (t *table) hasPoints() bool { return !t.desc.Accumulates() && !t.desc.Delta }

// inOrder puts the readings of a series next to each other and in order of time, and makes one of those of one time. A
// reading without a time of its own has that of the tick, at.
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

// isToldAgain tells a point that is not newer than what was taken of its series before.
func (t *table) isToldAgain(e *entry, p *pending) bool {
	return t.hasPoints() && e.known && e.time != 0 && p.time != 0 && p.time <= e.time
}

// remembers tells whether the last time of a series that this tick did not show is worth keeping.
func (t *table) remembers(e *entry, at int64) bool {
	return t.hasPoints() && e.known && e.time != 0 && at-e.time <= rememberTimes.Milliseconds()
}

// comeBack has a series that was gone begin anew, behind its last time.
func (t *table) comeBack(e *entry) {
	if e.gone {
		e.gone, e.known, e.start = false, false, 0
	}
}

// keepEarlier keeps what an entry is now as a point before what the same tick brings next.
func (t *table) keepEarlier(c *commit, e *entry) {
	if t.earlier == nil {
		t.earlier = map[*metric.LabelSet][]metric.Point{}
	}
	t.earlier[e.labels] = append(t.earlier[e.labels], metric.Point{Time: cmp.Or(e.time, c.at), Value: e.value, Start: e.start})
}
