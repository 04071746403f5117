package run

import (
	"errors"
	"fmt"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// Observer is notified of the runs of an agent. The goroutines of the jobs call Ran, so Ran must return soon.
type Observer interface {
	Ran(run Ended)
}

// Ended describes a run that has ended or was skipped.
type Ended struct {
	Job      string
	Start    time.Time
	Took     time.Duration
	Waited   time.Duration // how long the run waited before Start, because of the setting "concurrency"
	Result   string        // Succeeded, Partial, Failed or Skipped
	Error    string        // error of a failed run, else the first problem; "" = none
	Window   sources.Tick
	Readings int
	Series   int
	Problems []string        // what the run could not measure or has dropped, one line for each; also includes Warnings
	Warnings []string        // what was measured but is probably wrong, one line for each
	Families []metric.Family // immutable; nil unless the run has succeeded
}

// succeeded describes a run that has succeeded, at least in part.
func succeeded(job string, at time.Time, took time.Duration, window sources.Tick, r *ledger.Result) Ended {
	e := Ended{
		Job: job, Start: at, Took: took, Result: Succeeded, Error: first(r), Window: window,
		Readings: r.Readings, Series: r.Series, Families: r.Families,
	}
	if len(r.Problems) > 0 {
		e.Result = Partial
	}
	if len(r.Problems)+len(r.Drops)+len(r.Warnings) > 0 {
		e.Problems = Problems(r)
		e.Warnings = warnings(r)
	}
	return e
}

type noObserver struct{}

func (noObserver) Ran(Ended) {}

// Latest returns the last batch of a job that was delivered to the sinks. It returns false if there is none.
func (a *Agent) Latest(job string) (metric.Batch, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, ok := a.latest[job]
	return b, ok
}

// Plan returns the current plan.
func (a *Agent) Plan() Plan {
	a.mu.Lock()
	defer a.mu.Unlock()
	plan := Plan{Concurrency: cap(a.slots)}
	for _, j := range a.jobs {
		plan.Jobs = append(plan.Jobs, j.Job)
	}
	for _, s := range a.sinks {
		plan.Sinks = append(plan.Sinks, s.Sink)
	}
	return plan
}

// Ready returns nil if the agent is ready, else the reason why not: no plan is loaded, or a sink is not open. A job need not
// have run yet.
func (a *Agent) Ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reloaded.IsZero() {
		return errors.New("starting")
	}
	for _, s := range a.sinks {
		if r, ok := s.Sink.Sink.(sinks.Readier); ok {
			if err := r.Ready(); err != nil {
				return fmt.Errorf("sink %s: %w", s.Name, err)
			}
		}
	}
	return nil
}

// RunNow runs a job as soon as its current run has ended, even if the job is not due. RunNow returns false if there is no job with this
// name.
func (a *Agent) RunNow(name string) bool {
	j := a.find(name)
	if j == nil {
		return false
	}
	select {
	case j.ask <- struct{}{}:
	default: // a run was requested already
	}
	return true
}

// Pause pauses a job, or continues it if the argument "paused" is false. While a job is paused, its due times are skipped. A restart ends
// the pause. Pause returns false if there is no job with this name.
func (a *Agent) Pause(name string, paused bool) bool {
	j := a.find(name)
	if j != nil {
		j.status.pause(paused)
	}
	return j != nil
}

// find returns the running job with this name, or nil.
func (a *Agent) find(name string) *job {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, j := range a.jobs {
		if j.Name == name {
			return j
		}
	}
	return nil
}
