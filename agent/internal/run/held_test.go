package run

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// term is a time in which the jobs of a test may run.
type term struct {
	ctx  context.Context
	over atomic.Bool // no run may begin, though ctx has not ended
}

func (t *term) Context() context.Context { return t.ctx }
func (t *term) Valid() bool              { return !t.over.Load() && t.ctx.Err() == nil }

// planWith returns a plan with one job, which runs every ten seconds, and one sink.
func planWith(t *testing.T, out *shelf, source *scripted) Plan {
	return Plan{Concurrency: 2, Jobs: []Job{planJob(t, "a", "@every 10s", source)}, Sinks: []Sink{planSink("out", out)}}
}

// TestHeld checks that jobs stop at once when another process may run them. The current run ends without the grace period that it has at
// a shutdown. Its result is not delivered, and no further run begins.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := time.Duration(-1)
		begin := time.Now()
		source := newScripted(func(ctx context.Context, n int) error {
			if n != 3 {
				return nil
			}
			<-ctx.Done()
			ended = time.Since(begin)
			return ctx.Err()
		})
		ctx, end := context.WithCancel(context.Background())
		out := &shelf{}
		plan := planWith(t, out, source)
		plan.Held = &term{ctx: ctx}
		a := newAgent()
		life, stop := context.WithCancel(t.Context())
		plans, done := make(chan Plan), make(chan error)
		go func() { done <- a.Run(life, plan, plans) }()
		time.Sleep(35 * time.Second)
		still := a.Working()
		if !still() {
			t.Error("the job is not at work")
		}
		end()
		synctest.Wait()
		if ended != 35*time.Second || still() {
			t.Errorf("the run ended after %s; at work: %v", ended, still())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if source.ticks != 4 || out.count() != 3 {
			t.Errorf("%d runs, %d batches", source.ticks, out.count())
		}

		// Without the lease, only the sinks run. When the lease is back, the jobs run again.
		standby := plan
		standby.Jobs, standby.Held = nil, nil
		plans <- standby
		next := planWith(t, out, source)
		next.Held = &term{ctx: context.Background()}
		plans <- next
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if source.ticks != 7 {
			t.Errorf("%d runs after the lease was taken again", source.ticks)
		}
		next.Held.(*term).over.Store(true) // as after a suspension: the timer that ends the context has not fired yet
		time.Sleep(time.Minute)
		synctest.Wait()
		if source.ticks != 7 {
			t.Error("a run began when the time was over")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestWorkingRemoved checks a job which a reload has removed. The job counts as at work until its source returns.
func TestWorkingRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		source := newScripted(func(context.Context, int) error { <-free; return nil }) // it ignores its context
		plan := planWith(t, &shelf{}, source)
		a, plans := newAgent(), make(chan Plan)
		stop := start(t, a, plan, plans)
		time.Sleep(5 * time.Second)
		plan.Jobs = nil
		plans <- plan
		plans <- plan // the first one is in use now
		for range 3 {
			if still := a.Working(); !still() {
				t.Error("the source is not at work")
			}
			plans <- plan
		}
		still := a.Working()
		close(free)
		synctest.Wait()
		if still() {
			t.Error("the source is at work after it has returned")
		}
		plans <- plan
		plans <- plan
		if err := stop(); err != nil {
			t.Error(err)
		}
		if len(a.abandoned) > 0 {
			t.Error("a removed job is kept for ever")
		}
	})
}
