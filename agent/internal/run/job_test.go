package run

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/internal/schedule"
)

// seconds returns the times of the source's ticks, in seconds after the first tick.
func (s *scripted) seconds() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []int
	for _, at := range s.times {
		all = append(all, int(at.Sub(s.times[0]).Seconds()))
	}
	return all
}

func equal(t *testing.T, what string, got, want []int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
}

// TestOverlap checks the three policies with a tick that takes 25 s, although a tick is due every 10 s.
func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		policy    schedule.Overlap
		times     []int
		succeeded int
		skipped   int64
	}{
		{schedule.Skip, []int{0, 10, 40, 50, 60}, 5, 2},
		{schedule.Queue, []int{0, 10, 35, 40, 50, 60}, 6, 1},
		{schedule.Cancel, []int{0, 10, 20, 30, 40, 50, 60}, 6, 0},
	} {
		t.Run(c.policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cause error
				source := newScripted(func(ctx context.Context, n int) error {
					if n != 1 {
						return nil
					}
					select {
					case <-time.After(25 * time.Second):
						return nil
					case <-ctx.Done():
						cause = context.Cause(ctx)
						return cause
					}
				})
				job := planJob(t, "slow", "@every 10s", source)
				job.Overlap = c.policy
				agent := newAgent()
				stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{job}}, nil)
				time.Sleep(65 * time.Second)
				state := agent.State().Jobs[0]
				if err := stop(); err != nil {
					t.Error(err)
				}
				equal(t, "times of ticks", source.seconds(), c.times)
				if source.succeeded != c.succeeded || state.Ticks[Skipped] != c.skipped {
					t.Errorf("%d succeeded, %d skipped; want %d and %d", source.succeeded, state.Ticks[Skipped], c.succeeded, c.skipped)
				}
				if c.policy == schedule.Cancel && !errors.Is(cause, errOverlap) {
					t.Errorf("the tick ended with %v, want %v", cause, errOverlap)
				}
			})
		})
	}
}

// TestValidFor checks that the values of a failing job stay for two intervals, then end, and come back with their totals.
func TestValidFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newScripted(func(_ context.Context, n int) error {
			if n >= 2 && n < 7 {
				return errors.New("502 Bad Gateway")
			}
			return nil
		})
		page := &shelf{}
		stop := start(t, newAgent(), Plan{Concurrency: 1, Jobs: []Job{planJob(t, "j", "@every 10s", source)}, Sinks: []Sink{planSink("page", page)}}, nil)
		for _, c := range []struct {
			at   time.Duration
			want float64 // 0 = not shown
		}{{15, 2}, {25, 2}, {29, 2}, {31, 0}, {65, 0}, {75, 3}} {
			time.Sleep(time.Until(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(c.at * time.Second)))
			synctest.Wait()
			if got := page.shows()["j"]; got != c.want {
				t.Errorf("after %ds it shows %v, want %v", c.at, got, c.want)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under, most := 0, 0
		places := make(chan struct{}, 1)
		places <- struct{}{}
		var jobs []Job
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			jobs = append(jobs, planJob(t, name, "@every 60s", newScripted(func(context.Context, int) error {
				<-places
				under++
				most = max(most, under)
				places <- struct{}{}
				time.Sleep(time.Second)
				<-places
				under--
				places <- struct{}{}
				return nil
			})))
		}
		stop := start(t, newAgent(), Plan{Concurrency: 2, Jobs: jobs}, nil)
		time.Sleep(30 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if most != 2 {
			t.Errorf("%d ticks were under way at once, want 2", most)
		}
	})
}

// TestStop checks that a tick under way may finish within its grace, and that what the tick has measured is still delivered. A tick that
// does not end by itself is ended.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick := newScripted(func(context.Context, int) error { time.Sleep(3 * time.Second); return nil })
		var cause error
		hung := newScripted(func(ctx context.Context, _ int) error { <-ctx.Done(); cause = context.Cause(ctx); return cause })
		page := &shelf{}
		stop := start(t, newAgent(), Plan{
			Concurrency: 2,
			Jobs:        []Job{planJob(t, "quick", "@every 60s", quick), planJob(t, "hung", "@every 60s", hung)},
			Sinks:       []Sink{planSink("page", page)},
		}, nil)
		time.Sleep(time.Second)
		asked := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(asked); took != jobGrace {
			t.Errorf("stopping took %s, want %s", took, jobGrace)
		}
		if page.values["quick"] != 1 || !page.drained {
			t.Errorf("what was measured last was not delivered: %v, drained %v", page.values, page.drained)
		}
		if !errors.Is(cause, errStopped) {
			t.Errorf("the hung tick ended with %v", cause)
		}
	})
}
