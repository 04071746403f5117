package schedule

import "time"

// Windows divides time into windows. A job reads each window once. A window starts where the previous one ended, so that
// nothing is left out or read twice, even if the settings change. A window is closed when the time Settle has passed after
// its end.
//
// A window ends at a multiple of its length in Unix time. If the length is a number of whole days, a window ends at midnight
// of a zone, when a job with the schedule "0 0 * * *" would run. Such a day can have 23 or 25 hours. Days are counted from
// Monday, 1970-01-05, so that windows of seven days are ISO 8601 weeks.
type Windows struct {
	Length     time.Duration // a whole number of seconds
	Settle     time.Duration // how long after its end a window can be read
	Overlap    time.Duration // a tick reads from this long before the start of its window
	MaxCatchUp time.Duration // how far before the end of the last closed window to read; older windows are skipped

	midnights *Schedule // nil if the length is not a number of whole days
}

const day = 24 * time.Hour

// NewWindows returns windows of a length. If the length is a number of whole days, the windows end at midnight in loc.
func NewWindows(length time.Duration, loc *time.Location) *Windows {
	w := &Windows{Length: length}
	if w.OfDays() {
		w.midnights, _ = Parse("0 0 * * *", loc) // cannot fail
	}
	return w
}

// OfDays reports whether the windows end at midnight.
func (w *Windows) OfDays() bool { return w.Length%day == 0 }

// Window is the interval of time that a tick reads.
type Window struct {
	Start, End time.Time // [Start, End), without Overlap
	Skipped    int       // number of windows before this one that are older than MaxCatchUp
}

// Next returns the window to read next. The argument "now" is the current time, and "read" is the time up to which earlier ticks have
// read. If "read" is zero, Next returns the last closed window. It returns false if there is no closed window left to read.
//
// If "read" is more than MaxCatchUp after "now", the clock was wrong in an earlier tick. Next then returns the last closed window.
func (w *Windows) Next(read, now time.Time) (Window, bool) {
	closed := w.Closed(now)
	if read.IsZero() || read.After(now.Add(max(w.MaxCatchUp, w.Length))) {
		return Window{Start: w.last(closed.Add(-1)), End: closed}, true
	}
	if !read.Before(closed) {
		return Window{}, false
	}
	next := Window{Start: read}
	if oldest := closed.Add(-w.MaxCatchUp); read.Before(oldest) {
		start := w.last(closed.Add(-1))
		if from := w.End(oldest.Add(-1)); from.Before(start) {
			start = from
		}
		next.Skipped = w.count(read, start)
		if next.Skipped > 0 {
			next.Start = start
		}
	}
	next.End = w.End(next.Start)
	return next, true
}

// Closed returns the end of the last window that is closed at the time "now".
func (w *Windows) Closed(now time.Time) time.Time { return w.last(now.Add(-w.Settle)) }

// Ready returns when the window that begins at the time "read" will be closed.
func (w *Windows) Ready(read time.Time) time.Time { return w.End(read).Add(w.Settle) }

// End returns the first time after the given one at which a window ends.
func (w *Windows) End(after time.Time) time.Time {
	if w.midnights == nil {
		return w.last(after).Add(w.Length)
	}
	days := int64(w.Length / day)
	for at := w.midnights.Next(after); ; at = w.midnights.Next(at) {
		if at.IsZero() || dayNumber(at)%days == 0 {
			return at
		}
	}
}

// last returns the newest time at or before t at which a window ends.
func (w *Windows) last(t time.Time) time.Time {
	if w.midnights == nil {
		seconds, length := t.Unix(), int64(w.Length/time.Second)
		return time.Unix(seconds-((seconds%length)+length)%length, 0)
	}
	// Start the search two windows earlier: a zone can skip a day, and the end of a window with it.
	at := w.End(t.Add(-2*w.Length - 2*day))
	for next := w.End(at); !next.IsZero() && !next.After(t); next = w.End(at) {
		at = next
	}
	return at
}

// count returns the number of windows that end later than the time "after", and at or before the time upTo.
func (w *Windows) count(after, upTo time.Time) int {
	if w.midnights == nil {
		return int(w.last(upTo).Sub(w.last(after)) / w.Length)
	}
	n := 0
	for end := w.End(after); !end.IsZero() && !end.After(upTo); end = w.End(end) {
		n++
	}
	return n
}

// dayNumber returns the number of days from Monday, 1970-01-05, to the local date of t.
func dayNumber(t time.Time) int64 {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix()/int64(day/time.Second) - 4
}
