package run

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// TestReload holds that jobs and sinks that a new plan does not change go on with their state, that what it drops ends,
// and that a sink that is new learns at once what jobs show.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keep, gone, changed, next := newScripted(nil), newScripted(nil), newScripted(nil), newScripted(nil)
		page, late := &shelf{}, &shelf{}
		reload := make(chan Plan)
		agent := newAgent()
		stop := start(t, agent, Plan{
			Concurrency: 4,
			Jobs:        []Job{planJob(t, "keep", "@every 10s", keep), planJob(t, "gone", "@every 10s", gone), planJob(t, "changed", "@every 10s", changed)},
			Sinks:       []Sink{planSink("page", page)},
		}, reload)
		time.Sleep(45 * time.Second)
		again := planJob(t, "changed", "@every 20s", next)
		again.Key = "another"
		reload <- Plan{
			Concurrency: 4,
			Jobs:        []Job{planJob(t, "keep", "@every 10s", newScripted(nil)), again},
			Sinks:       []Sink{planSink("page", &shelf{}), planSink("late", late)},
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for name, s := range map[string]*shelf{"page": page, "late": late} {
			shows := s.shows()
			if len(shows) != 2 || shows["keep"] != 5 || shows["changed"] != 6 { // five ticks before, one after
				t.Errorf("after the reload %s shows %v", name, shows)
			}
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := page.shows()["keep"]; got != 6 {
			t.Errorf("the job that stays shows %v, want 6", got)
		}
		if gone.ticks != 5 || changed.ticks != 5 {
			t.Errorf("jobs that went have had %d and %d ticks, want 5", gone.ticks, changed.ticks)
		}
		agent.ReloadFailed()
		if agent.State().ReloadGood {
			t.Error("a reload that failed is not told")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestReloadKeepsTotals holds that a job that changes, but measures the same, goes on counting; and that one that measures
// something else does not.
func TestReloadKeepsTotals(t *testing.T) {
	for _, same := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			before, after := newScripted(nil), newScripted(nil)
			if !same {
				after.desc.Const = []metric.Label{{Name: "v", Value: "2"}}
			}
			page, reload := &shelf{}, make(chan Plan)
			plan := func(key, spec string, s *scripted) Plan {
				j := planJob(t, "j", spec, s)
				j.Key = key
				return Plan{Concurrency: 1, Jobs: []Job{j}, Sinks: []Sink{planSink("page", page)}}
			}
			stop := start(t, newAgent(), plan("a", "@every 10s", before), reload)
			time.Sleep(25 * time.Second) // ticks at 0, 10 and 20
			reload <- plan("b", "@every 20s", after)
			time.Sleep(30 * time.Second) // ticks at 25 and 45
			synctest.Wait()
			want := map[bool]float64{true: 5, false: 2}[same]
			if got := page.shows()["j"]; got != want {
				t.Errorf("with the same metric: %v; it shows %v, want %v", same, got, want)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := &shelf{}
		out, err := newAgent().Once(t.Context(), Plan{
			Concurrency: 1, Jobs: []Job{planJob(t, "a", "@daily", newScripted(nil)), planJob(t, "b", "@daily", newScripted(nil))},
			Sinks: []Sink{planSink("page", page)},
		}, time.Minute)
		if err != nil || len(out.Undelivered) > 0 || !out.Jobs[0].Up || !out.Jobs[1].Up {
			t.Errorf("%v, %+v", err, out)
		}
		if len(page.values) != 2 || !page.drained {
			t.Errorf("delivered %v, drained %v", page.values, page.drained)
		}
	})
}
