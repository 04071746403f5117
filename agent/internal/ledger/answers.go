package ledger

import "github.com/collectington/collectington/agent/metric"

// answers remembers the answers that a metric has added to its totals, the last one of each target. It is not saved: after a restart, the
// answer of each target is a new one.
type answers struct {
	known map[string]answer // by target

	// State of the current tick.
	staged  []metric.Answer
	next    int  // index of the answer after the current one
	left    int  // number of rows of the current answer that have not been read
	counted bool // the current answer was counted before
}

// answer is the last answer of a target.
type answer struct {
	id uint64
	at int64 // time of the last tick with the answer, Unix milliseconds
}

// stage begins a tick with these answers.
func (a *answers) stage(all []metric.Answer) { a.staged, a.next, a.left, a.counted = all, 0, 0, false }

// again reports whether the answer of the next row was counted before. It is called for each row of the tick in turn.
func (a *answers) again() bool {
	for a.left == 0 {
		if a.next == len(a.staged) {
			return false
		}
		s := &a.staged[a.next]
		a.next, a.left, a.counted = a.next+1, s.Rows, s.ID != 0 && a.known[s.Target].id == s.ID
	}
	a.left--
	return a.counted
}

// commit remembers the answers of the current tick. It forgets the answers of targets that have had none for the time rememberTimes.
func (a *answers) commit(at int64) {
	for _, s := range a.staged {
		if s.ID == 0 {
			delete(a.known, s.Target)
			continue
		}
		if a.known == nil {
			a.known = map[string]answer{}
		}
		a.known[s.Target] = answer{s.ID, at}
	}
	if len(a.known) > len(a.staged) {
		for target, last := range a.known {
			if at-last.at > rememberTimes.Milliseconds() {
				delete(a.known, target)
			}
		}
	}
	a.stage(nil)
}
