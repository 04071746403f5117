package clock

import "time"

// Reminder decides when an error that continues is logged again: 10 minutes, an hour and a day after it began, and then once a day.
// So the error is also in recent parts of the log, but does not fill the log.
type Reminder struct {
	since time.Time
	given int // number of reminders so far
}

// NewReminder returns a reminder for an error that begins now.
func NewReminder() *Reminder { return &Reminder{since: time.Now()} }

// Since returns when the error has begun.
func (r *Reminder) Since() time.Time { return r.since }

// Due reports whether to log the error now. The caller must then log it, because Due returns true only once for each reminder. If several
// reminders have become due since the previous call, Due returns true once for all of them.
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

// Continuing is an error that may continue while something is tried again and again. It decides when the error is logged: when it begins,
// when its text changes, and when a [Reminder] of the text is due. The zero value has no error.
type Continuing struct {
	text     string
	reminder *Reminder // nil = there is no error
}

// Failed notes that an attempt has failed, and reports whether to log the error now. If the error has continued since an earlier attempt,
// the result "more" has the attribute "since" for the log line, which says when the error began.
func (c *Continuing) Failed(text string) (more []any, log bool) {
	if c.reminder == nil || text != c.text {
		c.text, c.reminder = text, NewReminder()
		return nil, true
	}
	return []any{"since", c.reminder.Since()}, c.reminder.Due()
}

// Ended notes that an attempt has succeeded. It reports whether the previous attempt has failed.
func (c *Continuing) Ended() bool {
	failed := c.reminder != nil
	c.text, c.reminder = "", nil
	return failed
}

// reminderAt returns the time from the beginning of the error to the n-th reminder, counted from 0.
func reminderAt(n int) time.Duration {
	switch n {
	case 0:
		return 10 * time.Minute
	case 1:
		return time.Hour
	}
	return time.Duration(n-1) * 24 * time.Hour
}
