package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Outcome is the result of Once.
type Outcome struct {
	State
	Undelivered []string // sinks that could not deliver everything
	Busy        []string // for each job that did not run because another process ran it: its name and the reason
	Unsaved     []string // jobs whose state was not on disk in time
}

// once is a single run of each job. Other processes can use the same state file and sinks at the same time. If another process runs a job,
// this process must wait until the other process has finished.
type once struct {
	*Agent
	drain time.Duration

	mu   sync.Mutex
	busy []string
	held map[*job]bool // the jobs that this process has locked
}

// Once runs every job once. A job with windows runs once for each window that it has not read yet. Once delivers the batches, and returns
// when the sinks have drained. For this, each sink can take as long as the argument "drain" says, and so can the disk of the state file.
func (a *Agent) Once(ctx context.Context, plan Plan, drain time.Duration) (Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.slots, a.ownMetrics, a.shard, a.allJobs = make(chan struct{}, plan.Concurrency), plan.Own, plan.Shard, plan.AllJobs
	a.single, a.own.partBy, a.atMost = true, JobLabel, drain
	o := &once{Agent: a, drain: drain, held: map[*job]bool{}}
	if err := o.prepare(plan); err != nil {
		return Outcome{}, err
	}
	for _, s := range a.sinks {
		s.start(ctx, cancel)
	}
	a.reloaded, a.reloadGood = a.clock.Now(), true
	var wg sync.WaitGroup
	for _, j := range a.jobs {
		wg.Go(func() { o.run(ctx, j) })
	}
	wg.Wait()
	out := o.end()
	if err, ok := context.Cause(ctx).(*sinkError); ok {
		return out, err
	}
	return out, nil
}

// prepare makes the jobs and sinks. It restores the jobs that no other process is running.
func (o *once) prepare(plan Plan) error {
	for _, p := range plan.Jobs {
		o.jobs = append(o.jobs, o.newJob(p))
	}
	for _, p := range plan.Sinks {
		o.sinks = append(o.sinks, newSink(p, o.drain, true))
	}
	if o.state == nil {
		return nil
	}
	ended, end := context.WithCancel(context.Background())
	end()
	var free []*job
	for _, j := range o.jobs {
		if o.lock(ended, j) == nil {
			free = append(free, j)
		}
	}
	if err := o.state.Reread(); err != nil {
		return err
	}
	for _, j := range free {
		if err := j.load(); err != nil {
			return err
		}
	}
	o.repeatLast(free)
	return nil
}

// lock locks a job and records that this process has the lock.
func (o *once) lock(ctx context.Context, j *job) error {
	if err := j.lock(ctx); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held[j] = true
	o.own.starts.last = o.clock.Now() // the process that had the lock may have delivered metrics of the job until now
	return nil
}

// run runs a job once, or once for each window that it has not read yet.
func (o *once) run(ctx context.Context, j *job) {
	if o.state != nil && !o.hasLocked(j) && !o.waitFor(ctx, j) {
		return
	}
	for more := true; more; {
		release, ok := o.acquire(ctx)
		if !ok {
			return
		}
		j.life, j.release = ctx, sync.OnceFunc(release)
		more = j.tick(ctx)
		j.release()
	}
}

func (o *once) hasLocked(j *job) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.held[j]
}

// waitFor waits while another process runs a job, at most for the job's timeout. It then loads the state that the other
// process has saved. It reports whether the job may run.
func (o *once) waitFor(ctx context.Context, j *job) bool {
	timeout := time.Duration(j.Timeout)
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := o.lock(limit, j)
	if err == nil {
		err := o.state.Reread()
		if err == nil {
			err = j.load()
		}
		if err != nil { // without its state, the job would begin at zero
			j.Log.Error("the job has not run: the state file cannot be read", "error", err)
			o.mu.Lock()
			defer o.mu.Unlock()
			j.giveUp()
			delete(o.held, j)
			o.busy = append(o.busy, j.Name+": "+err.Error())
			return false
		}
		o.repeatLast([]*job{j})
		return true
	}
	why := fmt.Sprintf("it is %v, which has not finished within %s (timeout)", err, timeout)
	if ctx.Err() != nil {
		why = fmt.Sprintf("it is %v, and cton was stopped while it waited", err)
	}
	j.Log.Error("the job has not run: another process runs it", "error", why)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy = append(o.busy, j.Name+": "+why)
	return false
}

// end delivers everything that is left and returns the outcome. Other processes may run the jobs as soon as all samples of this process
// are on disk or delivered. They must not do so earlier, because receivers refuse samples that are older than others of the same series.
func (o *once) end() Outcome {
	o.Agent.mu.Lock()
	o.jobs = slices.DeleteFunc(o.jobs, func(j *job) bool { return o.state != nil && !o.hasLocked(j) }) // other jobs run in another process
	o.Agent.mu.Unlock()
	deadline := time.Now().Add(o.drain)
	disk := deadline
	if o.gaveUp.Load() { // a job has already waited for the disk as long as is allowed
		disk = time.Now()
	}
	o.waitForDisk(disk.Add(-time.Until(disk) / 2)) // the sinks still need time for the agent's own metrics
	o.own.deliver(true)
	o.waitForDisk(disk)
	for _, s := range o.sinks {
		s.drain = max(time.Until(deadline), 0)
	}
	defer time.AfterFunc(patience, o.sayWaiting).Stop()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stopSinks(o.sinks)
	}()
	for _, s := range o.sinks {
		s.settled(stopped)
	}
	o.release()
	<-stopped
	out := Outcome{State: o.State(), Busy: o.busy, Unsaved: o.unsaved()}
	for i, s := range o.sinks {
		if s.hasLost() || out.Sinks[i].lostAny() {
			out.Undelivered = append(out.Undelivered, s.Name)
		}
	}
	return out
}

// waitForDisk limits how long the process still waits for the disk of the state file.
func (o *once) waitForDisk(until time.Time) {
	if o.state != nil {
		o.state.WaitUntil(until)
	}
}

// unsaved returns the jobs of this process whose state was not on disk in time, or is not known to be on disk now.
func (o *once) unsaved() (names []string) {
	for _, j := range o.jobs {
		if o.state != nil && (j.withheld != nil && o.gaveUp.Load() || o.state.Written(j.Name) != nil) {
			names = append(names, j.Name)
		}
	}
	return names
}

// patience is how long end waits for sinks before it says so.
const patience = 5 * time.Second

// sayWaiting logs which sinks have not delivered everything yet.
func (o *once) sayWaiting() {
	var waiting []string
	for _, s := range o.sinks {
		if s.isWaiting() || s.Stats.Pending().Samples > 0 {
			waiting = append(waiting, s.Name)
		}
	}
	if len(waiting) > 0 {
		o.log.Warn("waiting for sinks that have not delivered everything: cton ends when they have, and after at_most (--deadline)",
			"sinks", strings.Join(waiting, ", "), "at_most", o.drain.String())
	}
}

// release saves the state of the jobs and unlocks them for other processes.
func (o *once) release() {
	o.saveFinal(o.jobs)
	o.giveUpAll(slices.Collect(maps.Keys(o.held)))
}
