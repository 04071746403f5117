package run

import (
	"context"
	"sync"
	"time"
)

// Outcome is what a single run came to.
type Outcome struct {
	State
	Undelivered []string // sinks that could not deliver everything
}

// Once ticks every job once, or for all windows that it has not read, delivers, and returns when the sinks have drained,
// which may take as long as drain.
func (a *Agent) Once(ctx context.Context, plan Plan, drain time.Duration) (Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.places = make(chan struct{}, plan.Concurrency)
	for _, p := range plan.Jobs {
		j := a.newJob(p)
		j.restore()
		a.jobs = append(a.jobs, j)
	}
	a.resume(a.jobs)
	for _, p := range plan.Sinks {
		s := newSink(p, drain)
		a.sinks = append(a.sinks, s)
		s.start(ctx, cancel)
	}
	a.reloaded, a.reloadGood = time.Now(), true
	var wg sync.WaitGroup
	for _, j := range a.jobs {
		wg.Go(func() {
			for more := true; more; {
				leave, ok := a.enter(ctx)
				if !ok {
					break
				}
				more = j.tick(ctx)
				leave()
			}
		})
	}
	wg.Wait()
	a.finish(a.jobs)
	a.deliverSelf()
	a.stopSinks(a.sinks)
	out := Outcome{State: a.State()}
	for i, s := range a.sinks {
		if s.lost || lostAny(out.Sinks[i]) {
			out.Undelivered = append(out.Undelivered, s.Name)
		}
	}
	if err, ok := context.Cause(ctx).(*sinkError); ok {
		return out, err
	}
	return out, nil
}

func lostAny(s SinkState) bool {
	for _, n := range s.Dropped {
		if n > 0 {
			return true
		}
	}
	return s.Pending.Samples > 0
}
