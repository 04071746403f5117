package sources

import "time"

// Twice reports whether the local time of t occurs twice because clocks are set back, and returns both times. Otherwise, "first" and
// "second" are both t.
func Twice(t time.Time) (first, second time.Time, twice bool) {
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		_, before := start.Add(-1).Zone()
		if other := t.Add(time.Duration(offset-before) * time.Second); before > offset && other.Before(start) {
			return other, t, true
		}
	}
	if !end.IsZero() {
		_, after := end.Zone()
		if other := t.Add(time.Duration(offset-after) * time.Second); after < offset && !other.Before(end) {
			return t, other, true
		}
	}
	return t, t, false
}

// skew is how far the clock of an API may be ahead of the agent's clock.
const skew = time.Minute

// NotAfter returns the second of two times, or the first one if the second is more than skew after the time of the tick.
func NotAfter(tick, first, second time.Time) time.Time {
	if second.After(tick.Add(skew)) {
		return first
	}
	return second
}
