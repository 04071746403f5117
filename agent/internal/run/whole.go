package run

import (
	"slices"
	"time"
)

// A series that is new in the first tick after a restart stood at zero when the agent started, and to say so is what lets a
// query see its first increment. That is true only where the process before has told nothing that the state file does not
// know of. So a file says when it is whole, which it is at an orderly end, and says so no longer once a process works from it.

// finish saves that the jobs, which have ended, have told nothing that is not in the file.
func (a *Agent) finish(jobs []*job) {
	if a.state == nil {
		return
	}
	for _, j := range jobs {
		switch {
		case j.ticked:
			j.put(true)
		case j.whole != nil:
			j.whole.Whole = true
			j.hand(j.whole)
		}
	}
	select {
	case <-a.state.Dirty():
		a.saveState()
	default:
	}
}

// resume has totals that are new to jobs begin now, where what was restored is whole.
func (a *Agent) resume(jobs []*job) {
	jobs = slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return j.whole == nil })
	if len(jobs) == 0 {
		return
	}
	for _, j := range jobs {
		j.whole.Whole = false
		j.hand(j.whole)
	}
	if !a.saveState() {
		return
	}
	for _, j := range jobs {
		j.ledger.Resume(time.Now())
	}
}
