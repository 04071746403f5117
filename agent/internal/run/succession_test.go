package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// TestTotalsOfChangedSink checks that the counters of a sink's name go on over reloads that change the sink, also while the old one stops.
func TestTotalsOfChangedSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, reload := newAgent(), make(chan Plan)
		plan := func(key, kind string, fail func(int) error) (Plan, *Sink) {
			sink := planSink("central", &shelf{fail: fail})
			sink.Key, sink.Kind = key, kind
			return Plan{Concurrency: 1, Jobs: []Job{planJob(t, "j", "@every 10m", newScripted(nil))}, Sinks: []Sink{sink}}, &sink
		}
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			s := agent.State().Sinks[0]
			if got := fmt.Sprint(s.Sent, s.Dropped, s.Requests, s.Pending.Samples); got != want {
				t.Errorf("the state is %s, want %s", got, want)
			}
		}
		first, one := plan("a", "remote_write", nil)
		stop := start(t, agent, first, reload)
		time.Sleep(time.Second / 2)
		one.Stats.Sent.Add(5)
		one.Stats.Drop(sinks.Refused, 2)
		one.Requests.Count("receiver", 503)
		second, two := plan("b", "remote_write", func(n int) error {
			if n == 0 {
				return sinks.Permanent(errors.New("refused"))
			}
			return errors.New("connection refused") // so that it takes as long as Drain to stop
		})
		reload <- second
		time.Sleep(time.Second / 2)
		two.Stats.Sent.Add(1)
		two.Requests.Count("receiver", 503)
		expect("6 map[refused:3] map[{receiver 503}:2] 0")

		two.Stats.TellPending(func() sinks.Pending { return sinks.Pending{Samples: 7} })
		third, three := plan("c", "pushgateway", nil)
		time.Sleep(10 * time.Minute)
		reload <- third
		time.Sleep(Drain / 2)
		expect("6 map[refused:3] map[{receiver 503}:2] 7")
		time.Sleep(Drain)
		three.Stats.Sent.Add(1)
		s := agent.State().Sinks[0]
		if s.Sent != 7 || s.Dropped[sinks.Refused] != 3 || s.Dropped[sinks.Shutdown] != 1 || s.Retried == 0 || s.Pending.Samples != 0 {
			t.Errorf("at the end the state is %+v", s)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestRemovedSinkSaysWhatIsLost checks that the samples that a removed sink could not deliver are logged, and those that it leaves on disk.
func TestRemovedSinkSaysWhatIsLost(t *testing.T) {
	for want, durable := range map[string]bool{
		`level=ERROR msg="samples of a sink that the reload has changed or removed were not delivered, and are lost" sink=central samples=1 do="set spool`:         false,
		`level=WARN msg="samples wait in the spool of a sink that the reload has removed: they are sent once a sink has that spool" sink=central samples=7` + "\n": true,
	} {
		synctest.Test(t, func(t *testing.T) {
			var log lockedBuffer
			agent, reload := newAgent(), make(chan Plan)
			agent.log = slog.New(slog.NewTextHandler(&log, nil))
			sink := planSink("central", &shelf{fail: func(int) error { return errors.New("connection refused") }})
			if durable {
				sink = planSink("central", &shelf{})
				sink.Stats.TellPending(func() sinks.Pending { return sinks.Pending{Samples: 7} })
			}
			sink.Durable = durable
			jobs := []Job{planJob(t, "j", "@every 10m", newScripted(nil))}
			stop := start(t, agent, Plan{Concurrency: 1, Jobs: jobs, Sinks: []Sink{sink}}, reload)
			time.Sleep(time.Second)
			reload <- Plan{Concurrency: 1, Jobs: jobs, Sinks: []Sink{planSink("page", &shelf{})}}
			time.Sleep(2 * Drain)
			if err := stop(); err != nil {
				t.Error(err)
			}
			if text := log.String(); strings.Count(text, want) != 1 || strings.Count(text, "central") != 1 {
				t.Errorf("want once %s, logged:\n%s", want, text)
			}
		})
	}
}

// batchAt returns a batch of the job j at a second. If own is set, its sample has its own time, so that a later batch does not replace it.
func batchAt(second int, own bool) metric.Batch {
	series := metric.Series{Value: float64(second)}
	if own {
		series.Time = int64(second+1) * 1000
	}
	return metric.Batch{
		Job: "j", Time: time.Unix(int64(second), 0),
		Families: []metric.Family{{Desc: &metric.Desc{Name: "x", Type: metric.Gauge}, Series: []metric.Series{series}}},
	}
}

// TestChangedSinkTakesOverBatches checks that a sink writes the batches that the one it replaces could not deliver, each before the newer
// batches of its job.
func TestChangedSinkTakesOverBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, page := newDelivery(planSink("s", &shelf{fail: func(int) error { return errors.New("connection refused") }})), &shelf{}
		next := newDelivery(planSink("s", page))
		old.inheritedBy(next)
		for n := range 3 {
			old.add(batchAt(n, true))
		}
		next.add(batchAt(3, false))
		stop := make(chan struct{})
		close(stop)
		old.run(expired(t), stop)
		if dropped := old.Stats.Dropped(); len(dropped) > 0 {
			t.Errorf("dropped %v", dropped)
		}
		next.run(context.Background(), stop)
		var got []string
		for _, b := range page.batches {
			got = append(got, fmt.Sprint(b.Job, b.Time.Unix()))
		}
		if fmt.Sprint(got) != "[j0 j1 j2 j3]" {
			t.Errorf("written: %v", got)
		}
		if next.isWaiting() || old.isWaiting() {
			t.Error("a batch still waits")
		}
	})
}
