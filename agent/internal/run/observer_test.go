package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// witness is an observer that keeps what it sees in words.
type witness struct {
	mu   sync.Mutex
	seen []string
}

func (w *witness) Ran(e Ended) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, strings.TrimSpace(fmt.Sprintf("%s %s %s %d %s", e.Job, e.Result, e.Took, len(e.Families), e.Error)))
}

func (w *witness) words() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.seen, "\n")
}

func observed() (*witness, *Agent) {
	w := &witness{}
	return w, New(Options{Log: slog.New(slog.DiscardHandler), Self: func(State) metric.Readings { return nil }, Observer: w})
}

// TestObserver checks what an observer sees of runs that succeed, fail and are skipped.
func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newScripted(func(_ context.Context, n int) error {
			switch n {
			case 1:
				return errors.New("503")
			case 2:
				time.Sleep(25 * time.Second)
			}
			return nil
		})
		w, agent := observed()
		stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{planJob(t, "api", "@every 10s", source)}}, nil)
		time.Sleep(time.Second)
		if s := agent.State().Jobs[0]; s.Running || !s.Up {
			t.Errorf("after a run: %+v", s)
		}
		time.Sleep(24 * time.Second)
		if s := agent.State().Jobs[0]; !s.Running {
			t.Error("an active run is not in the state")
		}
		time.Sleep(24 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		want := "api success 0s 1\napi error 0s 0 503\napi success 25s 1\napi skipped 0s 0\napi skipped 0s 0"
		if got := w.words(); got != want {
			t.Errorf("seen:\n%s\nwant\n%s", got, want)
		}
	})
}

// TestWaitedForSlot checks that an observer sees how long a run has waited for others, whether the run succeeds or fails.
func TestWaitedForSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := newScripted(func(context.Context, int) error { time.Sleep(25 * time.Second); return nil })
		fails := newScripted(func(context.Context, int) error { return errors.New("503") })
		waited := map[string]time.Duration{}
		agent := New(Options{Log: slog.New(slog.DiscardHandler), Self: func(State) metric.Readings { return nil }, Observer: observerFunc(func(e Ended) {
			waited[e.Job+" "+e.Result] = e.Waited
		})})
		stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{
			planJob(t, "slow", "@every 40s", slow), planJob(t, "well", "* * * * *", newScripted(nil)), planJob(t, "failing", "* * * * *", fails),
		}}, nil)
		time.Sleep(70 * time.Second) // the slow one runs from 40 s to 65 s, the others are due after 60 s
		if err := stop(); err != nil {
			t.Error(err)
		}
		if want := map[string]time.Duration{"slow success": 0, "well success": 5 * time.Second, "failing error": 5 * time.Second}; !maps.Equal(waited, want) {
			t.Errorf("waited %v, want %v", waited, want)
		}
	})
}

// observerFunc is an observer that is a function.
type observerFunc func(Ended)

func (f observerFunc) Ran(e Ended) { f(e) }

// TestByHand checks that a user can run a job that is not due, and can pause the job. A reload does not end the pause.
func TestByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newScripted(nil)
		w, agent := observed()
		reload := make(chan Plan)
		plan := Plan{Concurrency: 1, Jobs: []Job{planJob(t, "api", "0 * * * *", source)}}
		stop := start(t, agent, plan, reload)
		begin := time.Now() // at midnight UTC
		time.Sleep(10 * time.Minute)
		if !agent.RunNow("api") || agent.RunNow("other") {
			t.Error("RunNow finds other jobs")
		}
		time.Sleep(time.Hour) // it is also due at 01:00
		agent.Pause("api", true)
		again := planJob(t, "api", "0 * * * *", source)
		again.Key = "changed"
		reload <- Plan{Concurrency: 1, Jobs: []Job{again}}
		time.Sleep(time.Hour) // not at 02:00
		agent.RunNow("api")   // at 02:10
		time.Sleep(time.Minute)
		if s := agent.State().Jobs[0]; !s.Paused || s.Ticks[Skipped] != 1 || s.Ticks[Succeeded] != 3 {
			t.Errorf("paused: %+v", s)
		}
		if !agent.Pause("api", false) || agent.Pause("other", true) {
			t.Error("Pause finds other jobs")
		}
		time.Sleep(time.Hour) // at 03:00
		if err := stop(); err != nil {
			t.Error(err)
		}
		var at []time.Duration
		for _, when := range source.times {
			at = append(at, when.Sub(begin))
		}
		if want := []time.Duration{10 * time.Minute, time.Hour, 130 * time.Minute, 3 * time.Hour}; !slices.Equal(at, want) {
			t.Errorf("ran at %v, want %v", at, want)
		}
		if want := "api success 0s 1\napi success 0s 1\napi skipped 0s 0\napi success 0s 1\napi success 0s 1"; w.words() != want {
			t.Errorf("seen:\n%s\nwant\n%s", w.words(), want)
		}
	})
}

// lateOpener is a sink that is open after a while.
type lateOpener struct {
	shelf
	open time.Time
}

func (s *lateOpener) Ready() error {
	if time.Now().Before(s.open) {
		return errors.New("not yet")
	}
	return nil
}

// TestReady checks that an agent is ready when its plan is loaded and its sinks are open. An agent need not wait for the runs of its jobs.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &lateOpener{open: time.Now().Add(10 * time.Second)}
		_, agent := observed()
		if err := agent.Ready(); err == nil {
			t.Error("ready before the start")
		}
		stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{planJob(t, "nightly", "0 3 * * *", newScripted(nil))}, Sinks: []Sink{planSink("page", sink)}}, nil)
		time.Sleep(5 * time.Second)
		if err := agent.Ready(); err == nil || err.Error() != "sink page: not yet" {
			t.Errorf("after 5 s: %v", err)
		}
		time.Sleep(6 * time.Second)
		if err := agent.Ready(); err != nil {
			t.Error(err)
		}
		if p := agent.Plan(); len(p.Jobs) != 1 || len(p.Sinks) != 1 || p.Jobs[0].Name != "nightly" {
			t.Errorf("the plan is %+v", p)
		}
		if _, ok := agent.Latest("nightly"); ok {
			t.Error("there is a batch of a job that has not run")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
