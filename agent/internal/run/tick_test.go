package run

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// deaf is a source that does not stop when it is told to, until it is let go.
type deaf struct {
	running, calls atomic.Int32
	release        chan struct{}
}

func (d *deaf) Collect(context.Context, sources.Tick) (metric.Readings, error) {
	d.calls.Add(1)
	if d.running.Add(1) > 1 {
		panic("collects twice at once")
	}
	defer d.running.Add(-1)
	<-d.release
	return metric.Readings{}, nil
}

// TestASourceThatDoesNotStop holds that it costs its ticks and nothing else, and is never asked twice at once.
func TestASourceThatDoesNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &deaf{release: make(chan struct{})}
		worker := NewWorker(planJob(t, "j", "@every 1m", source))
		ask := func(want string) {
			t.Helper()
			if _, err := worker.Tick(t.Context(), sources.Tick{}, Steps{}); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("got %v, want %q", err, want)
			}
		}
		ask("timed out after 30s (timeout), and the source did not stop")
		ask("still busy with an earlier run")
		close(source.release)
		synctest.Wait()
		ask("")
		if n := source.calls.Load(); n != 2 {
			t.Errorf("it was asked %d times", n)
		}
	})
}

// TestTheAgentStopsWithoutIt holds that such a source does not keep the agent from ending in time, and is seen to fail.
func TestTheAgentStopsWithoutIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, a := &deaf{release: make(chan struct{})}, newAgent()
		stop := start(t, a, Plan{Concurrency: 1, Jobs: []Job{planJob(t, "j", "@every 1m", source)}, Sinks: []Sink{planSink("s", &shelf{})}}, nil)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s := a.State().Jobs[0]; s.Up || s.Ticks["error"] < 9 {
			t.Errorf("after ten minutes the job is %+v", s)
		}
		began := time.Now()
		_ = stop()
		if took := time.Since(began); took > jobGrace+abandonAfter+Drain {
			t.Errorf("stopping took %s", took)
		}
		close(source.release)
	})
}

func TestATickThatMeasuresNothingFails(t *testing.T) {
	bad, good := metric.Measured{Desc: &metric.Desc{Name: "a"}, Err: errors.New("no")}, metric.Measured{Desc: &metric.Desc{Name: "b"}}
	for _, c := range []struct {
		readings metric.Readings
		want     string
	}{
		{nil, "<nil>"},
		{metric.Readings{good}, "<nil>"},
		{metric.Readings{bad, good}, "<nil>"},
		{metric.Readings{bad}, "a: no"},
		{metric.Readings{bad, bad}, "none of 2 metrics could be measured; a: no"},
	} {
		got := "<nil>"
		if err := unmeasured(c.readings); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%d metrics: got %s, want %s", len(c.readings), got, c.want)
		}
	}
}
