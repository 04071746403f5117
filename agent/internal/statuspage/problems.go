package statuspage

import (
	"fmt"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/text"
)

// The levels of problems.
const (
	levelError   = "error"
	levelWarning = "warning"
)

// problems returns the problems of the agent, its jobs, sinks and logins, errors first.
func problems(s *Status) []Problem {
	var all []Problem
	if !s.Configuration.OK {
		all = append(all, Problem{
			Level: levelError, Kind: "configuration", Text: "the configuration could not be reloaded: " + s.Configuration.Error,
			Do: "The previous configuration stays in use. Correct the file (cton check) and reload.",
		})
	}
	if s.StateFile != nil && s.StateFile.Error != "" {
		all = append(all, Problem{
			Level: levelError, Kind: "state_file", Text: s.StateFile.Error,
			Do: "Runs are held back until the disk works again. Free space or correct its permissions.",
		})
	}
	if l := s.Lease; l != nil && l.Error != "" {
		p := Problem{Level: levelError, Kind: "lease", Name: l.Name, Text: l.Error, Do: "The jobs do not run here until the API server answers."}
		if l.Active {
			p.Level, p.Do = levelWarning, "If it cannot be renewed soon, the jobs stop here."
		}
		all = append(all, p)
	}
	if l := s.Lease; l != nil && l.Away != "" {
		all = append(all, Problem{
			Level: levelError, Kind: "lease", Name: l.Name, Text: "given back: " + l.Away,
			Do: "Another process can run the jobs. This one competes for the lease again when it can read and write the state file.",
		})
	}
	if !s.Ready {
		all = append(all, Problem{Level: levelError, Kind: "configuration", Text: "not ready: " + s.Unready})
	}
	for i := range s.Logins {
		if l := &s.Logins[i]; l.Error != "" {
			all = append(all, Problem{Level: levelError, Kind: "login", Name: l.Name, Text: l.Error})
		}
	}
	for i := range s.Sinks {
		all = append(all, sinkProblems(&s.Sinks[i], s.Now)...)
	}
	for i := range s.Jobs {
		if p, wrong := jobProblem(&s.Jobs[i], s.Now); wrong {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b Problem) int {
		return boolCompare(a.Level != levelError, b.Level != levelError)
	})
	return all
}

func jobProblem(j *Job, now time.Time) (Problem, bool) {
	p := Problem{Level: levelError, Kind: "job", Name: j.Name, Text: j.Error, Since: j.Since}
	switch j.State {
	case JobFailed:
		p.Do = "See one run in detail with: cton try " + j.Name
		if j.LastSuccess.IsZero() {
			p.Do = "It has not measured anything yet. " + p.Do
		} else if until := j.ValidUntil; !until.IsZero() && now.Before(until) {
			p.Do = "Its last values are shown until " + until.UTC().Format("2006-01-02 15:04:05 UTC") + " (valid_for). " + p.Do
		} else if j.Series == 0 {
			p.Do = "Its last values have ended (valid_for). " + p.Do
		}
	case JobPartial:
		p.Level = levelWarning
	case JobOverdue:
		p.Level, p.Text = levelWarning, "should have run and has not: it waits for one of the runs that may be active at once (concurrency)"
		if j.Error != "" {
			p.Text = "should have run and has not; its last error: " + j.Error
		}
		p.Since = j.NextRun
	case JobPaused:
		return p, false
	default:
		if len(j.Warnings) == 0 {
			return p, false
		}
		p.Level, p.Text, p.Since = levelWarning, j.Warnings[0], time.Time{}
		if more := len(j.Warnings) - 1; more > 0 {
			p.Text += fmt.Sprintf(" (and %s)", text.Count(more, "further warning"))
		}
	}
	return p, true
}

// nearlyFull is the share of a queue above which it is reported as nearly full.
const nearlyFull = 0.8

func sinkProblems(s *Sink, now time.Time) (all []Problem) {
	switch s.State {
	case SinkFailing:
		p := Problem{Level: levelError, Kind: "sink", Name: s.Name, Text: s.Error, Since: s.Since}
		if s.Pending > 0 {
			p.Do = fmt.Sprintf("%s wait; they are delivered when the receiver accepts them.", text.Count(int(s.Pending), "sample"))
		}
		all = append(all, p)
	case SinkBehind:
		all = append(all, Problem{
			Level: levelWarning, Kind: "sink", Name: s.Name, Since: s.Oldest,
			Text: fmt.Sprintf("%s wait, the oldest for %s", text.Count(int(s.Pending), "sample"), inWords(now.Sub(s.Oldest))),
		})
	}
	if s.Limit > 0 && float64(s.Bytes) >= nearlyFull*float64(s.Limit) {
		all = append(all, Problem{
			Level: levelWarning, Kind: "sink", Name: s.Name, Text: "the queue is nearly full: " + s.Full(), Since: s.Oldest,
			Do: "When it is full, the oldest samples are dropped. Look at why the receiver takes none, or raise spool.max_bytes.",
		})
	}
	if f := s.Spool; f != nil {
		all = append(all, Problem{
			Level: levelWarning, Kind: "sink", Name: s.Name, Text: "the spool cannot be written, and samples wait in memory: " + f.Error, Since: f.Since,
			Do: "They are lost if the agent ends. Look at the directory's owner and mode, and at the free space of its disk; the agent tries again by itself.",
		})
	}
	if len(s.Curve) == 0 {
		return all
	}
	if lost := sum(s.Dropped) - s.Curve[0].Dropped; lost > 0 {
		p := Problem{Level: levelWarning, Kind: "sink", Name: s.Name, Text: text.Count(int(lost), "sample") + " dropped in the last hour"}
		if s.Refusal != nil {
			p.Text += "; the most frequent refusal since the start: " + s.Refusal.Why
			if len(s.Dropped) == 1 { // otherwise perhaps the drops of the last hour have another reason than the refusal
				p.Do = s.Refusal.Do
			}
		}
		all = append(all, p)
	}
	return all
}
