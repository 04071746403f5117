package run

import (
	"context"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// put puts a plan to work in the place of the one before. What stays the same stays as it is; what goes stops first, jobs
// before sinks; what comes starts last, sinks before jobs. With fail, a sink that cannot work ends everything.
func (a *Agent) put(ctx context.Context, plan Plan, fail context.CancelCauseFunc) {
	jobs, newJobs, oldJobs := a.sortJobs(plan.Jobs)
	a.stopJobs(oldJobs)
	a.endGone(jobs, oldJobs)

	sinks, newSinks, oldSinks := a.sortSinks(plan.Sinks)
	a.stopSinks(oldSinks)

	a.mu.Lock()
	a.jobs, a.sinks = jobs, sinks
	for _, s := range newSinks {
		for _, b := range a.latest {
			s.add(b)
		}
	}
	a.reloaded, a.reloadGood = time.Now(), true
	a.mu.Unlock()

	for _, s := range newSinks {
		s.start(ctx, fail)
	}
	for _, j := range newJobs {
		var jobCtx context.Context
		jobCtx, j.stop = context.WithCancel(ctx)
		go j.run(jobCtx)
	}
}

// sortJobs is the jobs of a plan as they will work: those at work already, and new ones; and which go.
func (a *Agent) sortJobs(plan []Job) (all, come, gone []*job) {
	kept := map[*job]bool{}
	for _, p := range plan {
		var j *job
		for _, old := range a.jobs {
			if old.Name == p.Name && old.Key == p.Key {
				j = old
				kept[old] = true
			}
		}
		if j == nil {
			j = a.newJob(p)
			come = append(come, j)
		}
		all = append(all, j)
	}
	for _, old := range a.jobs {
		if !kept[old] {
			gone = append(gone, old)
		}
	}
	return all, come, gone
}

func (a *Agent) sortSinks(plan []Sink) (all, come, gone []*sink) {
	kept := map[*sink]bool{}
	for _, p := range plan {
		var s *sink
		for _, old := range a.sinks {
			if old.Name == p.Name && old.Key == p.Key {
				s = old
				kept[old] = true
			}
		}
		if s == nil {
			s = newSink(p, Drain)
			come = append(come, s)
		}
		all = append(all, s)
	}
	for _, old := range a.sinks {
		if !kept[old] {
			gone = append(gone, old)
		}
	}
	return all, come, gone
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

// endGone ends the series of jobs that no plan names any more.
func (a *Agent) endGone(now, gone []*job) {
	stays := map[string]bool{}
	for _, j := range now {
		stays[j.Name] = true
	}
	for _, j := range gone {
		if !stays[j.Name] {
			a.deliver(metric.Batch{Job: j.Name, Time: time.Now()})
			a.mu.Lock()
			delete(a.latest, j.Name)
			a.mu.Unlock()
		}
	}
}
