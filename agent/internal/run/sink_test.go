package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

func TestDeliverTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := &shelf{fail: func(n int) error {
			if n < 4 {
				return errors.New("connection refused")
			}
			return nil
		}}
		sink := planSink("gateway", gateway)
		job := planJob(t, "daily", "@daily", newScripted(nil))
		s := newSink(sink, Drain, false)
		s.start(t.Context(), nil)
		s.add(metric.Batch{Job: job.Name, Families: nil})
		time.Sleep(time.Minute)
		s.end()
		if len(gateway.batches) != 1 || sink.Stats.Failed.Load() != 4 || sink.Stats.Retried.Load() != 4 {
			t.Errorf("%d batches, %d failed, %d retried; want 1, 4, 4", len(gateway.batches), sink.Stats.Failed.Load(), sink.Stats.Retried.Load())
		}
	})
}

// TestDeliverNewest checks that a batch that waits for another try is replaced by the next batch of its job.
func TestDeliverNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		gateway := &shelf{fail: func(int) error {
			if time.Since(begin) < time.Minute {
				return errors.New("connection refused")
			}
			return nil
		}}
		source := newScripted(nil)
		stop := start(t, newAgent(), Plan{Concurrency: 1, Jobs: []Job{planJob(t, "j", "@every 10s", source)}, Sinks: []Sink{planSink("gateway", gateway)}}, nil)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := gateway.shows()["j"]; got != float64(source.succeeded) {
			t.Errorf("shows %v, want %d", got, source.succeeded)
		}
		for i := 1; i < len(gateway.batches); i++ {
			if !gateway.batches[i].Time.After(gateway.batches[i-1].Time) {
				t.Errorf("batch %d is older than the one before", i)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestDeliverPermanentAndPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var tries []time.Duration
		gateway := &shelf{fail: func(n int) error {
			tries = append(tries, time.Since(begin))
			switch n {
			case 0:
				return sinks.After(errors.New("429"), 20*time.Second)
			case 1:
				return sinks.Permanent(errors.New("400"))
			}
			return nil
		}}
		plan := planSink("gateway", gateway)
		var log strings.Builder
		plan.Log = slog.New(slog.NewTextHandler(&log, nil))
		s := newSink(plan, Drain, false)
		s.start(t.Context(), nil)
		desc := &metric.Desc{Name: "x", Type: metric.Gauge}
		s.add(metric.Batch{Job: "j", Families: []metric.Family{{Desc: desc, Series: make([]metric.Series, 3)}}})
		time.Sleep(5 * time.Minute)
		s.end()
		if len(tries) != 2 || tries[1] < 20*time.Second {
			t.Errorf("tried at %v, want a pause of 20s and two tries", tries)
		}
		if got := plan.Stats.Dropped()[sinks.Refused]; got != 3 {
			t.Errorf("%d samples counted as refused, want 3", got)
		}
		for _, want := range []string{
			`msg="cannot deliver now: it waits in memory, and is lost if the process ends" error=429`,
			`msg="cannot deliver: trying again would not help, so it is dropped" error=400`,
		} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("want once %s in\n%s", want, &log)
			}
		}
	})
}

// TestDeliverStops checks the end of an agent whose receiver is unreachable. The end is delayed by at most Drain, and the samples that
// the receiver did not get are counted.
func TestDeliverStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := &shelf{fail: func(int) error { return errors.New("connection refused") }}
		plan := planSink("gateway", gateway)
		stop := start(t, newAgent(), Plan{Concurrency: 1, Jobs: []Job{planJob(t, "j", "@every 10m", newScripted(nil))}, Sinks: []Sink{plan}}, nil)
		time.Sleep(time.Second)
		asked := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(asked); took > Drain+time.Second {
			t.Errorf("stopping took %s", took)
		}
		if got := plan.Stats.Dropped()[sinks.Shutdown]; got != 1 {
			t.Errorf("%d samples counted as lost at the end, want 1", got)
		}
	})
}

// broken is a sink whose Run fails.
type broken struct{ shelf }

func (b *broken) Run(context.Context) error { return errors.New("listen on :8000: in use") }

func TestSinkCannotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := newAgent().Run(t.Context(), Plan{Concurrency: 1, Sinks: []Sink{planSink("page", &broken{})}}, nil)
		if err == nil || err.Error() != "sinks.page: listen on :8000: in use" {
			t.Errorf("got %v", err)
		}
	})
}

type panicking struct{}

func (panicking) Write(context.Context, metric.Batch) error { panic("a bug in a sink") }

func TestSinkPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page, plan := &shelf{}, planSink("bad", panicking{})
		stop := start(t, newAgent(), Plan{
			Concurrency: 1, Jobs: []Job{planJob(t, "j", "@every 10s", newScripted(nil))},
			Sinks: []Sink{plan, planSink("page", page)},
		}, nil)
		time.Sleep(25 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if page.values["j"] != 3 || plan.Stats.Dropped()[sinks.Refused] != 3 {
			t.Errorf("the page shows %v, the panicking sink dropped %v", page.values, plan.Stats.Dropped())
		}
	})
}

// TestOneFailingJobHoldsUpNoOther checks a batch that fails for long, such as one that a firewall does not let through. It does not hold
// up the batches of other jobs. It is tried again ever more rarely, and arrives when it can.
func TestOneFailingJobHoldsUpNoOther(t *testing.T) {
	for _, saved := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			begin, tries := time.Now(), atomic.Int32{}
			gateway := &shelf{}
			gateway.judge = func(b metric.Batch) error {
				if b.Job != "blocked" {
					return nil
				}
				tries.Add(1)
				if time.Since(begin) > 2*time.Hour {
					return nil
				}
				err := errors.New("403 Forbidden")
				if saved {
					err = sinks.Saved(err)
				}
				return err
			}
			s := newSink(planSink("gateway", gateway), Drain, false)
			s.start(t.Context(), nil)
			s.add(metric.Batch{Job: "blocked", Time: time.Now()})
			for i := range 130 {
				s.add(metric.Batch{Job: "other", Time: time.Now()})
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if n := gateway.count(); n <= i {
					t.Errorf("saved %t: batch %d of the other job has not come after 10 s", saved, i)
				}
				time.Sleep(50 * time.Second)
				synctest.Wait()
				if n := tries.Load(); i == 100 && n > 250 {
					t.Errorf("saved %t: %d tries in 100 minutes", saved, n)
				}
			}
			s.end()
			var other, blocked int
			for _, b := range gateway.batches {
				if b.Job == "other" {
					other++
				} else {
					blocked++
				}
			}
			if other != 130 || blocked != 1 {
				t.Errorf("saved %t: %d batches of the other job and %d of the blocked one came", saved, other, blocked)
			}
		})
	}
}

// TestDownIsNotHammered checks many jobs with a sink that is down. Together they try the sink no more than four times a minute. The last
// batch of each job arrives when the sink works.
func TestDownIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, tries := time.Now(), atomic.Int32{}
		gateway := &shelf{}
		gateway.judge = func(metric.Batch) error {
			if tries.Add(1); time.Since(begin) < 30*time.Minute {
				return errors.New("connection refused")
			}
			return nil
		}
		s := newSink(planSink("gateway", gateway), Drain, false)
		s.start(t.Context(), nil)
		for minute := range 30 {
			for job := range 60 {
				s.add(metric.Batch{Job: fmt.Sprint(job), Time: begin.Add(time.Duration(minute) * time.Minute)})
			}
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if n := tries.Load(); n > 120 {
			t.Errorf("%d tries in 30 minutes", n)
		}
		time.Sleep(3 * time.Minute)
		s.end()
		last := map[string]time.Time{}
		for _, b := range gateway.batches {
			if !b.Time.After(last[b.Job]) {
				t.Errorf("job %s: a batch of minute %s comes after one of %s", b.Job, b.Time.Sub(begin), last[b.Job].Sub(begin))
			}
			last[b.Job] = b.Time
		}
		for job, at := range last {
			if !at.Equal(begin.Add(29 * time.Minute)) {
				t.Errorf("job %s: the last batch is of minute %s", job, at.Sub(begin))
			}
		}
		if len(last) != 60 {
			t.Errorf("batches of %d jobs came", len(last))
		}
	})
}

// TestPauseOfDurableSink checks that a new batch gets onto the disk of a durable sink at once, even in the pause after a failure.
func TestPauseOfDurableSink(t *testing.T) {
	for _, durable := range []bool{false, true} {
		d := newDelivery(Sink{Durable: durable, Stats: &sinks.Stats{}, Log: slog.New(slog.DiscardHandler)})
		now := time.Now()
		d.resume = now.Add(time.Minute)
		d.add(metric.Batch{Job: "j", Time: now})
		if h, pause := d.next(now, false); (h != nil) != durable || !durable && pause != time.Minute {
			t.Errorf("durable %t: batch %v, pause %s", durable, h, pause)
		}
	}
}

// TestUndeliveredSaysWhatToDo checks that samples that are lost at the end are logged, with what would have kept them: a spool, or, if the
// sink has one, a spool that can be written.
func TestUndeliveredSaysWhatToDo(t *testing.T) {
	for want, change := range map[string]func(*Sink){
		"set spool: {dir: …} of the sink: samples then wait on disk": func(*Sink) {},
		"samples that cannot be written there wait in memory only: no space left on device": func(s *Sink) {
			s.Durable = true
			s.Stats.TellSpool(func() sinks.SpoolFault { return sinks.SpoolFault{Why: "no space left on device"} })
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log lockedBuffer
			agent := newAgent()
			agent.log = slog.New(slog.NewTextHandler(&log, nil))
			sink := planSink("central", &shelf{fail: func(int) error { return errors.New("connection refused") }})
			change(&sink)
			stop := start(t, agent, Plan{Concurrency: 1, Jobs: []Job{planJob(t, "j", "@every 10m", newScripted(nil))}, Sinks: []Sink{sink}}, nil)
			time.Sleep(time.Second)
			if err := stop(); err != nil {
				t.Error(err)
			}
			line := `level=WARN msg="samples were not delivered before the end, and are lost" sink=central samples=1 do="`
			if text := log.String(); strings.Count(text, line) != 1 || !strings.Contains(text, want+`"`) {
				t.Errorf("want %s, logged:\n%s", want, text)
			}
		})
	}
}
