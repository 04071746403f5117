package run

import (
	"maps"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/internal/lease"
	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/shard"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// State is the state of an agent at a point in time.
type State struct {
	Single     bool        // each job runs once, and other processes run other jobs
	Shard      shard.Shard // the shard whose jobs the agent runs; the zero value = all jobs
	AllJobs    int         // number of jobs of the configuration, including those of other shards
	Jobs       []JobState  // in the order of the plan
	Sinks      []SinkState // in the order of the plan
	Reloaded   time.Time   // when the current plan was loaded
	ReloadGood bool        // the last reload succeeded
	ReloadBad  string      // why the last reload failed; empty if it succeeded
	ClockJumps int         // how many times the clock has jumped since the start

	File  *state.Status // state of the state file; nil if there is none
	Lease *lease.Status // state of the lease; nil if there is none
}

// JobState is the state of one job.
type JobState struct {
	Name        string
	Up          bool // whether the last tick succeeded
	Running     bool // a tick is active
	Paused      bool // a user has paused the job: it does not run when it is due
	LastStart   time.Time
	LastSuccess time.Time
	ValidUntil  time.Time // when the job's series end if no tick succeeds before; zero after a tick that succeeded
	NextRun     time.Time
	Duration    time.Duration // duration of the last tick
	Error       string        // why the last tick failed, or its first problem; empty if there was none
	Readings    int           // number of readings in the last successful tick
	Series      int
	Unmeasured  int              // number of metrics that the last successful tick could not measure
	Ticks       map[string]int64 // number of ticks by result: success, partial, error, skipped
	Drops       map[metric.Reason]int64
	Resets      int64
	Windowed    bool      // the job reads windows of time that have ended
	Cursor      time.Time // end of the last window read: all windows before it were read
	Skipped     int64     // number of windows left out because they were too far back
	Requests    map[Request]int64
	Costs       map[string]Cost // by host
}

// SinkState is the state of one sink.
type SinkState struct {
	Name     string
	Sent     int64
	Failed   int64
	Retried  int64
	Dropped  map[metric.Reason]int64
	Pending  sinks.Pending
	Queues   bool              // the sink has a queue, whose content is Pending
	Spool    *sinks.SpoolFault // what is wrong with the queue on disk; nil = the sink has no queue on disk
	Requests map[Request]int64
}

// lostAny reports whether a sink has dropped samples or has samples that are not delivered yet.
func (s *SinkState) lostAny() bool {
	for _, n := range s.Dropped {
		if n > 0 {
			return true
		}
	}
	return s.Pending.Samples > 0
}

// Results of ticks.
const (
	Succeeded = "success"
	Partial   = "partial" // at least one metric could not be measured
	Failed    = "error"
	Skipped   = "skipped"
)

// jobStatus keeps the state of a job. It is safe for concurrent use.
type jobStatus struct {
	mu       sync.Mutex
	state    JobState
	requests *Requests
	upOrDown func() // called when the job goes up or down
}

func newJobStatus(name string, requests *Requests, upOrDown func()) *jobStatus {
	s := &jobStatus{requests: requests, upOrDown: upOrDown, state: JobState{Name: name, Drops: map[metric.Reason]int64{}}}
	s.state.Ticks = map[string]int64{}
	return s
}

// change applies f to the state.
func (s *jobStatus) change(f func(*JobState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	up := s.state.Up
	f(&s.state)
	if up != s.state.Up {
		s.upOrDown()
	}
}

// inherit takes over the state of a job that a reload has changed. Requests are counted from zero.
func (s *jobStatus) inherit(old *jobStatus) {
	state := old.get()
	s.mu.Lock()
	defer s.mu.Unlock()
	state.Requests, state.Costs = nil, nil
	s.state = state
}

// restore sets the times that the state file has of the job.
func (s *jobStatus) restore(lastSuccess, cursor time.Time) {
	s.change(func(j *JobState) { j.LastSuccess, j.Cursor = lastSuccess, cursor })
}

// idle sets the state of a job that has no problem, but no window to read.
func (s *jobStatus) idle() {
	s.change(func(j *JobState) {
		if !j.Up {
			j.Up, j.Error = true, ""
		}
	})
}

// read sets the job's cursor and the number of windows left out.
func (s *jobStatus) read(cursor time.Time, skipped int) {
	s.change(func(j *JobState) {
		j.Cursor = cursor
		j.Skipped += int64(skipped)
	})
}

func (s *jobStatus) begin(at time.Time) {
	s.change(func(j *JobState) { j.LastStart, j.Running = at, true })
}

// end notes that no run is active.
func (s *jobStatus) end() {
	s.change(func(j *JobState) { j.Running = false })
}

// pause notes whether the job is paused.
func (s *jobStatus) pause(paused bool) {
	s.change(func(j *JobState) { j.Paused = paused })
}

// paused reports whether the job is paused.
func (s *jobStatus) paused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Paused
}

// hold sets the reason why the job cannot proceed: the disk fails, or the cursor lies ahead of the clock.
func (s *jobStatus) hold(why string) {
	s.change(func(j *JobState) { j.Up, j.Error = false, why })
}

func (s *jobStatus) wait(until time.Time) {
	s.change(func(j *JobState) { j.NextRun = until })
}

func (s *jobStatus) skip(n int) {
	s.change(func(j *JobState) { j.Ticks[Skipped] += int64(n) })
}

func (s *jobStatus) fail(err error, took time.Duration, validUntil time.Time) {
	s.change(func(j *JobState) {
		j.ValidUntil = validUntil
		j.Up, j.Error, j.Duration = false, err.Error(), took
		j.Ticks[Failed]++
	})
}

func (s *jobStatus) succeed(r *ledger.Result, took time.Duration) {
	s.change(func(j *JobState) {
		j.Up, j.Error, j.Duration = true, first(r), took
		j.ValidUntil = time.Time{}
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
