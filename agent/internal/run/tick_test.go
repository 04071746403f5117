package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// deaf is a source that ignores its context and returns when the channel "release" is closed.
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

// TestSourceDoesNotStop checks a source that does not stop. Only its own ticks fail, and it is never called twice at once.
func TestSourceDoesNotStop(t *testing.T) {
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

// slowToEnd is a source that returns only some time after the deadline of the tick.
type slowToEnd struct{ takes time.Duration }

func (s slowToEnd) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	if time.Until(tick.Deadline) != tick.Timeout {
		return nil, fmt.Errorf("%s until the deadline, and a timeout of %s", time.Until(tick.Deadline), tick.Timeout)
	}
	time.Sleep(tick.Timeout + s.takes)
	return nil, ctx.Err()
}

// overrunner is a config whose source may take another 10 seconds.
type overrunner struct {
	sources.Config[sources.Fetcher]
}

func (overrunner) Overtime() time.Duration { return 10 * time.Second }

// TestOvertime checks that a source whose config is a sources.Overrunner is allowed to be at work after the timeout.
func TestOvertime(t *testing.T) {
	for takes, want := range map[time.Duration]string{
		9 * time.Second:  "<nil>",
		11 * time.Second: "context deadline exceeded",
		24 * time.Second: "timed out after 30s (timeout), and the source did not stop",
	} {
		synctest.Test(t, func(t *testing.T) {
			job := planJob(t, "j", "@every 1m", slowToEnd{takes})
			job.FetcherConfig = overrunner{}
			if _, err := NewWorker(job).Tick(t.Context(), sources.Tick{}, Steps{}); fmt.Sprint(err) != want {
				t.Errorf("%s: got %v, want %s", takes, err, want)
			}
			time.Sleep(time.Minute) // an abandoned source ends
		})
	}
}

// TestStopWithBusySource checks a source which does not stop. It does not delay the end of the agent for long, and its job is shown as
// failed.
func TestStopWithBusySource(t *testing.T) {
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

func TestUnmeasuredTick(t *testing.T) {
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

// TestLedgerPanics checks a panic of the ledger. If the panic comes before totals change, only its tick fails. If it comes later, the
// totals are reset too.
func TestLedgerPanics(t *testing.T) {
	count := &metric.Desc{Name: "done_total", Type: metric.Counter, From: metric.Increment}
	took := &metric.Desc{Name: "took_seconds", Type: metric.Histogram, Buckets: []float64{1}}
	seen := &metric.Desc{Name: "seen_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Hour, MaxEvents: 10}
	event := []metric.Reading{{Value: 1, Event: "a"}}
	readings := metric.Readings{{Desc: count, Rows: []metric.Reading{{Value: 1}}}, {Desc: seen, Rows: event}, {Desc: took, Rows: []metric.Reading{{Value: 9}}}}
	var source collectFunc = func() metric.Readings { return readings }
	worker := NewWorker(planJob(t, "j", "@every 1m", source))
	tick := func(want float64, wantError string) {
		t.Helper()
		cursor, at := worker.Cursor, worker.LastSuccess.Add(time.Minute)
		delivered := false
		result, err := worker.Tick(t.Context(), sources.Tick{Time: at, End: at}, Steps{Deliver: func(metric.Batch) error { delivered = true; return nil }})
		if wantError != "" {
			if err == nil || !strings.HasPrefix(err.Error(), "ledger panicked: ") || !strings.HasSuffix(err.Error(), wantError) || delivered || worker.Cursor != cursor {
				t.Errorf("got error %v, delivered %t, cursor %s", err, delivered, worker.Cursor)
			}
			return
		}
		if err != nil || result.Families[0].Series[0].Value != want || result.Families[1].Series[0].Value != want {
			t.Errorf("got %+v, %v, want %v", result, err, want)
		}
	}
	worker.LastSuccess = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	tick(1, "")
	event[0].Event = "b"
	readings = append(readings, metric.Measured{}) // no Desc
	tick(0, "nil pointer dereference")
	readings = readings[:3]
	tick(2, "")
	took.Buckets = []float64{1, 2, 3} // changing a declaration is a bug: the ledger panics
	tick(0, "index out of range [3] with length 2; the job's totals start from zero")
	tick(1, "")
}

// collectFunc is a source of one function.
type collectFunc func() metric.Readings

func (f collectFunc) Collect(context.Context, sources.Tick) (metric.Readings, error) { return f(), nil }

// TestTickOrder checks the order of a tick: the readings are complete before the ledger gets them, the state is updated before Commit, and
// Commit comes before Deliver. When a step returns an error, the later steps are not called.
func TestTickOrder(t *testing.T) {
	source := newScripted(nil)
	worker := NewWorker(planJob(t, "j", "@every 1m", source))
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	undelivered := errors.New("connection refused")
	var steps []string
	do := Steps{
		Collected: func(r metric.Readings) {
			steps = append(steps, fmt.Sprintf("collected %v, empty ledger %t", r[0].Rows[0].Value, worker.Ledger.Empty()))
			r[0].Rows[0].Value = 7
		},
		Commit: func(*ledger.Result) error {
			steps = append(steps, fmt.Sprintf("commit, read to %s, empty ledger %t", worker.Cursor.Format(time.Kitchen), worker.Ledger.Empty()))
			return nil
		},
		Deliver: func(b metric.Batch) error {
			steps = append(steps, fmt.Sprintf("deliver %v, every %s", b.Families[0].Series[0].Value, b.Every))
			return undelivered
		},
	}
	result, err := worker.Tick(t.Context(), sources.Tick{Time: at, Start: at.Add(-time.Hour), End: at.Add(-time.Minute)}, do)
	want := []string{"collected 1, empty ledger true", "commit, read to 11:59PM, empty ledger false", "deliver 7, every 1m0s"}
	if !slices.Equal(steps, want) || result == nil || !errors.Is(err, undelivered) {
		t.Errorf("steps\n%q, want\n%q; %v, %v", steps, want, result, err)
	}
	steps = nil
	source.do = func(context.Context, int) error { return errors.New("503") }
	if result, err := worker.Tick(t.Context(), sources.Tick{Time: at, End: at}, do); result != nil || err == nil || len(steps) > 0 || worker.Cursor.Equal(at) {
		t.Errorf("after a failed fetch: steps %q, %v, %v, cursor %s", steps, result, err, worker.Cursor)
	}
}
