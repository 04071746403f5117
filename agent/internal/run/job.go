package run

import (
	"context"
	"errors"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/schedule"
)

// job is a job at work. Its goroutine owns all but status.
type job struct {
	Job
	agent  *Agent
	ledger *ledger.Ledger
	status *jobStatus
	report report

	lastSuccess time.Time
	cursor      time.Time // everything before is read: the end of the last window
	showing     bool      // the sinks show series of the job
	expireAt    time.Time // when those are no longer valid; zero while ticks succeed

	whole   *Saved // what was restored, while nothing was told that it does not hold
	ticked  bool   // some tick of this process has succeeded
	unsaved bool   // the state file does not know of the last tick
	savedAt time.Time

	stop context.CancelFunc
	done chan struct{}
}

func (a *Agent) newJob(plan Job) *job {
	j := &job{
		Job: plan, agent: a, status: newJobStatus(plan.Name, plan.Requests, a.tellNow), report: report{log: plan.Log},
		done: make(chan struct{}),
	}
	j.ledger = ledger.New(j.ValidUntil, plan.MaxSeries)
	return j
}

// errOverlap ends a tick that is under way when the next is due, under overlap: cancel.
var errOverlap = errors.New("cancelled because the next tick is due (overlap: cancel)")

// run ticks the job whenever it is due, until ctx ends. A tick under way then has grace to finish.
func (j *job) run(ctx context.Context) {
	defer close(j.done)
	defer j.save()
	due := j.firstDue(time.Now())
	for !due.IsZero() && j.waitFor(ctx, due.Add(j.Jitter)) {
		next := j.Schedule.Next(due)
		more := j.burst(ctx, due, next)
		due = j.afterTick(next, more)
	}
}

// firstDue is at once for an interval, and when the clock says so for cron text.
func (j *job) firstDue(now time.Time) time.Time {
	if _, every := j.Schedule.Every(); every {
		return now
	}
	return j.Schedule.Next(now)
}

// maxMissed is how many due times that have passed are counted one by one. More of them are a clock that was set.
const maxMissed = 1000

// afterTick is the due time to wait for, where the first one after the tick's own was next. Those that have passed
// meanwhile are left out, but for one where the policy is to run late rather than not, or where windows wait to be read.
func (j *job) afterTick(next time.Time, more bool) time.Time {
	now := time.Now()
	late := 0
	last := next
	for ; !next.IsZero() && next.Add(j.Jitter).Before(now); late++ {
		if late == maxMissed {
			next = j.Schedule.Next(now)
			break
		}
		last, next = next, j.Schedule.Next(next)
	}
	if late > 0 && (more || j.Overlap != schedule.Skip) {
		late--
		next = last
	}
	j.status.skip(late)
	if again := j.Schedule.Next(now); again.Before(next) {
		return again // the clock was set back
	}
	return next
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// waitFor waits until a time, ending the job's series meanwhile if they become invalid. It is false when ctx has ended.
// The clock is looked at again every minute: it may have been set, or the machine asleep.
func (j *job) waitFor(ctx context.Context, until time.Time) bool {
	j.status.wait(until)
	for {
		pause := min(time.Until(until), time.Minute)
		if pause <= 0 {
			return ctx.Err() == nil
		}
		// Where both come at once, the tick has its chance first.
		if !j.expireAt.IsZero() && j.expireAt.Before(until) {
			j.expireIfDue()
			pause = min(pause, max(time.Until(j.expireAt), time.Millisecond))
		}
		if j.unsaved {
			j.saveIfDue()
			pause = min(pause, max(time.Until(j.savedAt.Add(statePause)), time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// jobGrace is how long a tick under way may go on once its job is to stop.
const jobGrace = 5 * time.Second

var errStopped = errors.New("the agent is stopping")

// withGrace is a context that ends some time after its parent.
func withGrace(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	var timer *time.Timer
	ready := make(chan struct{})
	stop := context.AfterFunc(parent, func() {
		timer = time.AfterFunc(jobGrace, func() { cancel(errStopped) })
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

func withDeadline(parent context.Context, end context.CancelFunc, at time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithDeadlineCause(parent, at, errOverlap)
	return ctx, func() { cancel(); end() }
}
