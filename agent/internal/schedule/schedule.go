// Package schedule turns the text of a job's schedule and a time zone into the next time the job is due.
//
// A schedule is "@every 60s" or cron text. Cron text is matched against the clock on the wall of the job's zone, and that
// clock jumps. What happens then depends on one thing, whether the hour field names every hour (* or all 24 of them).
//
// A job at fixed hours, such as "30 2 * * *", follows the wall clock. It is due at the first instant at which the clock has
// reached the time asked for:
//
//   - The clock goes forward over the time: it is due once, at the instant of the jump. Several times of one job within the
//     gap, and one that falls on the far edge of it, make one run together.
//     Europe/Oslo, 2024-03-31, 02:00 becomes 03:00: the job above runs at 03:00.
//   - The clock goes back over the time: it is due the first time the clock shows it, and not the second time.
//     Europe/Oslo, 2024-10-27, 03:00 becomes 02:00: the job above runs at 02:30 summer time only.
//
// A job at every hour, such as "*/5 * * * *", follows real time; otherwise it would be silent for the repeated hour. It is due
// whenever the clock shows a time that matches: in both passes of what is repeated, and never for what was skipped.
// The split between the two is that of ISC (Vixie) cron, see its cron(8), except that only the hour field decides here, and
// that the rules do not depend on the size of the jump: they hold for half an hour (Australia/Lord_Howe), for a whole day
// (Pacific/Apia at the end of 2011), and for a zone that changes its offset for another reason than summer time.
//
// An "@every" schedule has no clock on the wall, and none of this applies to it.
package schedule

import (
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says when a job is due. Parse makes one; it is never changed afterwards, and may be shared between goroutines.
// The zero Schedule is never due.
type Schedule struct {
	every  time.Duration     // of "@every", else 0
	fields cron.SpecSchedule // the cron fields as bits, bound to UTC, which stands for a clock without jumps
	hourly bool              // the hour field names every hour
	loc    *time.Location
}

// Every returns the duration of an "@every" schedule, and whether it is one.
func (s *Schedule) Every() (time.Duration, bool) { return s.every, s.every > 0 }

// Next returns the first due time strictly after the given one, in the schedule's zone, and the zero time if there is none.
//
// For "@every" that is the given time plus the duration: who wants a grid must hand in points of it. For cron text it is a
// whole second; the package comment has the rules for a clock that jumps. A schedule that Parse accepted is due again within
// eight years (29 February, over a year such as 2100), but no time is computed outside the years 1 to 9999.
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

// Interval returns the gap between the next two due times after the given time, from which defaults such as a job's
// valid_for are made. It differs from one moment to the next for a schedule such as "0 9 * * mon-fri". It is 0 if the
// schedule is not due twice.
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

// shown returns the first matching second above the given one on a clock that never jumps, both counted from 1970-01-01
// 00:00:00 as that clock shows it.
func (s *Schedule) shown(above int64) (int64, bool) {
	from := time.Unix(above, 0).UTC()
	next := s.fields.Next(from)
	if next.IsZero() {
		// The search ends with the fifth year, but 29 February can be eight years away: go on from the end of that year.
		next = s.fields.Next(time.Date(from.Year()+5, time.December, 31, 23, 59, 59, 0, time.UTC))
	}
	return next.Unix(), !next.IsZero()
}
