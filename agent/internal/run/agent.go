package run

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// Agent runs plans.
type Agent struct {
	log  *slog.Logger
	self func(State) metric.Readings

	state       *state.File
	stateReport report

	// The agent's own metrics.
	own      *ledger.Ledger
	toldSelf time.Time
	starts   starts
	poke     chan struct{} // one token where they have something new to tell

	mu         sync.Mutex    // guards what follows
	places     chan struct{} // one token for each tick under way
	jobs       []*job
	sinks      []*sink
	latest     map[string]metric.Batch // by job: what a sink that joins later has to know
	reloaded   time.Time
	reloadGood bool
}

// Options are what an agent needs besides a plan.
type Options struct {
	Log  *slog.Logger
	Self func(State) metric.Readings // the agent's own metrics

	State *state.File // keeps the jobs' state over a restart; nil = nothing does
}

// How often the agent's own metrics are delivered: at least, and at most.
const (
	selfInterval = 15 * time.Second
	selfPause    = time.Second
)

// New makes an agent at rest.
func New(o Options) *Agent {
	return &Agent{
		log: o.Log, self: o.Self, state: o.State, stateReport: report{log: o.Log}, latest: map[string]metric.Batch{},
		own: ledger.New(ledger.For(time.Minute), 1<<20), starts: starts{last: time.Now()}, poke: make(chan struct{}, 1),
	}
}

// Run puts a plan to work and blocks until ctx ends, all jobs have stopped and all sinks have drained. A plan that comes
// through reload takes the place of the one before: jobs and sinks that it does not change go on with their state. The
// error is that of a sink that cannot work at all.
func (a *Agent) Run(ctx context.Context, plan Plan, reload <-chan Plan) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.put(ctx, plan, cancel)
	var own sync.WaitGroup
	own.Go(func() { a.tellSelf(ctx) })
	own.Go(func() { a.keepState(ctx) })
	for ctx.Err() == nil {
		select {
		case next := <-reload:
			a.put(ctx, next, nil)
		case <-ctx.Done():
		}
	}
	own.Wait()
	a.log.Info("stopping: ticks under way end first, then sinks deliver what is left", "at_most", (jobGrace + Drain).String())
	a.stopJobs(a.jobs)
	a.finish(a.jobs)
	a.deliverSelf()
	a.stopSinks(a.sinks)
	a.tellLost()
	if err, ok := context.Cause(ctx).(*sinkError); ok {
		return err
	}
	return nil
}

// tellLost says what could not be delivered before the end.
func (a *Agent) tellLost() {
	for _, s := range a.State().Sinks {
		if n := s.Dropped[sinks.Shutdown]; n > 0 {
			a.log.Warn("samples not delivered before the end", "sink", s.Name, "samples", n)
		}
	}
}

// sinkError says which sink cannot work.
type sinkError struct {
	name string
	err  error
}

func (e *sinkError) Error() string { return fmt.Sprintf("sinks.%s: %v", e.name, e.err) }

func (e *sinkError) Unwrap() error { return e.err }

// enter waits for one of the places for ticks under way; leave gives it back.
func (a *Agent) enter(ctx context.Context) (leave func(), ok bool) {
	a.mu.Lock()
	places := a.places
	a.mu.Unlock()
	select {
	case places <- struct{}{}:
		return func() { <-places }, true
	case <-ctx.Done():
		return nil, false
	}
}

// deliver hands a batch to the sinks that its job goes to.
func (a *Agent) deliver(job *Job, b metric.Batch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last := a.latest[b.Job].Time; !b.Time.After(last) {
		b.Time = last.Add(time.Millisecond) // a tick that was under way during a reload
	}
	a.latest[b.Job] = b
	for _, s := range a.sinks {
		if job.goesTo(s.Name) {
			s.add(b)
		}
	}
}

// tellSelf delivers the agent's own metrics at once, from then on regularly, and soon after something has changed.
func (a *Agent) tellSelf(ctx context.Context) {
	for {
		a.deliverSelf()
		next := time.After(selfInterval)
		select {
		case <-ctx.Done():
			return
		case <-time.After(selfPause):
		}
		select {
		case <-ctx.Done():
			return
		case <-a.poke:
		case <-next:
		}
	}
}

func (a *Agent) deliverSelf() {
	// Two samples of a series never share a time.
	now := time.Now()
	if earliest := a.toldSelf.Add(time.Millisecond); now.Before(earliest) {
		now = earliest
	}
	a.toldSelf = now
	result, err := a.own.Apply(now, a.self(a.State()))
	if err != nil {
		a.log.Error("the agent's own metrics: " + err.Error())
		return
	}
	a.starts.set(result.Families, now)
	a.deliver(&Job{Name: Self}, metric.Batch{Job: Self, Time: now, Families: result.Families})
}

// tellNow has the agent's own metrics delivered soon: a job has gone up or down, or a reload has ended.
func (a *Agent) tellNow() {
	select {
	case a.poke <- struct{}{}:
	default:
	}
}

// State is what the agent is doing now.
func (a *Agent) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := State{Reloaded: a.reloaded, ReloadGood: a.reloadGood}
	if a.state != nil {
		file := a.state.Status()
		s.File = &file
	}
	for _, j := range a.jobs {
		state := j.status.get()
		state.Windowed = j.Windows != nil
		s.Jobs = append(s.Jobs, state)
	}
	for _, sink := range a.sinks {
		s.Sinks = append(s.Sinks, sink.state())
	}
	return s
}

// ReloadFailed notes that a new plan could not be made; the one at work goes on.
func (a *Agent) ReloadFailed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reloadGood = false
	a.tellNow()
}
