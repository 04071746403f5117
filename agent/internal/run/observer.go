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

// Observer sees the runs of an agent. It is called by the goroutines of the jobs, so it returns soon.
type Observer interface {
	Ran(run Ended)
}

// Ended is a run that has ended, or that was skipped.
type Ended struct {
	Job      string
	Start    time.Time
	Took     time.Duration
	Waited   time.Duration // before Start, for one of the runs at once that concurrency allows
	Result   string        // Succeeded, Partial, Failed or Skipped
	Error    string        // of a failed run; else the first problem
	Window   sources.Tick
	Readings int
	Series   int
	Problems []string        // what the run could not measure or has dropped, one line each
	Families []metric.Family // immutable; nil unless the run has succeeded
}

// succeeded returns a run that has measured something.
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
	}
	return e
}

type noObserver struct{}

func (noObserver) Ran(Ended) {}

// Latest returns the last batch of a job, which the sinks have got, or false if there is none.
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

// Ready returns why the agent is not ready: no plan is loaded, or a sink is not open. It does not wait for the first run of a job.
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

// RunNow runs a job as soon as its current run has ended, although it is not due. It reports whether there is such a job.
func (a *Agent) RunNow(name string) bool {
	j := a.find(name)
	if j == nil {
		return false
	}
	select {
	case j.ask <- struct{}{}:
	default: // it is about to run anyway
	}
	return true
}

// Pause pauses a job, or lets it run again: while it is paused, its due times are skipped. It reports whether there is such a job.
// A restart ends the pause.
func (a *Agent) Pause(name string, paused bool) bool {
	j := a.find(name)
	if j != nil {
		j.status.pause(paused)
	}
	return j != nil
}

// find returns the running job of a name, or nil.
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
