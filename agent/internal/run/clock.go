package run

import (
	"slices"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/metric"
)

// timekeeper reads the clock for an owner that stores times of day. After a jump of the clock, the owner must adjust these
// times.
type timekeeper struct {
	*clock.Clock
	shift time.Duration // Shift of the last reading
	back  bool          // the clock has jumped back at least once
}

func newTimekeeper(c *clock.Clock) timekeeper { return timekeeper{Clock: c, shift: c.Read().Shift} }

// read reads the clock and returns by how much the clock has jumped since the last read. The owner must move all times that it stores by
// the same amount, so that their distance from the current time does not change.
func (k *timekeeper) read() (now clock.Reading, jumped time.Duration) {
	now = k.Clock.Read()
	jumped = now.Shift - k.shift
	k.shift = now.Shift
	k.back = k.back || jumped < 0
	return now, jumped
}

// move moves a time by a duration, unless the time is zero.
func move(t *time.Time, by time.Duration) {
	if !t.IsZero() {
		*t = t.Add(by)
	}
}

// keepTime reads the clock. If the clock has jumped, keepTime moves the job's times by the same amount. So a jump does not
// change how long the job's values are valid, or how long an interval lasts. A cron expression follows the clock instead:
// the job is due at the expression's next time. If the clock has jumped over the time at which the job was due, the job is
// due at once.
func (j *job) keepTime() clock.Reading {
	now, by := j.time.read()
	if by == 0 {
		return now
	}
	for _, t := range []*time.Time{&j.LastSuccess, &j.delivered, &j.expireAt, &j.savedAt} {
		move(t, by)
	}
	if j.Windows == nil {
		move(&j.Cursor, by) // the end of a window is a time of the API, not of the clock
	}
	j.Ledger.Shift(by, j.Windows == nil)
	j.status.change(func(s *JobState) {
		move(&s.LastStart, by)
		move(&s.LastSuccess, by)
	})
	if _, every := j.Schedule.Every(); every {
		move(&j.due, by)
	} else if !j.due.IsZero() {
		from := now.Wall.Add(-j.Delay)
		if again := j.Schedule.Next(from); again.Before(j.due) {
			j.due = again
		}
		if j.due.Before(from) {
			j.due = from
		}
	}
	return now
}

// moveLatest reads the clock and returns the current time. If the clock has jumped, it moves the times of the latest batches
// by the same amount. The caller holds mu.
func (a *Agent) moveLatest() time.Time {
	now, by := a.time.read()
	if by != 0 {
		for name, b := range a.latest {
			move(&b.Time, by)
			a.latest[name] = b
		}
	}
	return now.Wall
}

// inTime changes a batch if its times are later than the current time because the clock has jumped back. The batch gets the
// current time, and a total that starts after its sample gets an unknown start. The caller holds mu.
func (a *Agent) inTime(b *metric.Batch) {
	now := a.moveLatest()
	if !a.time.back {
		return
	}
	if b.Time.After(now.Add(clock.Tolerance)) {
		b.Time = now
	}
	b.Families = slices.Clone(b.Families)
	for i := range b.Families {
		f := &b.Families[i]
		at := slices.IndexFunc(f.Series, func(s metric.Series) bool { return startsLate(&s, b.Time) })
		if at < 0 {
			continue
		}
		f.Series = slices.Clone(f.Series)
		for k := range f.Series[at:] {
			if s := &f.Series[at+k]; startsLate(s, b.Time) {
				s.Start = 0 // unknown
			}
		}
	}
}

// startsLate reports whether the start of a series is later than its sample.
func startsLate(s *metric.Series, batch time.Time) bool {
	at := s.Time
	if at == 0 {
		at = batch.UnixMilli()
	}
	return s.Start > at
}
