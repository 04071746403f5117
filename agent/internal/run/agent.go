package run

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/internal/lease"
	"github.com/collectington/collectington/agent/internal/shard"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// Agent runs a plan.
type Agent struct {
	log   *slog.Logger
	clock *clock.Clock
	watch Observer
	own   *own

	state  *state.File         // nil if no state is kept
	lease  func() lease.Status // nil if there is no lease
	single bool                // Once was called

	// atMost is how long a tick of Once waits for its state to be on disk. Other ticks wait as long as it takes. gaveUp is set if a tick has
	// waited in vain.
	atMost time.Duration
	gaveUp atomic.Bool

	leaving sync.WaitGroup // waits for leave
	drained chan struct{}  // closed when all sinks have stopped at the end

	mu         sync.Mutex              // guards the fields below
	slots      chan struct{}           // holds a token for each running tick
	jobs       []*job                  // in the order of the plan
	abandoned  []*job                  // removed jobs whose abandoned source was still at work when the current plan came
	left       map[string]*job         // by name, removed jobs that are not unlocked yet, see leave
	sinks      []*sink                 // in the order of the plan
	ownMetrics OwnMetrics              // Plan.OwnMetrics of the current plan
	shard      shard.Shard             // Plan.Shard of the current plan
	allJobs    int                     // Plan.AllJobs of the current plan
	latest     map[string]metric.Batch // last batch by job; a new sink gets these batches first
	time       timekeeper              // notices jumps of the clock, so that the times in the field "latest" can be adjusted
	reloaded   time.Time
	reloadGood bool
	reloadBad  string
}

// Options are what an agent needs in addition to a plan.
type Options struct {
	Log   *slog.Logger
	Self  func(State) metric.Readings // computes the agent's own metrics
	Label map[string]string           // labels that all own metrics have
	State *state.File                 // keeps the jobs' state across restarts; nil = the state is not kept
	Clock *clock.Clock                // nil = the clock of this machine
	Lease func() lease.Status         // returns the state of the lease; nil = there is no lease

	Observer Observer // is notified of every run; nil = none
}

// New returns an agent that is not running yet.
func New(o Options) *Agent {
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	if o.Observer == nil {
		o.Observer = noObserver{}
	}
	a := &Agent{
		log: o.Log, clock: o.Clock, watch: o.Observer, state: o.State, lease: o.Lease, latest: map[string]metric.Batch{}, left: map[string]*job{}, time: newTimekeeper(o.Clock),
		drained: make(chan struct{}),
	}
	a.own = newOwn(a, o.Self, o.Clock)
	a.own.totals.agent = o.Label
	return a
}

// Run runs a plan until ctx ends and all jobs and sinks have stopped. A plan received from the channel "reload" replaces the current plan.
// Jobs and sinks that are unchanged in the new plan keep running with their state. Run returns an error if a sink of the first plan cannot
// work at all.
func (a *Agent) Run(ctx context.Context, plan Plan, reload <-chan Plan) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.put(ctx, plan, cancel)
	var own sync.WaitGroup
	own.Go(func() { a.own.run(ctx) })
	for ctx.Err() == nil {
		select {
		case next := <-reload:
			a.put(ctx, next, nil)
		case <-ctx.Done():
		}
	}
	own.Wait()
	a.log.Info("stopping: waiting for current runs, then for sinks to deliver", "at_most", (longestEnd(a.jobs) + Drain).String())
	stopJobs(a.jobs)
	a.own.deliver(true)
	stopSinks(a.sinks)
	close(a.drained)
	a.leaving.Wait()
	a.saveFinal(a.jobs)
	a.giveUpAll(a.jobs)
	a.logUndelivered()
	if err, ok := context.Cause(ctx).(*sinkError); ok {
		return err
	}
	return nil
}

// sinkError is the error of a sink that cannot work.
type sinkError struct {
	name string
	err  error
}

func (e *sinkError) Error() string { return fmt.Sprintf("sinks.%s: %v", e.name, e.err) }

func (e *sinkError) Unwrap() error { return e.err }

// put replaces the current plan. Unchanged jobs and sinks keep running. Removed jobs stop before removed sinks, and added sinks start
// before added jobs. A sink that cannot work calls the function "fail", unless "fail" is nil.
func (a *Agent) put(ctx context.Context, plan Plan, fail context.CancelCauseFunc) {
	jobs, newJobs, oldJobs := a.compareJobs(plan.Jobs)
	stopJobs(oldJobs)
	var unknown []*job
	for _, j := range newJobs {
		if !j.inherit(oldJobs) {
			unknown = append(unknown, j)
		}
	}
	a.restoreAll(unknown)
	a.endRemoved(jobs, oldJobs)

	sinks, newSinks, oldSinks := a.compareSinks(plan.Sinks)
	a.mu.Lock()
	a.moveLatest()
	before := a.jobs
	a.abandoned = slices.DeleteFunc(append(a.abandoned, oldJobs...), func(j *job) bool { return !j.works() })
	a.endOwn(&plan.Own)
	a.jobs, a.sinks, a.ownMetrics, a.shard, a.allJobs = jobs, sinks, plan.Own, plan.Shard, plan.AllJobs
	if cap(a.slots) != plan.Concurrency {
		a.slots = make(chan struct{}, plan.Concurrency)
	}
	// From here on, new sinks queue batches, so that nothing is lost while the old sinks drain. New sinks start only when the old sinks
	// have drained: an old sink may still use an address or a directory that a new sink needs.
	for name, b := range a.latest {
		if name == Self {
			continue // all sinks get new own metrics soon
		}
		// The batch gets the current time: an old sink may have sent the batch, or its staleness markers, once more with a time later than the
		// batch's own.
		b.Time = a.clock.Now()
		added := false
		for _, s := range sinks {
			if goes(jobs, b.Job, s.Name) && (slices.Contains(newSinks, s) || !goes(before, b.Job, s.Name)) {
				s.add(b)
				added = true
			}
		}
		if added {
			a.latest[name] = b
		}
	}
	a.repeatLast(newJobs)
	a.mu.Unlock()
	a.endReplaced(newSinks, oldSinks)
	a.leave(ctx, oldJobs)

	for _, s := range newSinks {
		s.start(ctx, fail)
	}
	for _, j := range newJobs {
		go j.run(j.start(ctx, plan.Held))
	}
	if !plan.Again {
		a.mu.Lock()
		a.reloaded, a.reloadGood, a.reloadBad = a.clock.Now(), true, ""
		a.mu.Unlock()
	}
	a.own.changed()
}

// compareJobs returns all jobs of a plan, the jobs among them that are not running yet, and the running jobs that are not in
// the plan.
func (a *Agent) compareJobs(plan []Job) (all, added, removed []*job) {
	same := func(p *Job, j *job) bool { return j.Name == p.Name && j.Key == p.Key }
	return compare(plan, a.jobs, same, a.newJob)
}

// compareSinks does for sinks what compareJobs does for jobs. It connects new sinks with those that they replace.
func (a *Agent) compareSinks(plan []Sink) (all, added, removed []*sink) {
	same := func(p *Sink, s *sink) bool { return s.Name == p.Name && s.Key == p.Key }
	all, added, removed = compare(plan, a.sinks, same, func(p Sink) *sink { return newSink(p, Drain, false) })
	succeed(added, removed)
	return all, added, removed
}

// compare returns a job or sink for each entry of a plan. If "same" returns true for the entry and a running one, compare returns the
// running one. Otherwise it calls "build", which makes a new one. The result "added" has the new ones. The result "removed" has the running
// ones that are not in the plan.
func compare[P, R any](plan []P, running []*R, same func(*P, *R) bool, build func(P) *R) (all, added, removed []*R) {
	removed = slices.Clone(running)
	for i := range plan {
		at := slices.IndexFunc(removed, func(r *R) bool { return same(&plan[i], r) })
		if at >= 0 {
			all = append(all, removed[at])
			removed = slices.Delete(removed, at, at+1)
			continue
		}
		r := build(plan[i])
		all, added = append(all, r), append(added, r)
	}
	return all, added, removed
}

// goes returns true if a sink gets the batches of the job with this name. It returns false if the slice "jobs" has no job with this name.
func goes(jobs []*job, name, sink string) bool {
	return slices.ContainsFunc(jobs, func(j *job) bool { return j.Name == name && j.GoesTo(sink) })
}

// endRemoved ends the series of removed jobs in each sink that no longer gets batches of a job with that name.
func (a *Agent) endRemoved(jobs, removed []*job) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, j := range removed {
		for _, s := range a.sinks {
			if j.GoesTo(s.Name) && !goes(jobs, j.Name, s.Name) {
				s.add(metric.Batch{Job: j.Name, Time: a.clock.Now()})
			}
		}
		if !slices.ContainsFunc(jobs, func(n *job) bool { return n.Name == j.Name }) {
			delete(a.latest, j.Name)
		}
	}
}

// stopJobs stops jobs, all at the same time, and waits until their current ticks have ended.
func stopJobs(jobs []*job) {
	for _, j := range jobs {
		j.stop()
	}
	for _, j := range jobs {
		<-j.done
	}
}

// Working returns a function that reports whether any of certain jobs is still at work. These are the jobs that run when Working is called,
// and the jobs that a reload has removed before. An abandoned source is at work until it returns.
func (a *Agent) Working() (still func() bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	jobs := slices.Concat(a.jobs, a.abandoned)
	return func() bool { return slices.ContainsFunc(jobs, (*job).works) }
}

// longestEnd returns the longest time that the current ticks of jobs can still take after stopJobs was called.
func longestEnd(jobs []*job) time.Duration {
	overtime := time.Duration(0)
	for _, j := range jobs {
		overtime = max(overtime, j.overtime())
	}
	return jobGrace + overtime
}

// stopSinks drains and stops sinks, all at the same time.
func stopSinks(sinks []*sink) {
	var wg sync.WaitGroup
	for _, s := range sinks {
		wg.Go(s.end)
	}
	wg.Wait()
}

// acquire waits for a free slot for a running tick. It returns a function that frees the slot, or false if ctx has ended.
func (a *Agent) acquire(ctx context.Context) (release func(), ok bool) {
	a.mu.Lock()
	slots := a.slots
	a.mu.Unlock()
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, true
	case <-ctx.Done():
		return nil, false
	}
}

// deliver queues a batch for the sinks of its job.
func (a *Agent) deliver(job *Job, b metric.Batch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inOrder(&b)
	for _, s := range a.sinks {
		if job.GoesTo(s.Name) {
			s.add(b)
		}
	}
}

// inOrder stores a batch as the latest batch of its job. A reload sends the latest batch of a job again, with the current time. A tick that
// began before the reload may deliver its batch only after that, with an earlier time. Such a batch gets a later time, so that samples stay
// in order. The caller holds mu.
func (a *Agent) inOrder(b *metric.Batch) {
	a.inTime(b)
	if last := a.latest[b.Job].Time; !b.Time.After(last) {
		b.Time = last.Add(time.Millisecond)
	}
	a.latest[b.Job] = *b
}

// ReloadFailed notes that the configuration could not be reloaded because of err. The current plan keeps running.
func (a *Agent) ReloadFailed(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reloadGood, a.reloadBad = false, err.Error()
	a.own.changed()
}

// State returns the current state of the agent.
func (a *Agent) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := State{
		Single: a.single, Shard: a.shard, AllJobs: a.allJobs,
		Reloaded: a.reloaded, ReloadGood: a.reloadGood, ReloadBad: a.reloadBad, ClockJumps: a.clock.Read().Jumps,
	}
	if a.state != nil {
		file := a.state.Status()
		s.File = &file
	}
	if a.lease != nil {
		held := a.lease()
		s.Lease = &held
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

// logUndelivered logs how many samples could not be delivered before the agent ended.
func (a *Agent) logUndelivered() {
	for _, s := range a.sinks {
		if n := s.Stats.Dropped()[sinks.Shutdown]; n > 0 {
			a.log.Warn("samples were not delivered before the end, and are lost", "sink", s.Name, "samples", n, "do", s.remedy())
		}
	}
}

// repeatLast queues the last batch of each restored job again, for those sinks of the job that can take a batch again. The earlier process
// may have been killed before it had delivered the batch.
func (a *Agent) repeatLast(jobs []*job) {
	if a.state == nil {
		return
	}
	for _, j := range jobs {
		if j.restored == nil {
			continue
		}
		b := j.last()
		j.restored = nil
		for _, s := range a.sinks {
			if j.GoesTo(s.Name) {
				s.repeat(b)
			}
		}
	}
	a.state.Loaded()
}

// awaitRepeated waits until the batches that repeatLast has queued for the sinks of a job are on disk, or until the job ends.
func (a *Agent) awaitRepeated(j *job) {
	a.mu.Lock()
	all := slices.Clone(a.sinks)
	a.mu.Unlock()
	for _, s := range all {
		if j.GoesTo(s.Name) {
			s.awaitRepeated(j.life)
		}
	}
}

// saveFinal appends the whole state of each job to the state file. The record also says whether the job's sinks have taken everything. It
// is called when jobs and sinks have stopped.
func (a *Agent) saveFinal(jobs []*job) {
	if a.state == nil {
		return
	}
	for _, j := range jobs {
		if j.ticked {
			a.state.Append(j.Name, j.record(true, a.hasDelivered(j)))
		}
	}
	a.state.Flush()
}

// hasDelivered reports whether the sinks of a job have taken everything. Samples that wait on disk count as taken.
func (a *Agent) hasDelivered(j *job) bool {
	return j.withheld == nil && !slices.ContainsFunc(a.sinks, func(s *sink) bool {
		return j.GoesTo(s.Name) && (s.hasLost() || s.Stats.Dropped()[sinks.Shutdown] > 0)
	})
}
