package run

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// put puts a plan to work in the place of the one before. What stays the same stays as it is; what goes stops first, jobs
// before sinks; what comes starts last, sinks before jobs. With fail, a sink that cannot work ends everything.
func (a *Agent) put(ctx context.Context, plan Plan, fail context.CancelCauseFunc) {
	jobs, newJobs, oldJobs := a.sortJobs(plan.Jobs)
	a.stopJobs(oldJobs)
	for _, j := range newJobs {
		if !j.inherit(oldJobs) {
			j.restore()
		}
	}
	a.resume(newJobs)
	a.endGone(jobs, oldJobs)

	sinks, newSinks, oldSinks := a.sortSinks(plan.Sinks)
	a.mu.Lock()
	before := a.jobs
	a.jobs, a.sinks = jobs, sinks
	if cap(a.places) != plan.Concurrency {
		a.places = make(chan struct{}, plan.Concurrency)
	}
	// New sinks queue from here on, so that nothing is lost while old ones, which may hold what they need, drain.
	// Told as of now: what went before may have told it again since, or its end.
	for name, b := range a.latest {
		b.Time = time.Now()
		told := false
		for _, s := range sinks {
			if goes(jobs, b.Job, s.Name) && (slices.Contains(newSinks, s) || !goes(before, b.Job, s.Name)) {
				s.add(b)
				told = true
			}
		}
		if told {
			a.latest[name] = b
		}
	}
	a.mu.Unlock()
	a.stopSinks(oldSinks)

	for _, s := range newSinks {
		s.start(ctx, fail)
	}
	for _, j := range newJobs {
		var jobCtx context.Context
		jobCtx, j.stop = context.WithCancel(ctx)
		go j.run(jobCtx)
	}
	a.mu.Lock()
	a.reloaded, a.reloadGood = time.Now(), true
	a.mu.Unlock()
	a.tellNow()
}

// sortJobs is the jobs of a plan as they will work: those at work already, and new ones; and which go.
func (a *Agent) sortJobs(plan []Job) (all, come, gone []*job) {
	same := func(p *Job, j *job) bool { return j.Name == p.Name && j.Key == p.Key }
	return sortOut(plan, a.jobs, same, a.newJob)
}

func (a *Agent) sortSinks(plan []Sink) (all, come, gone []*sink) {
	same := func(p *Sink, s *sink) bool { return s.Name == p.Name && s.Key == p.Key }
	return sortOut(plan, a.sinks, same, func(p Sink) *sink { return newSink(p, Drain) })
}

// sortOut finds what is at work for each entry of a plan, and makes what is not.
func sortOut[P, W any](plan []P, work []*W, same func(*P, *W) bool, build func(P) *W) (all, come, gone []*W) {
	gone = slices.Clone(work)
	for i := range plan {
		at := slices.IndexFunc(gone, func(w *W) bool { return same(&plan[i], w) })
		if at >= 0 {
			all = append(all, gone[at])
			gone = slices.Delete(gone, at, at+1)
			continue
		}
		w := build(plan[i])
		all, come = append(all, w), append(come, w)
	}
	return all, come, gone
}

// inherit goes on from where a job of the same name has stopped, as far as it measures the same, and tells whether there
// was one.
func (j *job) inherit(gone []*job) bool {
	for _, old := range gone {
		if old.Name != j.Name {
			continue
		}
		if old.Fetches == j.Fetches {
			j.ledger.Inherit(old.ledger)
		}
		j.lastSuccess, j.cursor, j.showing, j.expireAt = old.lastSuccess, old.cursor, old.showing, old.expireAt
		j.ticked, j.whole = old.ticked, old.whole
		j.status.goOn(old.status)
		return true
	}
	return false
}

// stopJobs ends jobs together and waits for the ticks under way.
func (a *Agent) stopJobs(jobs []*job) {
	for _, j := range jobs {
		j.stop()
	}
	for _, j := range jobs {
		<-j.done
	}
}

// stopSinks drains sinks together.
func (a *Agent) stopSinks(sinks []*sink) {
	var wg sync.WaitGroup
	for _, s := range sinks {
		wg.Go(s.end)
	}
	wg.Wait()
}

// goes tells whether a sink gets the batches of a job among these.
func goes(jobs []*job, name, sink string) bool {
	return name == Self || slices.ContainsFunc(jobs, func(j *job) bool { return j.Name == name && j.goesTo(sink) })
}

// endGone ends the series of jobs that no plan names any more, and in each sink those of jobs that no longer go there.
func (a *Agent) endGone(now, gone []*job) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, j := range gone {
		for _, s := range a.sinks {
			if j.goesTo(s.Name) && !goes(now, j.Name, s.Name) {
				s.add(metric.Batch{Job: j.Name, Time: time.Now()})
			}
		}
		if !slices.ContainsFunc(now, func(n *job) bool { return n.Name == j.Name }) {
			delete(a.latest, j.Name)
		}
	}
}
