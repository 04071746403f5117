package run

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
)

func newReport() (*report, *strings.Builder) {
	var b strings.Builder
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return &report{log: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: drop}))}, &b
}

// TestReportSinks checks an error that many jobs have. It is logged once, and its end is logged once. Another error in between is logged
// by itself.
func TestReportSinks(t *testing.T) {
	r, log := newReport()
	away, refused := errors.New("connection refused"), errors.New("job b: 400 Bad Request")
	for range 3 {
		r.failed("cannot deliver", "a", away)
		r.failed("cannot deliver", "b", away)
	}
	r.recovered("c") // never failed
	r.recovered("a") // b still has it
	r.failed("cannot deliver", "b", refused)
	r.failed("cannot deliver", "b", refused)
	r.recovered("a")
	r.recovered("b")
	want := `level=ERROR msg="cannot deliver" error="connection refused"
level=ERROR msg="cannot deliver" error="job b: 400 Bad Request"
level=INFO msg=recovered failures=5 last_error="job b: 400 Bad Request"
`
	if log.String() != want {
		t.Errorf("logged\n%swant\n%s", log, want)
	}
}

// TestReportReminds checks an error of two jobs that lasts for two days. It is logged four times, and its end is logged once.
func TestReportReminds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log := newReport()
		away := errors.New("connection refused")
		for range 2 * 24 * 60 {
			r.failed("cannot deliver", "a", away)
			r.failed("cannot deliver", "b", away)
			time.Sleep(time.Minute)
		}
		r.recovered("a")
		r.recovered("b")
		r.failed("cannot deliver", "a", away)
		want := `level=ERROR msg="cannot deliver" error="connection refused"
level=ERROR msg="cannot deliver" error="connection refused" since=2000-01-01T00:00:00.000Z failures=11
level=ERROR msg="cannot deliver" error="connection refused" since=2000-01-01T00:00:00.000Z failures=61
level=ERROR msg="cannot deliver" error="connection refused" since=2000-01-01T00:00:00.000Z failures=1441
level=INFO msg=recovered failures=2880 last_error="connection refused"
level=ERROR msg="cannot deliver" error="connection refused"
`
		if log.String() != want {
			t.Errorf("logged\n%swant\n%s", log, want)
		}
	})
}

// TestReportMetrics checks that each problem of a metric is logged when the problem begins and when it ends.
func TestReportMetrics(t *testing.T) {
	r, log := newReport()
	bad := &ledger.Result{
		Problems: []ledger.Problem{{Metric: "x", Err: errors.New("items .a[]: cannot iterate over null")}},
		Drops:    []ledger.Drop{{Metric: "y", Of: 38, Drop: metric.Drop{Reason: metric.Missing, Count: 2, First: "item 0"}}},
	}
	r.succeeded(bad)
	r.succeeded(bad)
	r.succeeded(&ledger.Result{})
	want := []string{
		`level=WARN msg="metric not measured" metric=x reason="items .a[]: cannot iterate over null"`,
		`level=WARN msg="readings dropped" metric=y reason=missing first="item 0" count=2 of=38`,
		`level=INFO msg="metric recovered" metric=x`,
		`level=INFO msg="metric recovered" metric=y reason=missing`,
	}
	for _, line := range want {
		if strings.Count(log.String(), line) != 1 {
			t.Errorf("want once: %s\nlogged\n%s", line, log)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != len(want) {
		t.Errorf("%d lines\n%s", n, log)
	}
}

// TestReportProblemsOfOneMetric checks several problems of one metric. Each problem is logged when it begins, and not again while it
// lasts. When the metric has recovered, this is logged too.
func TestReportProblemsOfOneMetric(t *testing.T) {
	r, log := newReport()
	drop := func(reason metric.Reason, n int, first string) ledger.Drop {
		return ledger.Drop{Metric: "y", Of: 38, Drop: metric.Drop{Reason: reason, Count: n, First: first}}
	}
	problem := func(text string) ledger.Problem { return ledger.Problem{Metric: "x", Err: errors.New(text)} }
	for tick := range 3 {
		r.succeeded(&ledger.Result{
			Problems: []ledger.Problem{problem("field a is missing"), problem("x was measured twice")},
			Drops:    []ledger.Drop{drop(metric.Invalid, tick+1, "-1 for y"), drop(metric.Invalid, tick+2, "+Inf for y")},
		})
	}
	r.succeeded(&ledger.Result{Problems: []ledger.Problem{problem("x was measured twice")}})
	r.succeeded(&ledger.Result{Problems: []ledger.Problem{problem("x was measured twice"), problem("field a is missing")}})
	r.succeeded(&ledger.Result{})
	want := `level=WARN msg="metric not measured" metric=x reason="field a is missing"
level=WARN msg="metric not measured" metric=x reason="x was measured twice"
level=WARN msg="readings dropped" metric=y reason=invalid first="-1 for y" count=1 of=38
level=WARN msg="readings dropped" metric=y reason=invalid first="+Inf for y" count=2 of=38
level=INFO msg="metric recovered" metric=y reason=invalid
level=WARN msg="metric not measured" metric=x reason="field a is missing"
level=INFO msg="metric recovered" metric=x reason="x was measured twice"
level=INFO msg="metric recovered" metric=x reason="field a is missing"
`
	if log.String() != want {
		t.Errorf("logged\n%swant\n%s", log, want)
	}
}

// TestReportMaxSeries checks series that go beyond max_series, or come close to it. This is logged once, however the counts and the named
// metric change. Its end is logged once too.
func TestReportMaxSeries(t *testing.T) {
	r, log := newReport()
	a, b := hosts("a_hosts"), hosts("b_hosts")
	l := ledger.New(ledger.For(time.Hour), 10)
	for tick, n := range [][2]int{{1, 1}, {1, 10}, {1, 11}, {1, 12}, {5, 3}, {3, 5}, {1, 1}} {
		result, err := l.Apply(time.Unix(int64(60*tick+60), 0), metric.Readings{a(n[0]), b(n[1])})
		if err != nil {
			t.Fatal(err)
		}
		r.succeeded(result)
	}
	for tick, n := range []int{20, 30} {
		_, err := l.Apply(time.Unix(int64(60*tick+6000), 0), metric.Readings{a(n)})
		r.failed("run failed", wholeRun, err)
	}
	want := `level=WARN msg="metric not measured" metric=b_hosts reason="left out: it grew most in this run (+9, to 10 series); the job would have 11 series, max_series is 10: use labels with fewer values, or raise max_series"
level=WARN msg="close to max_series" metric=a_hosts reason="the job is close to max_series (10), and this metric has most of its series: use labels with fewer values, or raise max_series"
level=INFO msg="metric recovered" metric=b_hosts reason="left out: it grew most in this run (+11, to 12 series); the job would have 13 series, max_series is 10: use labels with fewer values, or raise max_series"
level=INFO msg="no longer close to max_series"
level=ERROR msg="run failed" error="20 series are more than max_series (10), and a_hosts grew most in this run (+19, to 20 series): use labels with fewer values, or raise max_series"
`
	if log.String() != want {
		t.Errorf("logged\n%swant\n%s", log, want)
	}
}

// hosts returns a function that measures a gauge with n series.
func hosts(name string) func(n int) metric.Measured {
	d := &metric.Desc{Name: name, Type: metric.Gauge, LabelNames: []string{"host"}}
	return func(n int) metric.Measured {
		m := metric.Measured{Desc: d}
		for i := range n {
			m.Rows = append(m.Rows, metric.Reading{Labels: []string{strconv.Itoa(i)}, Value: 1})
		}
		return m
	}
}

// TestOwnTimes checks when the agent's own metrics come: at once after the start, and soon after a change. No two batches have the same
// time.
func TestOwnTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Duration
		begin := time.Now()
		page := &selfShelf{}
		job := planJob(t, "j", "@every 10s", newScripted(nil))
		stop := start(t, newAgent(), Plan{Concurrency: 1, Jobs: []Job{job}, Sinks: []Sink{planSink("page", page)}}, nil)
		time.Sleep(20 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		for _, at := range page.times {
			times = append(times, at.Sub(begin))
		}
		for i := 1; i < len(times); i++ {
			if times[i].Milliseconds() <= times[i-1].Milliseconds() {
				t.Errorf("own metrics at %v", times)
			}
		}
		if len(times) < 3 || times[0] != 0 || times[1] > ownPause {
			t.Errorf("own metrics at %v", times)
		}
	})
}

// selfShelf notes the times of the agent's own batches.
type selfShelf struct{ times []time.Time }

func (s *selfShelf) Write(_ context.Context, b metric.Batch) error {
	if b.Job == Self {
		s.times = append(s.times, b.Time)
	}
	return nil
}
