package run

import (
	"slices"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/metric"
)

// timekeeper reads the clock for someone who keeps times of day.
type timekeeper struct {
	*clock.Clock
	shift time.Duration // Reading.Shift at the last read
	back  bool          // the clock has jumped back since the start
}

func newTimekeeper(c *clock.Clock) timekeeper { return timekeeper{Clock: c, shift: c.Read().Shift} }

// read reads the clock, and returns by how much it has jumped since the last read. All times that are kept have to be moved by
// that much, so that they stay as far from now as they were.
func (k *timekeeper) read() (now clock.Reading, jumped time.Duration) {
	now = k.Clock.Read()
	jumped = now.Shift - k.shift
	k.shift = now.Shift
	k.back = k.back || jumped < 0
	return now, jumped
}

// move moves a time, unless it is zero.
func move(t *time.Time, by time.Duration) {
	if !t.IsZero() {
		*t = t.Add(by)
	}
}

// keepTime reads the clock. If it has jumped, the job's times move along: its values expire, and the next interval ends, after
// the time that has passed. A cron expression goes by the clock: it is due at its first time from now on, and at once if the clock
// has jumped over its time.
func (j *job) keepTime() clock.Reading {
	now, by := j.time.read()
	if by == 0 {
		return now
	}
	for _, t := range []*time.Time{&j.LastSuccess, &j.delivered, &j.expireAt, &j.savedAt} {
		move(t, by)
	}
	if j.Windows == nil {
		move(&j.Cursor, by) // the end of a window is a time of the API's
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

// moveLatest reads the clock, and moves the times of the latest batches if it has jumped. The caller holds mu.
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

// inTime changes a batch whose times lie after now, because the clock has jumped back since: a batch is not of the future, and no
// total starts after its sample. The caller holds mu.
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

// startsLate reports whether a series starts after its sample.
func startsLate(s *metric.Series, batch time.Time) bool {
	at := s.Time
	if at == 0 {
		at = batch.UnixMilli()
	}
	return s.Start > at
}
