package run

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// ownShelf notes the agent's own batches: when they came, and the series of the last one.
type ownShelf struct {
	mu    sync.Mutex
	times []time.Time
	last  []string
}

func (s *ownShelf) Write(_ context.Context, b metric.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Job != Self {
		return nil
	}
	s.times = append(s.times, b.Time)
	s.last = nil
	for _, f := range b.Families {
		for _, series := range f.Series {
			s.last = append(s.last, fmt.Sprint(f.Desc.Name, series.Labels))
		}
	}
	return nil
}

func (s *ownShelf) shows() (series []string, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.last), len(s.times)
}

// computeOwn computes a metric of the agent, one of each job and one of each sink.
func computeOwn(s State) metric.Readings {
	agent := metric.Measured{Desc: &metric.Desc{Name: "agent"}, Rows: []metric.Reading{{Value: 1}}}
	jobs := metric.Measured{Desc: &metric.Desc{Name: "job", LabelNames: []string{JobLabel}}}
	outs := metric.Measured{Desc: &metric.Desc{Name: "out", LabelNames: []string{SinkLabel}}}
	for _, j := range s.Jobs {
		jobs.Rows = append(jobs.Rows, metric.Reading{Labels: []string{j.Name}, Value: 1})
	}
	for _, out := range s.Sinks {
		outs.Rows = append(outs.Rows, metric.Reading{Labels: []string{out.Name}, Value: 1})
	}
	return metric.Readings{agent, jobs, outs}
}

// ownPlan returns a plan with two jobs of two tenants, each with a sink of its own, and a sink that gets both.
func ownPlan(t *testing.T, shelves map[string]*ownShelf) Plan {
	a, b := planJob(t, "job-a", "@every 1h", newScripted(nil)), planJob(t, "job-b", "@every 1h", newScripted(nil))
	a.Sinks, b.Sinks = []string{"a", "both"}, []string{"b", "both"}
	plan := Plan{Concurrency: 1, Jobs: []Job{a, b}}
	for _, name := range []string{"a", "b", "both"} {
		shelves[name] = &ownShelf{}
		plan.Sinks = append(plan.Sinks, planSink(name, shelves[name]))
	}
	return plan
}

// TestOwnMetricsOfShards checks a sink which gets all jobs of this shard, but not all jobs of the other shards. Of the own metrics, it
// gets only those about its jobs, about itself and about the agent.
func TestOwnMetricsOfShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelves := map[string]*ownShelf{}
		plan := ownPlan(t, shelves)
		plan.Jobs = plan.Jobs[:1] // the job of tenant b is in another shard
		plan.Own.Partial = []string{"a", "b"}
		agent := newAgent()
		agent.own = newOwn(agent, func(s State) metric.Readings {
			return append(computeOwn(s), metric.Measured{Desc: &metric.Desc{Name: AllJobs}, Rows: []metric.Reading{{Value: 2}}})
		}, agent.clock)
		stop := start(t, agent, plan, nil)
		time.Sleep(time.Second)
		synctest.Wait()
		for name, want := range map[string]string{
			"a": `agent job{cton_job="job-a"} out{sink="a"}`, "b": `agent out{sink="b"}`,
			"both": `agent job{cton_job="job-a"} out{sink="a"} out{sink="b"} out{sink="both"} ` + AllJobs,
		} {
			series, _ := shelves[name].shows()
			if got := strings.Join(series, " "); got != want {
				t.Errorf("sink %s gets %s, want %s", name, got, want)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestOwnMetricsOfTenants checks that no sink learns of a job or sink of another tenant, and that named sinks get everything.
func TestOwnMetricsOfTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelves := map[string]*ownShelf{}
		plan := ownPlan(t, shelves)
		agent := newAgent()
		agent.own = newOwn(agent, computeOwn, agent.clock)
		reload := make(chan Plan)
		stop := start(t, agent, plan, reload)
		want := func(when, sink, series string) {
			t.Helper()
			got, _ := shelves[sink].shows()
			if slices.Sort(got); strings.Join(got, " ") != series {
				t.Errorf("%s: %s has %q, want %q", when, sink, got, series)
			}
		}
		time.Sleep(2 * time.Second)
		want("by default", "a", `agent job{cton_job="job-a"} out{sink="a"}`)
		want("by default", "b", `agent job{cton_job="job-b"} out{sink="b"}`)
		const all = `agent job{cton_job="job-a"} job{cton_job="job-b"} out{sink="a"} out{sink="b"} out{sink="both"}`
		want("by default", "both", all)
		plan.Own.Sinks = []string{"b"}
		reload <- plan
		time.Sleep(2 * time.Second)
		want("named", "a", "") // its series have ended
		want("named", "b", all)
		want("named", "both", "")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestOwnMetricsInterval checks how often the agent's own metrics go to a sink that pushes, and to a page.
func TestOwnMetricsInterval(t *testing.T) {
	for _, c := range []struct {
		interval     time.Duration
		push, scrape int // batches in an hour, the one after the start and the last one included
	}{
		{0, 30, 240},
		{10 * time.Minute, 6, 240},
		{5 * time.Second, 720, 720},
	} {
		synctest.Test(t, func(t *testing.T) {
			pushed, page := &ownShelf{}, &ownShelf{}
			plan := Plan{Concurrency: 1, Sinks: []Sink{planSink("push", pushed), planSink("page", page)}, Own: OwnMetrics{Interval: c.interval}}
			plan.Sinks[1].Pull = true
			stop := start(t, newAgent(), plan, nil)
			time.Sleep(time.Hour)
			synctest.Wait()
			for _, s := range []struct {
				shelf *ownShelf
				want  int
			}{{pushed, c.push}, {page, c.scrape}} {
				if _, got := s.shelf.shows(); got < s.want || got > s.want+2 {
					t.Errorf("every %s: %d batches, want %d", c.interval, got, s.want)
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOwnMetricsWithoutPage checks that the agent's own metrics are not computed more often than a sink gets them.
func TestOwnMetricsWithoutPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		computed := 0
		agent := New(Options{
			Log:  slog.New(slog.DiscardHandler),
			Self: func(State) metric.Readings { computed++; return nil },
		})
		stop := start(t, agent, Plan{Concurrency: 1, Sinks: []Sink{planSink("push", &ownShelf{})}}, nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if computed < 30 || computed > 32 {
			t.Errorf("computed %d times in an hour, want 30", computed)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
