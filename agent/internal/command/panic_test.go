package command_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/sinktest/peers"
	"github.com/collectington/collectington/sources"
)

// faulty is a source that counts its successful ticks. In some ticks, numbered from 1, it panics, or returns readings on
// which the ledger panics.
type faulty struct {
	Panic   []int `yaml:"panic"`
	Invalid []int `yaml:"invalid"`

	tick int
	desc *metric.Desc
}

func (f *faulty) Validate() error { return nil }

func (f *faulty) New(sources.Env) (sources.Source, error) {
	desc := &metric.Desc{Name: "ticks_total", Type: metric.Counter, From: metric.Increment}
	return &faulty{Panic: f.Panic, Invalid: f.Invalid, desc: desc}, nil
}

func (f *faulty) Collect(context.Context, sources.Tick) (metric.Readings, error) {
	f.tick++
	if slices.Contains(f.Panic, f.tick) {
		panic("a bug in the source")
	}
	readings := metric.Readings{{Desc: f.desc, Rows: []metric.Reading{{Value: 1}}}}
	if slices.Contains(f.Invalid, f.tick) {
		readings = append(readings, metric.Measured{Rows: []metric.Reading{{Value: 1}}}) // no Desc
	}
	return readings, nil
}

// faultyApp returns the program with the additional kind of source "faulty".
func faultyApp(out, log *strings.Builder, net *memnet.Network) *command.App {
	catalogue := agent.Catalogue()
	catalogue.Sources = append(catalogue.Sources, sources.Kind[sources.Source]{
		Name: "faulty", Defaults: func() sources.Config[sources.Source] { return &faulty{} },
	})
	app := &command.App{Version: "test", Catalogue: catalogue, In: strings.NewReader(""), Out: out, Err: log}
	if net != nil {
		app.Dial = net.Dial
	}
	return app
}

func write(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// contains fails the test unless the text has all the parts, in this order.
func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Errorf("%s lacks %q, or has it too early:\n%s", what, part, text)
			return
		}
		rest = after
	}
}

// TestPanicInRun checks that a panic in the source and a panic in the ledger each make only one run fail. The job then
// continues from the totals that it had before that run.
func TestPanicInRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := write(t, "cton.yaml", `
sinks: {out: {print: {}}}
jobs:
  api: {schedule: "@every 10s", faulty: {panic: [2], invalid: [3]}}
`)
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
		defer cancel()
		var out, log strings.Builder
		if code := faultyApp(&out, &log, nil).Main(ctx, []string{"run", "-c", file}); code != 0 {
			t.Errorf("exit code %d", code)
		}
		contains(t, "the log", log.String(), `msg="run failed" job=api error="source panicked: a bug in the source"`, `msg="run failed" job=api error="ledger panicked: `)
		contains(t, "the output", out.String(), "\nticks_total 1\n", "\nticks_total 2\n",
			`cton_job_runs_total{cton_job="api",result="error"} 2`, `cton_job_runs_total{cton_job="api",result="success"} 2`)
	})
}

// TestPanicInOnce checks that a job that panics does not disturb the other jobs.
func TestPanicInOnce(t *testing.T) {
	file := write(t, "cton.yaml", `
sinks: {out: {print: {}}}
jobs:
  good: {schedule: "@every 10s", faulty: {}}
  ledger: {schedule: "@every 10s", faulty: {invalid: [1]}}
  source: {schedule: "@every 10s", faulty: {panic: [1]}}
`)
	// The print sink accepts the same metric from several jobs. A page does not.
	var out, log strings.Builder
	if code := faultyApp(&out, &log, nil).Main(t.Context(), []string{"once", "-c", file}); code != 4 {
		t.Errorf("exit code %d, want 4", code)
	}
	contains(t, "the output", out.String(), "\nticks_total 1\n")
	contains(t, "the errors", log.String(), "cton: not measured, or only in part: ledger, source")
}

// TestPanicInTry checks that try shows a panic as the error of the run.
func TestPanicInTry(t *testing.T) {
	for settings, want := range map[string]string{
		"{panic: [1]}":   "== error\nsource panicked: a bug in the source\n",
		"{invalid: [1]}": "== error\n",
	} {
		file := write(t, "cton.yaml", "sinks: {out: {print: {}}}\njobs:\n  api: {schedule: \"@every 10s\", faulty: "+settings+"}\n")
		var out, log strings.Builder
		if code := faultyApp(&out, &log, nil).Main(t.Context(), []string{"try", "api", "-c", file}); code != 2 {
			t.Errorf("%s: exit code %d, want 2", settings, code)
		}
		contains(t, "the output", out.String(), want)
		if strings.Contains(out.String(), "== metrics") {
			t.Errorf("%s: metrics are shown:\n%s", settings, out.String())
		}
	}
}

// TestPanicInTest checks that a test can expect a panic. The next run must continue from the totals before the panic.
func TestPanicInTest(t *testing.T) {
	file := write(t, "api.txtar", `-- cton.yaml --
sinks: {out: {print: {}}}
jobs:
  api: {schedule: "@every 10s", faulty: {panic: [2], invalid: [3]}}
-- 2 errors --
source panicked: a bug in the source
-- 3 errors --
ledger panicked: runtime error: invalid memory address or nil pointer dereference
-- 4 metrics --
# TYPE ticks_total counter
ticks_total 2
`)
	var out, log strings.Builder
	if code := faultyApp(&out, &log, nil).Main(t.Context(), []string{"test", file}); code != 0 {
		t.Errorf("exit code %d:\n%s", code, out.String())
	}
}

// TestPanicInBackfill checks that a window is read again if its run panics, and that no total is lost.
func TestPanicInBackfill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, prometheus := memnet.NewNetwork(), peers.NewPrometheus(t)
		net.Serve(t, "rw.test:80", prometheus)
		file := write(t, "cton.yaml", `
sinks: {rw: {remote_write: {url: "http://rw.test/api/v1/write"}}}
jobs:
  api: {schedule: "@every 10s", faulty: {panic: [2], invalid: [4]}}
`)
		var out, log strings.Builder
		args := []string{"backfill", "api", "--from", "1999-12-31T23:00:00Z", "--to", "1999-12-31T23:03:00Z", "--step", "1m", "-c", file}
		if code := faultyApp(&out, &log, net).Main(t.Context(), args); code != 0 {
			t.Errorf("exit code %d:\n%s%s", code, out.String(), log.String())
		}
		contains(t, "the log", log.String(), "source panicked: a bug in the source", "ledger panicked: ")
		stored, err := prometheus.Stored("ticks_total")
		if err != nil || len(stored) == 0 {
			t.Fatalf("stored: %q, %v", stored, err)
		}
		if last := stored[len(stored)-1]; last != "ticks_total{} 3 at 1999-12-31T23:03:00Z\n" {
			t.Errorf("stored last: %s", last)
		}
	})
}
