package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// TestReload checks a reload. Unchanged jobs and sinks keep their state, the series of removed jobs end, and a new sink gets the current
// batches at once.
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
		agent.ReloadFailed(errors.New("wrong"))
		if agent.State().ReloadGood {
			t.Error("a failed reload is not in the state")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestReloadKeepsTotals checks a job that a reload has changed. If it measures the same metrics, its totals continue. If it measures something
// else, its totals start from zero.
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
			time.Sleep(25 * time.Second)          // ticks at 0, 10 and 20
			reload <- plan("a2", "@daily", after) // and replaced again before it has ticked
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

// TestSinksOfAJob checks that a job's batches go only to the sinks that the job names. When a reload replaces one of these names by
// another, the job's series end at once in the sink that is no longer named, and are shown in the new one.
func TestSinksOfAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left, right, all := &shelf{}, &shelf{}, newScripted(nil)
		one, next, reload := newScripted(nil), newScripted(nil), make(chan Plan)
		plan := func(key string, s *scripted, names ...string) Plan {
			j := planJob(t, "one", "@every 10s", s)
			j.Key, j.Sinks = key, names
			return Plan{
				Concurrency: 2, Jobs: []Job{j, planJob(t, "all", "@daily", all)},
				Sinks: []Sink{planSink("left", left), planSink("right", right)},
			}
		}
		expect := func(when string, s *shelf, jobs ...string) {
			t.Helper()
			synctest.Wait()
			if shows := s.shows(); !slices.Equal(slices.Sorted(maps.Keys(shows)), jobs) {
				t.Errorf("%s: it shows %v, want %v", when, shows, jobs)
			}
		}
		stop := start(t, newAgent(), plan("a", one, "left"), reload)
		time.Sleep(24 * time.Hour)
		expect("left", left, "all", "one")
		expect("left", right, "all")
		next.do = func(context.Context, int) error { return errors.New("not yet") }
		reload <- plan("b", next, "right")
		time.Sleep(time.Millisecond)
		expect("right", left, "all")
		expect("right", right, "all", "one")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestReloadOfASink checks a sink that a reload removes, and that takes long to stop. Nothing is lost in the meantime.
func TestReloadOfASink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newScripted(nil)
		slow := &shelf{fail: func(int) error { return errors.New("connection refused") }}
		next, reload := &shelf{}, make(chan Plan)
		plan := func(key string, s *shelf) Plan {
			sink := planSink("gateway", s)
			sink.Key = key
			return Plan{Concurrency: 1, Jobs: []Job{planJob(t, "j", "@every 1s", source)}, Sinks: []Sink{sink}}
		}
		stop := start(t, newAgent(), plan("a", slow), reload)
		time.Sleep(5500 * time.Millisecond)
		reload <- plan("b", next)
		time.Sleep(20 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		// The new sink gets the last batch from before the reload, and all batches since then.
		if want := source.ticks - 5; len(next.batches) != want {
			t.Errorf("the new sink has %d batches, want %d", len(next.batches), want)
		}
	})
}

// TestValidUntil checks that values stay valid for the two intervals after the last successful tick, even if these intervals differ in
// length.
func TestValidUntil(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	friday := time.Date(2026, 3, 6, 9, 0, 1, 0, zone)
	for spec, want := range map[string]time.Time{
		"0 9 * * mon-fri": time.Date(2026, 3, 10, 9, 0, 0, 0, zone), // Tuesday: Monday may fail
		"0 9,10 * * *":    time.Date(2026, 3, 7, 9, 0, 0, 0, zone),
		"@every 60s":      friday.Add(2 * time.Minute),
	} {
		j := planJob(t, "j", spec, nil)
		if got := j.ValidUntil(friday); !got.Equal(want) {
			t.Errorf("%s: valid until %s, want %s", spec, got, want)
		}
		j.Delay = 10 * time.Second
		if got := j.ValidUntil(friday.Add(j.Delay)); !got.Equal(want.Add(j.Delay)) {
			t.Errorf("%s with jitter: valid until %s", spec, got)
		}
	}
}

// TestLongAsleep checks that the agent does not go through every missed tick after the machine was suspended for decades.
func TestLongAsleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newAgent().newJob(planJob(t, "j", "* * * * *", newScripted(nil)))
		j.due = time.Now().Add(-30 * 365 * 24 * time.Hour)
		j.afterTick(false)
		if pause := time.Until(j.due); pause <= 0 || pause > time.Minute {
			t.Errorf("due in %s", pause)
		}
	})
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

// away is a sink whose receiver refuses connections until a time.
type away struct{ until time.Time }

func (a away) Write(context.Context, metric.Batch) error {
	if time.Now().Before(a.until) {
		return errors.New("connection refused")
	}
	return nil
}

// TestOnceSaysWhatItWaitsFor checks a run that waits for a sink. After some seconds it says so. If it waits for a shorter time, it says
// nothing.
func TestOnceSaysWhatItWaitsFor(t *testing.T) {
	for delay, want := range map[time.Duration]int{0: 0, 100 * time.Millisecond: 0, time.Hour: 1} {
		synctest.Test(t, func(t *testing.T) {
			var log lockedBuffer
			agent := newAgent()
			agent.log = slog.New(slog.NewTextHandler(&log, nil))
			_, err := agent.Once(t.Context(), Plan{
				Concurrency: 1, Jobs: []Job{planJob(t, "a", "@daily", newScripted(nil))},
				Sinks: []Sink{planSink("page", &shelf{}), planSink("gateway", away{time.Now().Add(delay)})},
			}, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			line := `waiting for sinks that have not delivered everything: cton ends when they have, and after at_most (--deadline)" sinks=gateway at_most=1m0s`
			if n := strings.Count(log.String(), line); n != want {
				t.Errorf("receiver away for %s: said %d times, want %d: %s", delay, n, want, &log)
			}
		})
	}
}

// hung is a sink whose receiver does not answer.
type hung struct{ saved bool }

func (h hung) Write(ctx context.Context, _ metric.Batch) error {
	<-ctx.Done()
	err := fmt.Errorf("push to gateway: %w", context.Cause(ctx))
	if h.saved {
		return sinks.Saved(err)
	}
	return err
}

// TestOnceSaysWhoHangs checks that a run that ends before a receiver has answered says so, and whether the batch is safe.
func TestOnceSaysWhoHangs(t *testing.T) {
	for want, saved := range map[string]bool{
		`level=ERROR msg="not delivered before the end: it waits on disk for the next process" error="push to gateway: no answer within 20s"`: true,
		`level=ERROR msg="not delivered before the end, and it is not on disk" error="push to gateway: no answer within 20s"`:                 false,
	} {
		synctest.Test(t, func(t *testing.T) {
			var log lockedBuffer
			sink := planSink("gateway", hung{saved})
			sink.Log = slog.New(slog.NewTextHandler(&log, nil))
			out, err := newAgent().Once(t.Context(), Plan{
				Concurrency: 1, Jobs: []Job{planJob(t, "a", "@daily", newScripted(nil))}, Sinks: []Sink{sink},
			}, 20*time.Second)
			if err != nil || len(out.Undelivered) != 1 {
				t.Errorf("%v, %q", err, out.Undelivered)
			}
			if text := log.String(); strings.Count(text, want) != 1 || strings.Count(text, "level=") != 1 {
				t.Errorf("want once %s, logged:\n%s", want, text)
			}
		})
	}
}

// TestOnceStopped checks the reason that is given for a job that did not run because another process ran it: its timeout has passed, or
// this process was stopped earlier.
func TestOnceStopped(t *testing.T) {
	for stopped, want := range map[bool]string{
		true:  "and cton was stopped while it waited",
		false: "which has not finished within 30s (timeout)",
	} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			options := state.Options{Shared: true, Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)}
			other, _, err := state.Open(t.Context(), path, options)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			unlock, err := other.LockJob(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			defer unlock()
			own, _, err := state.Open(t.Context(), path, options)
			if err != nil {
				t.Fatal(err)
			}
			defer own.Close()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if stopped {
				time.AfterFunc(time.Second, stop)
			}
			agent := newAgent()
			agent.state = own
			out, err := agent.Once(ctx, Plan{Concurrency: 1, Jobs: []Job{planJob(t, "a", "@daily", newScripted(nil))}}, time.Minute)
			if err != nil || len(out.Busy) != 1 || !strings.HasSuffix(out.Busy[0], want) {
				t.Errorf("%v, %q, want %s", err, out.Busy, want)
			}
		})
	}
}

// TestNewSinkGetsCurrentTime checks that a new sink gets the batch of a slow job with the current time. The old sink, which the new one
// replaces, may have sent the batch again, with a time later than the batch's own.
func TestNewSinkGetsCurrentTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, reload := &shelf{}, make(chan Plan)
		source := newScripted(nil)
		plan := func(key string, s *shelf) Plan {
			sink := planSink("mimir", s)
			sink.Key = key
			return Plan{Concurrency: 1, Jobs: []Job{planJob(t, "j", "@every 1h", source)}, Sinks: []Sink{sink}}
		}
		stop := start(t, newAgent(), plan("a", &shelf{}), reload)
		time.Sleep(10 * time.Minute)
		reload <- plan("b", next)
		time.Sleep(time.Second)
		synctest.Wait()
		if age := time.Since(next.batches[0].Time); age > 5*time.Second {
			t.Errorf("the new sink is given samples of %s ago", age)
		}
		stop()
	})
}

// TestReloadOfAnotherAddress checks a job that fetches something else after a reload. Its new totals do not continue the old ones, and this
// is logged once.
func TestReloadOfAnotherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, page, reload := newScripted(nil), &shelf{}, make(chan Plan)
		var log lockedBuffer
		plan := func(address string) Plan {
			j := planJob(t, "j", "@every 10s", source)
			j.Key, j.Fetches, j.Log = address, address, slog.New(slog.NewTextHandler(&log, nil))
			return Plan{Concurrency: 1, Jobs: []Job{j}, Sinks: []Sink{planSink("page", page)}}
		}
		stop := start(t, newAgent(), plan("https://a.example"), reload)
		time.Sleep(25 * time.Second) // ticks at 0, 10 and 20
		reload <- plan("https://b.example")
		time.Sleep(5 * time.Second) // a tick at 25
		synctest.Wait()
		if got := page.shows()["j"]; got != 1 {
			t.Errorf("after the reload the total is %v, want 1", got)
		}
		if n := strings.Count(log.String(), "its totals start from zero"); n != 1 {
			t.Errorf("said %d times that the totals start from zero, want once: %s", n, &log)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestTickDuringReload checks the times of two batches: the reload gives one to a new sink, and a tick that runs during the reload makes
// the other. The batch of the tick must be later, although the tick started before the reload.
func TestTickDuringReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newScripted(func(context.Context, int) error { time.Sleep(5 * time.Second); return nil })
		added, reload := &shelf{}, make(chan Plan)
		plan := func(sinks ...Sink) Plan {
			return Plan{Concurrency: 1, Jobs: []Job{planJob(t, "j", "@every 10s", source)}, Sinks: sinks}
		}
		old := planSink("old", &shelf{})
		stop := start(t, newAgent(), plan(old), reload)
		time.Sleep(12 * time.Second) // the tick of 10 runs
		reload <- plan(old, planSink("added", added))
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if len(added.batches) != 2 || !added.batches[1].Time.After(added.batches[0].Time) || added.shows()["j"] != 2 {
			t.Errorf("the new sink has %+v", added.batches)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
