// Package schedule turns the text of a job's schedule and a time zone into the next time the job is due.
//
// A schedule is "@every 60s" or a cron expression. A cron expression is matched against the local time of the job's zone. When
// local time jumps, what happens depends on whether the hour field has every hour (* or all 24).
//
// A job at fixed hours, such as "30 2 * * *", follows local time. It is due at the first instant at which local time has
// reached the scheduled time:
//
//   - Local time jumps forward over the scheduled time: the job is due once, at the instant of the jump. If it has several
//     times within the gap or at its end, it still runs once.
//     Europe/Oslo, 2024-03-31, 02:00 becomes 03:00: the job above runs at 03:00.
//   - Local time jumps back over the scheduled time: the job is due the first time, and not the second time.
//     Europe/Oslo, 2024-10-27, 03:00 becomes 02:00: the job above runs at 02:30 summer time only.
//
// A job at every hour, such as "*/5 * * * *", follows real time, so that it also runs during a repeated hour. It is due
// whenever local time matches: both times if an hour is repeated, and not for times that are skipped.
//
// These rules are those of ISC (Vixie) cron (see its cron(8)), except that only the hour field decides, and that they apply to
// a jump of any size: half an hour (Australia/Lord_Howe), a whole day (Pacific/Apia at the end of 2011), and changes of the
// offset other than daylight saving time.
//
// None of this applies to "@every".
package schedule

import (
	"errors"
	"hash/fnv"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says when a job is due. Parse returns a Schedule. A Schedule is immutable and safe for concurrent use. The zero Schedule is
// never due.
type Schedule struct {
	every  time.Duration     // duration of "@every"; 0 for a cron expression
	fields cron.SpecSchedule // the cron fields as bits; local time is matched as if it were UTC
	hourly bool              // the hour field contains every hour
	loc    *time.Location
}

// Every returns the duration of an "@every" schedule. It returns false for other schedules.
func (s *Schedule) Every() (time.Duration, bool) { return s.every, s.every > 0 }

// Next returns the first due time after the given time, in the schedule's zone. It returns the zero time if there is none.
//
// For "@every", this is the given time plus the duration. For a cron expression, it is a whole second; for jumps of local
// time see the package comment. A schedule returned by Parse is always due within eight years (for 29 February around a year
// such as 2100). But Next returns the zero time if the given time is outside the years 1 to 9999.
func (s *Schedule) Next(after time.Time) time.Time {
	if y := after.Year(); s.loc == nil || y < 1 || y > 9999 {
		return time.Time{}
	}
	if s.every > 0 {
		return after.Add(s.every).In(s.loc)
	}
	next, ok := int64(0), false
	if s.hourly {
		next, ok = s.nextReal(after.Unix())
	} else {
		next, ok = s.nextWall(after.Unix())
	}
	if !ok {
		return time.Time{}
	}
	return time.Unix(next, 0).In(s.loc)
}

// Interval returns the time between the next two due times after the given time. It returns 0 if there are fewer than two. Defaults such as
// a job's valid_for are computed from this interval. For a schedule such as "0 9 * * mon-fri" the interval depends on the given time.
func (s *Schedule) Interval(after time.Time) time.Duration {
	if s.every > 0 {
		return s.every
	}
	first := s.Next(after)
	if first.IsZero() {
		return 0
	}
	second := s.Next(first)
	if second.IsZero() {
		return 0
	}
	return second.Sub(first)
}

// LongestPause returns an upper bound for the time between two due times. This bound is too long by at most a day.
func (s *Schedule) LongestPause() time.Duration {
	if s.every > 0 {
		return s.every
	}
	longest := time.Duration(0)
	from := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	for n := range 366 {
		at := from.Add(time.Duration(n) * day)
		if next := s.Next(at); !next.IsZero() {
			longest = max(longest, next.Sub(at))
		}
	}
	return longest + day
}

const (
	// maxPeriods bounds the number of periods that a search goes through. A zone has fewer than ten periods in a year, and
	// no search covers more than eight years.
	maxPeriods = 1000
	// reach is how many seconds the function "reached" looks back: further back, local time cannot have been later than it is now. RFC
	// 9636, section 3.2, limits offsets to between -25 and +26 hours, so local time moves back by at most 51 hours.
	reach = 51 * 60 * 60
	// far is used as the start or end of a period without a limit. Adding an offset to it does not overflow.
	far = int64(1) << 62
)

// nextReal returns the first time after the given time at which local time matches the fields.
func (s *Schedule) nextReal(after int64) (int64, bool) {
	p := periodAt(s.loc, after)
	above := after + p.shift
	for range maxPeriods {
		due, ok := s.match(above)
		if !ok {
			return 0, false
		}
		if due < p.end+p.shift {
			return due - p.shift, true
		}
		// Search the next period from its first second, because local time may have jumped back.
		p = p.next(s.loc)
		above = p.start + p.shift - 1
	}
	return 0, false
}

// nextWall returns the first moment after the given one at which the local clock reaches a time of the schedule. The clock reaches 02:30,
// for example, at the first moment at which it shows 02:30 or later. So a local time that is skipped is reached at the jump, and a local
// time that is repeated is reached once.
func (s *Schedule) nextWall(after int64) (int64, bool) {
	due, ok := s.match(reached(s.loc, after))
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

// reached returns the latest local time that there was up to the given time, inclusive. While an hour is repeated, this is
// later than the current local time.
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

// match returns the first matching local time after the given local time. Both are seconds since 1970-01-01 00:00:00 local
// time.
func (s *Schedule) match(above int64) (int64, bool) {
	from := time.Unix(above, 0).UTC()
	next := s.fields.Next(from)
	if next.IsZero() {
		// The library searches five years, but 29 February can be eight years away. So continue after the fifth year.
		next = s.fields.Next(time.Date(from.Year()+5, time.December, 31, 23, 59, 59, 0, time.UTC))
	}
	return next.Unix(), !next.IsZero()
}

// period is a span of time with a constant offset from UTC. For start ≤ t < end in Unix seconds, local time is t + shift.
// Two consecutive periods can have the same shift.
type period struct{ start, end, shift int64 }

// periodAt returns the period that contains a time.
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
		// For years to which a zone's last rule applies, Go ends the last period of a year after 365 days, even in leap
		// years (go.dev/issue/81583). Let the period end with the year instead: the offset does not change before that.
		p.end = time.Date(t.UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	return p
}

// next returns the next period. It starts at the end of p, even if the offset does not change there.
func (p period) next(loc *time.Location) period {
	n := periodAt(loc, p.end)
	n.start = p.end
	return n
}

// Jitter returns a delay, 0 ≤ delay < max, so that jobs which are due at the same time do not all run at once. It depends
// only on max and parts, such as the names of the job and the host, so it is the same after every start and in every
// release. It is 0 if max is 0 or negative.
//
// The delay is the FNV-1a hash of the parts, each followed by a zero byte, modulo max in nanoseconds.
func Jitter(max time.Duration, parts ...string) time.Duration {
	if max <= 0 {
		return 0
	}
	h := fnv.New64a()
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return time.Duration(h.Sum64() % uint64(max))
}

// Overlap says what to do with a tick that is due while the previous tick is still running.
type Overlap uint8

// Skip skips the new tick. Queue starts the new tick after the running tick; at most one tick waits. Cancel cancels the
// running tick.
const (
	Skip Overlap = iota
	Queue
	Cancel
)

func overlapWords() [3]string { return [3]string{"skip", "queue", "cancel"} }

func (o Overlap) String() string { return overlapWords()[o] }

// Words returns the possible values of the setting.
func (Overlap) Words() []string { words := overlapWords(); return words[:] }

// UnmarshalText accepts skip, queue or cancel.
func (o *Overlap) UnmarshalText(text []byte) error {
	for i, word := range overlapWords() {
		if word == string(text) {
			*o = Overlap(i)
			return nil
		}
	}
	return errors.New("want skip, queue or cancel")
}
