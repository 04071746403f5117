package run

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata"
)

// weekJob is one of the jobs of the week. It says what the job does on which ticks, and what the result must be.
type weekJob struct {
	name, spec string
	from, to   time.Time
	source     *scripted
}

// Every 11th tick of a job hangs until its time-out, every 7th panics, every 5th fails.
func (j *weekJob) hangs(n int) bool  { return n%11 == 10 }
func (j *weekJob) fails(n int) bool  { return j.hangs(n) || n%7 == 6 || n%5 == 4 }
func (j *weekJob) panics(n int) bool { return n%7 == 6 }
func newWeekJob(i int, from time.Time) *weekJob {
	specs := []string{"@every 60s", "@every 20s", "@every 7m", "*/10 * * * *", "30 2 * * *", "0 */6 * * *", "@hourly", "@every 1h1s", "15 3 * * sun", "*/15 9-17 * * mon-fri"}
	j := &weekJob{name: fmt.Sprintf("job-%02d", i), spec: specs[i%len(specs)], from: from}
	if i > 10 && i < 100 && i%10 < 2 {
		j.spec = "@every 5m" // enough jobs are due more often
	}
	j.source = newScripted(func(ctx context.Context, n int) error {
		switch {
		case j.hangs(n):
			<-ctx.Done()
			return context.Cause(ctx)
		case j.panics(n):
			panic("a bug in a source")
		case j.fails(n):
			return errors.New("503 Service Unavailable")
		}
		return nil
	})
	return j
}

// model returns how many ticks the job must have had, and how many of them must have succeeded, computed from the calendar:
// there is a tick at each due time that does not fall into a tick that hangs.
func (j *weekJob) model(t *testing.T) (ticks, succeeded int) {
	when := planJob(t, j.name, j.spec, j.source).Schedule
	due, busy := j.from, time.Time{}
	if _, every := when.Every(); !every {
		due = when.Next(j.from)
	}
	for ; !due.After(j.to); due = when.Next(due) {
		if due.Before(busy) {
			continue
		}
		if !j.fails(ticks) {
			succeeded++
		}
		if j.hangs(ticks) {
			busy = due.Add(30 * time.Second)
		}
		ticks++
	}
	return ticks, succeeded
}

// TestWeek checks the ticks of 50 jobs in a week with the night in which the clock goes forward. A reload in the middle
// replaces ten of the jobs.
func TestWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2000, 3, 22, 12, 0, 0, 0, time.UTC)))
		begin := time.Now()
		middle, end := begin.Add(3*24*time.Hour+17*time.Second), begin.Add(7*24*time.Hour+31*time.Second)
		page := &shelf{}
		var before, after []*weekJob
		for i := range 50 {
			j := newWeekJob(i, begin)
			before = append(before, j)
			if i < 40 {
				after = append(after, j)
				j.to = end
				continue
			}
			j.to = middle
			next := newWeekJob(i+100, middle)
			next.to = end
			after = append(after, next)
		}
		plan := func(jobs []*weekJob) Plan {
			p := Plan{Concurrency: 64, Sinks: []Sink{planSink("page", page)}}
			for _, j := range jobs {
				p.Jobs = append(p.Jobs, planJob(t, j.name, j.spec, j.source))
			}
			return p
		}
		reload := make(chan Plan)
		agent := newAgent()
		stop := start(t, agent, plan(before), reload)
		time.Sleep(time.Until(middle))
		reload <- plan(after)
		time.Sleep(time.Until(end))
		synctest.Wait()
		state := agent.State()
		if err := stop(); err != nil {
			t.Error(err)
		}
		for _, j := range append(before[40:], after...) {
			ticks, succeeded := j.model(t)
			if j.source.ticks != ticks || j.source.succeeded != succeeded {
				t.Errorf("%s %q: %d ticks, %d of them succeeded; want %d and %d", j.name, j.spec, j.source.ticks, j.source.succeeded, ticks, succeeded)
			}
		}
		shows := page.shows()
		for i, j := range after {
			_, succeeded := j.model(t)
			if got := shows[j.name]; got != 0 && got != float64(succeeded) || got == 0 && state.Jobs[i].Up {
				t.Errorf("%s shows %v, want %v", j.name, got, succeeded)
			}
		}
		if len(shows) > 50 {
			t.Errorf("%d jobs are shown: those that went with the reload are still there", len(shows))
		}
	})
}
