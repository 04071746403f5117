package schedule

import "time"

const (
	// maxPeriods bounds every walk over the zone's periods. A zone has fewer than ten in a year, and no walk takes more than
	// eight years.
	maxPeriods = 1000
	// reach is how long ago a clock can have been ahead of now: RFC 9636, section 3.2, wants offsets between -25 and +26 hours.
	reach = 51 * 60 * 60
	// far stands for the end of a period that has none; sums with an offset do not overflow.
	far = int64(1) << 62
)

// period is a stretch of real time, start ≤ t < end in seconds since 1970-01-01 UTC, with one offset: there the clock on the
// wall shows t + shift. Neighbours may have the same shift.
type period struct{ start, end, shift int64 }

// periodAt returns the period around an instant.
func periodAt(loc *time.Location, unix int64) period {
	t := time.Unix(unix, 0).In(loc)
	start, end := t.ZoneBounds()
	_, shift := t.Zone()
	p := period{start: -far, end: far, shift: int64(shift)}
	if !start.IsZero() {
		p.start = start.Unix()
	}
	if !end.IsZero() {
		p.end = end.Unix()
	}
	if p.end <= unix {
		// Where a zone's rule for all future years applies, Go ends the year's last period after 365 days, in leap years
		// too (go.dev/issue/81583). The year's true end is as good a border as any: nothing changes before it.
		p.end = time.Date(t.UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	return p
}

// next returns what follows the period. It begins where the period ended, also if that was a border that is none (above).
func (p period) next(loc *time.Location) period {
	n := periodAt(loc, p.end)
	n.start = p.end
	return n
}

// nextReal returns the first instant above the given one at which the clock shows a matching time.
func (s *Schedule) nextReal(after int64) (int64, bool) {
	p := periodAt(s.loc, after)
	above := after + p.shift
	for range maxPeriods {
		due, ok := s.shown(above)
		if !ok {
			return 0, false
		}
		if due < p.end+p.shift {
			return due - p.shift, true
		}
		// Search the next period from its first second: the clock may have been set back before what was just found.
		p = p.next(s.loc)
		above = p.start + p.shift - 1
	}
	return 0, false
}

// nextWall returns the first instant above the given one at which the clock has newly reached a matching time. The clock
// reaches a time when it first shows that time or a later one; so a time in a gap is reached at the jump, and a repeated
// time is reached once.
func (s *Schedule) nextWall(after int64) (int64, bool) {
	due, ok := s.shown(reached(s.loc, after))
	if !ok {
		return 0, false
	}
	p := periodAt(s.loc, after)
	for range maxPeriods {
		if due < p.end+p.shift {
			return max(due-p.shift, p.start), true
		}
		p = p.next(s.loc)
	}
	return 0, false
}

// reached returns the latest time that the clock has shown up to an instant, that instant included. It is later than what
// the clock shows now while an hour is being repeated.
func reached(loc *time.Location, unix int64) int64 {
	p := periodAt(loc, unix)
	latest := unix + p.shift
	for range maxPeriods {
		if p.start < unix-reach {
			break
		}
		end := p.start
		p = periodAt(loc, end-1)
		latest = max(latest, end-1+p.shift)
	}
	return latest
}
