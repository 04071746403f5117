package schedule

import "time"

// Windows divides time into the stretches that a job reads, one after the other and each once. Each begins where the one
// before has ended, so that together they are all of the time, however the settings change.
//
// They end at multiples of their length on Unix time. Where that is whole days they end at midnights as a job due at
// "0 0 * * *" has them, which may be 23 or 25 hours apart; the days are counted from Monday, 1970-01-05, so that windows of
// seven days are the weeks of ISO 8601.
type Windows struct {
	Length     time.Duration // whole seconds
	Settle     time.Duration // how long after its end a window may still change, and is not read
	Overlap    time.Duration // how far before its start a window is read again
	MaxCatchUp time.Duration // what lies further back than this from the last closed window's end is not read

	midnights *Schedule // nil where the length is not whole days
}

const day = 24 * time.Hour

// NewWindows makes windows of a length, those of whole days by the clock of a zone.
func NewWindows(length time.Duration, loc *time.Location) *Windows {
	w := &Windows{Length: length}
	if w.OfDays() {
		w.midnights, _ = Parse("0 0 * * *", loc) // which is right
	}
	return w
}

// OfDays tells whether the windows end at midnights.
func (w *Windows) OfDays() bool { return w.Length%day == 0 }

// Window is one of them.
type Window struct {
	Start, End time.Time // [Start, End), without the overlap
	Skipped    int       // windows before it that lie too far back
}

// Next is the window to read at a time, where everything up to read is read already. Where nothing is, it is the last one
// that is closed. It is false where no closed window is left.
//
// A job that has read more than MaxCatchUp ahead of the clock begins anew: the clock by which it read was wrong.
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

// Closed is the end of the last window that can be read at a time.
func (w *Windows) Closed(now time.Time) time.Time { return w.last(now.Add(-w.Settle)) }

// Ready is when the window behind all that is read can be read.
func (w *Windows) Ready(read time.Time) time.Time { return w.End(read).Add(w.Settle) }

// End is the first end of a window after a time.
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

// last is the last end of a window up to a time.
func (w *Windows) last(t time.Time) time.Time {
	if w.midnights == nil {
		seconds, length := t.Unix(), int64(w.Length/time.Second)
		return time.Unix(seconds-((seconds%length)+length)%length, 0)
	}
	// A zone may leave out a day, and then the end of a window.
	at := w.End(t.Add(-2*w.Length - 2*day))
	for next := w.End(at); !next.IsZero() && !next.After(t); next = w.End(at) {
		at = next
	}
	return at
}

// count is how many windows end after one time and up to another.
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

// dayNumber counts days as the clock on the wall shows them, from Monday, 1970-01-05.
func dayNumber(t time.Time) int64 {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix()/int64(day/time.Second) - 4
}

// LongestPause is no less than the longest time between two due times, and at most a day more.
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
