package ledger

import "time"

// Shift moves the times that the ledger keeps, because the clock has jumped: values that cannot be measured expire, and event IDs
// are forgotten, after the time that has passed. EventsToo is false if events count as seen at the end of a window, which is a
// time of the API's.
func (l *Ledger) Shift(by time.Duration, eventsToo bool) {
	ms := by.Milliseconds()
	if l.last != 0 {
		l.last += ms
	}
	if l.resume != 0 {
		l.resume += ms
	}
	for _, t := range l.held() {
		if !t.measured.IsZero() {
			t.measured = t.measured.Add(by)
		}
		if t.events == nil || !eventsToo {
			continue
		}
		for s := t.events.ring.after; s != &t.events.ring; s = s.after {
			s.at += ms
		}
	}
}
