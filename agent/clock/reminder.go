package clock

import "time"

// Reminder decides when an error that continues is logged again: 10 minutes, an hour and a day after it began, and then once a day.
// So a reader of the log's last pages sees it too, and the log does not fill up.
type Reminder struct {
	since time.Time
	given int // number of reminders so far
}

// NewReminder returns a reminder of something that begins now.
func NewReminder() *Reminder { return &Reminder{since: time.Now()} }

// Since returns when it has begun.
func (r *Reminder) Since() time.Time { return r.since }

// Due reports whether to log it now, and counts that as done. If several times have passed since the last call, it is due once.
func (r *Reminder) Due() bool {
	lasts := time.Since(r.since)
	if lasts < reminderAt(r.given) {
		return false
	}
	for lasts >= reminderAt(r.given) {
		r.given++
	}
	return true
}

// reminderAt returns after how much time the n-th reminder is due, counted from 0.
func reminderAt(n int) time.Duration {
	switch n {
	case 0:
		return 10 * time.Minute
	case 1:
		return time.Hour
	}
	return time.Duration(n-1) * 24 * time.Hour
}
