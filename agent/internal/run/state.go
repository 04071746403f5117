package run

import (
	"maps"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// State is the agent's work at one moment.
type State struct {
	Jobs       []JobState  // in the order of the plan
	Sinks      []SinkState // in the order of the plan
	Reloaded   time.Time   // when the plan was last put to work
	ReloadGood bool        // whether the last try to reload succeeded

	File *state.Status // the state file; nil where there is none
}

// JobState is what is known of one job.
type JobState struct {
	Name        string
	Up          bool // the last tick succeeded
	LastStart   time.Time
	LastSuccess time.Time
	NextRun     time.Time
	Duration    time.Duration // of the last tick
	Error       string        // of the last tick; empty where it succeeded
	Readings    int           // of the last tick that succeeded
	Series      int
	Unmeasured  int              // metrics that the last tick that succeeded could not measure
	Ticks       map[string]int64 // by result: success, partial, error, skipped
	Drops       map[metric.Reason]int64
	Resets      int64
	Windowed    bool      // it reads closed windows
	Cursor      time.Time // up to where it has read
	Skipped     int64     // windows that lay too far back to be read
	Requests    map[Request]int64
	Costs       map[string]Cost // by host
}

// SinkState is what is known of one sink.
type SinkState struct {
	Name     string
	Sent     int64
	Failed   int64
	Retried  int64
	Dropped  map[metric.Reason]int64
	Pending  sinks.Pending
	Requests map[Request]int64
}

// The results of ticks.
const (
	Succeeded = "success"
	Partial   = "partial" // some metric could not be measured
	Failed    = "error"
	Skipped   = "skipped"
)

// jobStatus is a job's state as it changes.
type jobStatus struct {
	mu       sync.Mutex
	state    JobState
	requests *Requests
	upOrDown func() // called when the job goes up or down
}

func newJobStatus(name string, requests *Requests, upOrDown func()) *jobStatus {
	s := &jobStatus{requests: requests, upOrDown: upOrDown, state: JobState{Name: name, Drops: map[metric.Reason]int64{}}}
	s.state.Ticks = map[string]int64{Succeeded: 0, Partial: 0, Failed: 0, Skipped: 0}
	for _, reason := range metric.Reasons() {
		s.state.Drops[reason] = 0
	}
	return s
}

// change is how all of the below change the state.
func (s *jobStatus) change(f func(*JobState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	up := s.state.Up
	f(&s.state)
	if up != s.state.Up {
		s.upOrDown()
	}
}

// goOn takes over what was known of a job before it changed.
func (s *jobStatus) goOn(old *jobStatus) {
	state := old.get()
	s.mu.Lock()
	defer s.mu.Unlock()
	state.Requests, state.Costs = nil, nil
	s.state = state
}

// restore takes over what is known of the job from before a restart.
func (s *jobStatus) restore(lastSuccess, cursor time.Time) {
	s.change(func(j *JobState) { j.LastSuccess, j.Cursor = lastSuccess, cursor })
}

// idle notes that the job has nothing to read, with which nothing is wrong.
func (s *jobStatus) idle() {
	s.change(func(j *JobState) {
		if !j.Up {
			j.Up, j.Error = true, ""
		}
	})
}

// read notes up to where the job has read, and how many windows it has skipped.
func (s *jobStatus) read(cursor time.Time, skipped int) {
	s.change(func(j *JobState) {
		j.Cursor = cursor
		j.Skipped += int64(skipped)
	})
}

func (s *jobStatus) begin(at time.Time) {
	s.change(func(j *JobState) { j.LastStart = at })
}

func (s *jobStatus) wait(until time.Time) {
	s.change(func(j *JobState) { j.NextRun = until })
}

func (s *jobStatus) skip(n int) {
	s.change(func(j *JobState) { j.Ticks[Skipped] += int64(n) })
}

func (s *jobStatus) fail(err error, took time.Duration) {
	s.change(func(j *JobState) {
		j.Up, j.Error, j.Duration = false, err.Error(), took
		j.Ticks[Failed]++
	})
}

func (s *jobStatus) succeed(r *ledger.Result, took time.Duration) {
	s.change(func(j *JobState) {
		j.Up, j.Error, j.Duration = true, first(r), took
		j.LastSuccess, j.Readings, j.Series, j.Unmeasured = j.LastStart, r.Readings, r.Series, len(r.Problems)
		j.Resets += int64(r.Resets)
		for _, d := range r.Drops {
			j.Drops[d.Reason] += int64(d.Count)
		}
		if len(r.Problems) > 0 {
			j.Ticks[Partial]++
		} else {
			j.Ticks[Succeeded]++
		}
	})
}

func (s *jobStatus) get() JobState {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.state
	j.Drops, j.Ticks = maps.Clone(j.Drops), maps.Clone(j.Ticks)
	j.Requests, j.Costs = s.requests.Counts(), s.requests.Costs()
	return j
}

func (d *delivery) state() SinkState {
	dropped := d.Stats.Dropped()
	if dropped == nil {
		dropped = map[metric.Reason]int64{}
	}
	for _, reason := range sinks.Reasons() {
		dropped[reason] += 0
	}
	return SinkState{
		Name: d.Name, Sent: d.Stats.Sent.Load(), Failed: d.Stats.Failed.Load(), Retried: d.Stats.Retried.Load(),
		Dropped: dropped, Pending: d.Stats.Pending(), Requests: d.Requests.Counts(),
	}
}
