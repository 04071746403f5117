package ledger

import "time"

// Shift adjusts the times in the ledger after the clock has jumped. Values that cannot be measured then expire, and event IDs are
// forgotten, after the time that has really passed. The argument "eventsToo" says whether to adjust the times of events too. It must be
// false if events count as seen at the end of a window: that time comes from the API, not from the clock.
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
