package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/metric"
)

// job is a job of a running agent. Only its goroutine may use the fields, except status.
type job struct {
	*Worker
	agent  *Agent
	status *jobStatus
	report report

	time  timekeeper // notices jumps of the clock, so that the times below and in the worker can be adjusted
	due   time.Time  // when the job is due next, not including Delay; zero = never
	asked bool       // the next run was requested by a user

	showing   bool      // the sinks show series of the job
	delivered time.Time // time of the last tick whose batch was queued for the sinks
	expireAt  time.Time // when the job's series expire; zero while ticks succeed

	unlock   func()    // releases the job's lock; nil = the job is not locked; the agent's mu guards it in jobs that were removed
	from     *job      // the removed job that had the lock before, until the state is loaded; nil = none
	loaded   bool      // the state file was read for the job, so the job may run
	restored *Saved    // the state of an earlier process, until the last batch of that process was queued for the sinks
	ticked   bool      // a tick of this process has succeeded
	withheld *withheld // the batch of the last tick, if it was not delivered because its state was not on disk in time
	savedAt  time.Time // when a record of the state was last given to the state file

	held    Held            // nil = the job may run until it is stopped
	life    context.Context // ends when the current tick has to end because the agent stops
	release func()          // gives up the slot of the current tick
	waited  time.Duration   // how long the current tick has waited for its slot

	ask  chan struct{} // holds a token if the job should run although it is not due
	stop context.CancelFunc
	done chan struct{}
}

// withheld is a batch that must not be delivered before its state is on disk.
type withheld struct {
	metric.Batch
	written <-chan struct{} // closed when the state is on disk
}

func (a *Agent) newJob(plan Job) *job {
	j := &job{
		Worker: NewWorker(plan), agent: a, status: newJobStatus(plan.Name, plan.Requests, a.own.changed), report: report{log: plan.Log},
		done: make(chan struct{}), ask: make(chan struct{}, 1), time: newTimekeeper(a.clock),
	}
	if a.state != nil {
		j.Ledger.Journal(plan.Windows != nil)
	}
	return j
}

// errOverlap ends a tick that is still running when the next tick is due, if the setting "overlap" has the value "cancel".
var errOverlap = errors.New("cancelled because the next run is due (overlap: cancel)")

// errLost ends the context of a job when another process may run the job.
var errLost = errors.New("another process may run the job")

// start returns the context for the method "run". The context ends when j.stop is called, or when the argument "held" no longer allows the
// job to run.
func (j *job) start(ctx context.Context, held Held) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	j.held, j.stop = held, func() { cancel(nil) }
	if held != nil {
		forget := context.AfterFunc(held.Context(), func() { cancel(errLost) })
		j.stop = func() { forget(); cancel(nil) }
	}
	return ctx
}

// may reports whether a run may begin.
func (j *job) may() bool { return j.held == nil || j.held.Valid() }

// works returns true if the job, or a source that it has abandoned, is at work.
func (j *job) works() bool {
	select {
	case <-j.done:
	default:
		return true
	}
	if j.abandoned == nil {
		return false
	}
	select {
	case <-j.abandoned:
		return false
	default:
		return true
	}
}

// run runs the job whenever it is due, until ctx ends. After that, the current tick has jobGrace to finish. If the source has a method
// Run, this method runs at the same time, and the job is run once more after Run has ended.
func (j *job) run(ctx context.Context) {
	defer close(j.done)
	if !j.claim(ctx) {
		return
	}
	defer j.startRunner(ctx)()
	j.deliverWithheld(ctx)
	j.due = j.firstDue(j.keepTime().Wall)
	for j.waitUntilDue(ctx) {
		due := j.due
		j.due = j.Schedule.Next(due)
		if !j.asked && j.status.paused() {
			j.skip(1)
			continue
		}
		j.asked = false
		more := j.burst(ctx, due)
		j.afterTick(more)
	}
}

// firstDue returns when the job is due first: now for an interval, or the next time of a cron expression.
func (j *job) firstDue(now time.Time) time.Time {
	if _, every := j.Schedule.Every(); every {
		return now
	}
	return j.Schedule.Next(now)
}

// waitUntilDue waits until the job is due. Meanwhile it ends the job's series when they expire. It returns false if ctx has ended, or if
// the job is never due again. It reads the clock at least every minute, because perhaps the clock is changed or the machine is suspended.
func (j *job) waitUntilDue(ctx context.Context) bool {
	var told time.Time
	for !j.due.IsZero() {
		changed := j.time.Changed()
		now := j.keepTime().Wall
		until := j.due.Add(j.Delay)
		if !until.Equal(told) {
			j.status.wait(until)
			told = until
		}
		pause := min(until.Sub(now), time.Minute)
		if pause <= 0 {
			return ctx.Err() == nil
		}
		// If the series expire exactly when the job is due, the tick comes first.
		if !j.expireAt.IsZero() && j.expireAt.Before(until) {
			j.expireIfDue()
			pause = min(pause, max(j.expireAt.Sub(now), time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		case <-j.ask:
			j.due, j.asked = j.keepTime().Wall.Add(-j.Delay), true
		case <-time.After(pause):
		}
	}
	return false
}

// burst does the work that is due at a time. This is one tick. A job with windows has one tick for each window that can be read, but at
// most as many as Burst returns, and only until the job is due again. burst reports whether more windows are perhaps ready.
func (j *job) burst(ctx context.Context, due time.Time) (more bool) {
	for range j.Burst(due, j.due) {
		asked := time.Now()
		release, ok := j.agent.acquire(ctx)
		if !ok {
			return false
		}
		if !j.may() {
			release()
			return false
		}
		j.waited = time.Since(asked)
		j.release = sync.OnceFunc(release)
		tick, end := withGrace(ctx)
		j.life = tick
		if j.Overlap == schedule.Cancel {
			// A tick that started late can run until the next due time that is still in the future.
			now := j.keepTime().Wall
			next := later(j.Schedule.Next(now.Add(-j.Delay)), j.due).Add(j.Delay)
			tick, end = withTimeout(tick, end, next.Sub(now))
		}
		more = j.tick(tick)
		end()
		j.release()
		if !more || ctx.Err() != nil || !j.due.IsZero() && !j.keepTime().Wall.Before(j.due.Add(j.Delay)) {
			break
		}
	}
	return more
}

// tick runs the job once and records the result. It reports whether another window is perhaps ready.
func (j *job) tick(ctx context.Context) (more bool) {
	at, began := j.now()
	read := j.Cursor
	window, skipped, due := j.NextWindow(read, at)
	ahead := j.Windows != nil && read.After(at)
	if !due {
		j.idle(ahead)
		return false
	}
	j.report.recovered(cursor)
	if ahead {
		j.Log.Error("the cursor lies ahead of the clock, further than window.max_catch_up: the last closed window is read again",
			"cursor", read, "from", window.Start, "to", window.End)
	}
	j.status.begin(at)
	defer j.status.end()
	result, err := j.Tick(ctx, window, Steps{Commit: j.commit, Deliver: j.deliver})
	switch {
	case errors.Is(err, errStopped): // the job itself has not failed
		if j.abandoned != nil {
			j.Log.Warn("run abandoned: it did not stop in time when the agent stopped, and its result is not used", "error", err)
		}
		return false
	case err != nil:
		took := j.keepTime().Elapsed - began
		var validUntil time.Time
		if j.showing {
			validUntil = j.ValidUntil(j.delivered)
		}
		j.status.fail(err, took, validUntil)
		j.agent.watch.Ran(Ended{Job: j.Name, Start: at, Took: took, Waited: j.waited, Result: Failed, Error: err.Error()})
		j.report.failed("run failed", wholeRun, err)
		j.expireAt = j.ValidUntil(j.delivered)
		j.expireIfDue()
		return false
	}
	took := j.keepTime().Elapsed - began
	j.status.succeed(result, took)
	ended := succeeded(j.Name, at, took, window, result)
	ended.Waited = j.waited
	j.agent.watch.Ran(ended)
	j.status.read(j.Cursor, skipped)
	j.report.succeeded(result)
	if skipped > 0 {
		j.Log.Error("windows skipped: they are older than window.max_catch_up; read them with: cton backfill, and raise max_catch_up for the next time", "windows", skipped, "from", read, "to", window.Start)
	}
	return j.Windows != nil
}

// cursor is the name under which a job reports the problem that its cursor lies ahead of the clock.
const cursor = "cursor"

// idle is called if there is no window to read, and makes a note of that. If the reason is that the cursor lies ahead of the clock, this
// is an error: the clock was ahead when the cursor was set, or it is behind now.
func (j *job) idle(ahead bool) {
	if !ahead {
		j.report.recovered(cursor)
		j.status.idle()
		return
	}
	err := fmt.Errorf("the last window read ends at %s, which is in the future: the clock was or is wrong; correct it (no window before that time is read again)",
		j.Cursor.UTC().Format(time.RFC3339))
	j.status.hold(err.Error())
	j.report.failed("no window can be read", cursor, err)
}

// now returns the time for a tick, and the time that has passed since the start, which does not jump with the clock. If many windows are
// read quickly, each tick still has a time at least a millisecond later than the tick before it. So samples stay in order.
func (j *job) now() (time.Time, time.Duration) {
	now := j.keepTime()
	if gap := now.Wall.Sub(j.LastSuccess); gap > -time.Minute && gap < time.Millisecond {
		return j.LastSuccess.Add(time.Millisecond), now.Elapsed
	}
	return now.Wall, now.Elapsed
}

// lazySave is how long a job waits between two saves of its state, if the state has nothing that only the ledger knows.
const lazySave = time.Minute

// commit appends the changes of the tick to the state file. If the tick has changed something that only the ledger knows, commit waits
// until that is on disk. So the state after a restart is never older than the values delivered. While the disk fails, the batch is not
// delivered, and the job does not run.
//
// After a restart, repeatLast queues the last batch of the earlier process again. Another kill would lose that batch if a newer one were
// already committed. So, before it commits a newer batch, the method waits until the sinks have the repeated batch on disk.
func (j *job) commit(result *ledger.Result) error {
	j.ticked = true
	if j.agent.state != nil {
		j.agent.awaitRepeated(j)
	}
	now := j.keepTime().Wall // the clock may have jumped since the tick began
	if j.agent.state == nil {
		return nil
	}
	if !j.Ledger.Keeps() && !j.Dated() {
		if j.Ledger.Grown() || now.Sub(j.savedAt) >= lazySave {
			j.agent.state.AppendLazily(j.Name, j.record(false, false))
		}
		return nil
	}
	written := j.agent.state.Append(j.Name, j.record(false, false)).Done()
	select {
	case <-written:
		return nil
	default:
	}
	j.release()
	err := j.awaitDisk(written)
	if err != nil {
		j.withheld = &withheld{j.batch(result), written}
	}
	return err
}

// awaitDisk waits until the channel "written" is closed, which says that the state of a run is on disk. It returns an error if the job has
// to end before that. Meanwhile, it shows why the job does not run, and ends the job's series when they expire.
func (j *job) awaitDisk(written <-chan struct{}) error {
	held := time.NewTicker(time.Second)
	defer held.Stop()
	var late <-chan time.Time
	if j.agent.single {
		late = time.After(j.agent.atMost)
	}
	for {
		select {
		case <-late:
			j.agent.gaveUp.Store(true)
			why := cmp.Or(j.agent.state.Status().Error, "the disk of the state file does not answer")
			return fmt.Errorf("not delivered: the state of the run is not on disk after %s (--deadline): %s", j.agent.atMost, why)
		case <-written:
			j.report.recovered(stateFile)
			return nil
		case <-j.life.Done():
			return errStopped
		case <-held.C:
		}
		if why := j.agent.state.Status().Error; why != "" {
			j.status.hold(why)
			j.report.failed("the run is held back until its state is on disk", stateFile, errors.New(why))
		}
		if j.expireAt.IsZero() {
			j.expireAt = j.ValidUntil(j.delivered)
		}
		j.expireIfDue()
	}
}

// deliverWithheld delivers the batch that a removed job with the same name has withheld, as soon as its state is on disk. Until then the
// job does not run, as it would not have run without the reload. If ctx ends, deliverWithheld waits for at most jobGrace.
func (j *job) deliverWithheld(ctx context.Context) {
	if j.withheld == nil {
		return
	}
	life, end := withGrace(ctx)
	defer end()
	j.life = life
	if j.awaitDisk(j.withheld.written) == nil && j.may() {
		j.status.idle()
		j.deliver(j.withheld.Batch)
	}
}

// record returns a record of the job's state. If the argument "all" is true, the record has the whole state, otherwise the changes since
// the last record.
func (j *job) record(all, delivered bool) []byte {
	j.savedAt = j.keepTime().Wall
	saved := &Saved{LastSuccess: j.LastSuccess.UTC(), Fetches: digest(j.Fetches), Delivered: delivered}
	if j.Windows != nil {
		saved.Cursor = j.Cursor.UTC()
	}
	return append(saved.header(nil), j.Ledger.Changes(all)...)
}

// stateFile names problems of the state file, for report.
const stateFile = "state file"

// deliver queues the batch for the job's sinks.
func (j *job) deliver(b metric.Batch) error {
	j.keepTime()
	b.Time = j.LastSuccess // LastSuccess was moved if the clock has jumped
	j.showing, j.delivered, j.expireAt, j.withheld = true, j.LastSuccess, time.Time{}, nil
	j.agent.deliver(&j.Job, b)
	return nil
}

// expireIfDue ends the job's series if they have expired. The ledger keeps the running totals.
func (j *job) expireIfDue() {
	now := j.keepTime().Wall
	if j.expireAt.IsZero() || now.Before(j.expireAt) {
		return
	}
	j.expireAt = time.Time{}
	if j.showing {
		j.showing = false
		j.Log.Warn("the job's series end: the last values have expired (valid_for)", "last_success", j.delivered)
		j.agent.deliver(&j.Job, metric.Batch{Job: j.Name, Time: now})
	}
}

// maxMissed is the maximum number of missed due times that are counted. maxShownMissed is how many of them the observer gets at most.
const (
	maxMissed      = 1000
	maxShownMissed = 60
)

// afterTick skips the due times that have passed during the tick. If windows are left to read, or the overlap policy is not "skip", the
// last of these due times is kept, and the job runs late.
func (j *job) afterTick(more bool) {
	now := j.keepTime().Wall
	late := 0
	last := j.due
	for ; !j.due.IsZero() && j.due.Add(j.Delay).Before(now); late++ {
		if late == maxMissed {
			j.due = j.Schedule.Next(now)
			break
		}
		last, j.due = j.due, j.Schedule.Next(j.due)
	}
	if late > 0 && (more || j.Overlap != schedule.Skip) {
		late--
		j.due = last
	}
	j.skip(late)
}

// skip notes that n due times have passed without a run.
func (j *job) skip(n int) {
	j.status.skip(n)
	at := j.keepTime().Wall
	for range min(n, maxShownMissed) {
		j.agent.watch.Ran(Ended{Job: j.Name, Start: at, Result: Skipped})
	}
}

// inherit takes over the state of a removed job with the same name. The ledger's state is taken over only if Fetches is
// unchanged. inherit reports whether there was such a job.
func (j *job) inherit(removed []*job) bool {
	for _, old := range removed {
		if old.Name != j.Name {
			continue
		}
		if old.Fetches == j.Fetches {
			j.Ledger.Inherit(old.Ledger)
		} else if len(old.Ledger.Counted()) > 0 {
			j.Log.Warn("the job fetches something else than before the reload; its totals start from zero")
		}
		j.LastSuccess, j.Cursor, j.showing, j.delivered, j.expireAt = old.LastSuccess, old.Cursor, old.showing, old.delivered, old.expireAt
		j.time, j.ticked, j.withheld, j.restored = old.time, old.ticked, old.withheld, old.restored
		j.unlock, old.unlock = old.unlock, nil
		j.loaded = old.loaded
		j.status.inherit(old.status)
		return true
	}
	return false
}

// load loads the job's state from the state file. If the saved state cannot be used, the job starts without state. load returns an error
// if the file cannot be read: the job must not run then, because its totals would step back.
func (j *job) load() error {
	records, err := j.agent.state.Records(j.Name)
	if err != nil {
		return err
	}
	j.loaded, j.from = true, nil
	if records != nil {
		j.restore(records)
	}
	if records, err = j.agent.state.Records(ownPrefix + j.Name); err != nil {
		return err
	}
	if !j.agent.single {
		if len(records) > 0 { // this process delivers the same counters, which start from zero: the next cton once must not continue the older ones
			j.agent.state.Append(ownPrefix+j.Name, nil)
		}
		return nil
	}
	if err := j.agent.own.totals.load(j.Name, records); err != nil {
		j.Log.Error("the totals about runs of the job cannot be read from the state file; they start from zero", "error", err)
	}
	return nil
}

func (j *job) restore(records [][]byte) {
	saved, err := ReadSaved(records)
	if err == nil && saved.Exported {
		j.Log.Warn("the job has run elsewhere since its state was saved here; its totals start from zero")
		return
	}
	if err == nil {
		err = saved.Restore(j.Worker, j.time.Now())
	}
	if err != nil {
		j.Log.Error("the job's saved state cannot be used; its totals start from zero", "error", err)
		return
	}
	if saved.Fetches != digest(j.Fetches) {
		j.Log.Warn("the job fetches something else than when its state was saved; its totals start from zero")
	} else if !saved.old || saved.Delivered {
		// Nothing newer was delivered, so a series that is new from here on counts as zero until now.
		j.Ledger.Resume(j.time.Now())
	}
	j.showing, j.delivered, j.restored = true, j.LastSuccess, saved
	j.expireAt = j.ValidUntil(j.delivered)
	j.status.restore(j.LastSuccess, j.Cursor)
}

// last returns the last batch before a restart, for sinks that have perhaps not received it.
func (j *job) last() metric.Batch {
	descs, _ := j.Declares()
	b := metric.Batch{Job: j.Name}
	b.Families, b.Known, b.Time = j.Ledger.Last(descs, j.restored.Delivered || j.restored.old)
	b.Every = j.interval(b.Time)
	return b
}

// jobGrace is how long the current tick of a job may continue after the job was stopped.
const jobGrace = 5 * time.Second

var errStopped = errors.New("the agent is stopping")

// withGrace returns a context that ends when jobGrace has passed after the end of parent. It ends at once if another process may run the
// job.
func withGrace(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	var timer *time.Timer
	ready := make(chan struct{})
	stop := context.AfterFunc(parent, func() {
		grace := jobGrace
		if context.Cause(parent) == errLost {
			grace = 0
		}
		timer = time.AfterFunc(grace, func() { cancel(errStopped) })
		close(ready)
	})
	return ctx, func() {
		if !stop() {
			<-ready
			timer.Stop()
		}
		cancel(nil)
	}
}

func withTimeout(parent context.Context, end context.CancelFunc, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(parent, d, errOverlap)
	return ctx, func() { cancel(); end() }
}
