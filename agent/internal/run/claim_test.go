package run

import (
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
)

// beginShared is begin for an agent that has the state file together with others.
func beginShared(t *testing.T, path, spec string, r *registry, s *last) *life {
	t.Helper()
	l := &life{}
	log := slog.New(slog.NewTextHandler(&l.log, nil))
	file, problems, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: log, Shared: true})
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	l.file = file
	l.agent = New(Options{Log: log, Self: func(State) metric.Readings { return nil }, State: file})
	job := planJob(t, "job", spec, r.source())
	job.Log = log
	l.stop = start(t, l.agent, Plan{Concurrency: 1, Jobs: []Job{job}, Sinks: []Sink{planSink("last", s)}}, nil)
	return l
}

// TestHandedOver starts an agent for a job that another still runs, again and again, as a rollout does. The new one waits and says so.
// When the old one has stopped, it goes on from there: no total steps back, and all come out as what has happened.
func TestHandedOver(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 0))
			path, r, s := filepath.Join(t.TempDir(), "state"), &registry{}, &last{}
			pass := func() {
				for range dice.IntN(8) {
					time.Sleep(time.Duration(1 + dice.IntN(20_000_000_000)))
					r.happen()
				}
			}
			l := beginShared(t, path, "@every 7s", r, s)
			for range 10 {
				pass()
				next := beginShared(t, path, "@every 7s", r, s)
				pass()
				time.Sleep(time.Second)
				synctest.Wait()
				if j := next.agent.State().Jobs[0]; j.Up || !strings.Contains(j.Error, "in use by process") || j.Ticks[Succeeded] > 0 {
					t.Fatalf("two agents run the job: %+v", j)
				}
				l.end(t)
				pass()
				time.Sleep(9 * time.Second)
				synctest.Wait()
				if j := next.agent.State().Jobs[0]; !j.Up || !strings.Contains(next.log.String(), "recovered") {
					t.Fatalf("the job does not run: %+v\n%s", j, &next.log)
				}
				l = next
			}
			time.Sleep(8 * time.Second)
			synctest.Wait()
			want := r.count()
			if events, increments := s.get("events_total"), s.get("increments_total"); events != want || increments != want || int(s.sum) != want {
				t.Errorf("seed %d: %d events, %d increments and changes of %v are counted, %d have happened\n%s", seed, events, increments, s.sum, want, &l.log)
			}
			if back := s.stepsBack(); len(back) > 0 {
				t.Errorf("seed %d: %q", seed, back)
			}
			l.end(t)
		})
	}
}

// TestReloadHandsOver holds that a job which a reload removes is given up, and one that it adds or changes is locked.
func TestReloadHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		open := func() *state.File {
			file, _, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler), Shared: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(file.Close)
			return file
		}
		file, other := open(), open()
		free := func(job string) bool {
			unlock, err := other.LockJob(expired(t), job)
			if err != nil {
				return false
			}
			unlock()
			return true
		}
		agent := New(Options{Log: slog.New(slog.DiscardHandler), Self: func(State) metric.Readings { return nil }, State: file})
		a, b := planJob(t, "a", "@every 1m", newScripted(nil)), planJob(t, "b", "@every 1m", newScripted(nil))
		changed := planJob(t, "b", "@every 1m", newScripted(nil))
		changed.Key = "changed"
		sink := planSink("out", &shelf{})
		plans := make(chan Plan)
		stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{a, b}, Sinks: []Sink{sink}}, plans)
		synctest.Wait()
		for _, step := range []struct {
			jobs  []Job
			freeA bool
			freeB bool
		}{{[]Job{a, b}, false, false}, {[]Job{changed}, true, false}, {[]Job{a, changed}, false, false}} {
			plans <- Plan{Concurrency: 1, Jobs: step.jobs, Sinks: []Sink{sink}}
			time.Sleep(time.Second)
			synctest.Wait()
			if free("a") != step.freeA || free("b") != step.freeB {
				t.Errorf("with %d jobs: a is free: %v, b: %v", len(step.jobs), free("a"), free("b"))
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if !free("a") || !free("b") {
			t.Error("the jobs are locked after the end")
		}
	})
}
