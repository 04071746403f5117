package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/sinktest/peers"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/goclass"
)

// folder returns a new folder with the files of the example. They have the addresses and the interval of the test.
func (m *month) folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"config.json":     inTest(read(t, "config.json")),
		"splunk_api.star": read(t, "splunk_api.star"),
		"splunk":          fmt.Sprintf("API_KEY=%q\nAPI_ID=%q\n", m.Key, m.ID),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := "sinks:\n  prometheus: {remote_write: {url: \"http://prometheus.test/api/v1/write\"}}\njobs:\n" +
		jobsOf(t, inTest(read(t, "oncall.yaml")), "oncall", "events") + jobsOf(t, inTest(converted(t, dir, catalogue())), "splunk", "class") +
		jobsOf(t, inTest(converted(t, dir, agent.Catalogue())), "splunk", "script")
	if err := os.WriteFile(filepath.Join(dir, "cton.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// jobsOf returns the text below the key "jobs" of a configuration. The job with the name in the argument "name" gets the name in the
// argument "rename".
func jobsOf(t *testing.T, config, name, rename string) string {
	t.Helper()
	_, jobs, found := strings.Cut(config, "\njobs:\n")
	before, after, ok := strings.Cut(jobs, "  "+name+":")
	if !found || !ok {
		t.Fatalf("no job %s in\n%s", name, config)
	}
	return before + "  " + rename + ":" + after
}

// inTest returns a configuration with its address, its interval and its secrets replaced by those of the test.
func inTest(config string) string {
	return strings.NewReplacer(
		"https://api.victorops.com/", "http://api.test/", `"@every 60s"`, `"*/20 * * * *"`, `"@every 2s"`, `"*/20 * * * *"`,
		"env:API_", "file:./splunk#API_",
	).Replace(config)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// catalogue returns the catalogue of the program in the folder goclass.
func catalogue() config.Catalogue {
	c := agent.Catalogue()
	c.Sources = append(c.Sources, goclass.Kind("SplunkApi", splunkAPI()))
	return c
}

// network returns a network with the API and a receiver, and the receiver's storage.
func (m *month) network(t *testing.T) (*memnet.Network, *peers.Prometheus) {
	net, storage := memnet.NewNetwork(), peers.NewPrometheusFor(t, 2*m.end.Sub(m.begin))
	net.Serve(t, "api.test:80", &m.API)
	net.Serve(t, "prometheus.test:80", storage)
	return net, storage
}

// TestMonth checks each form of the example over a month, from fetch to remote-write: Prometheus' own storage must return the
// true numbers. The agent's own metrics, delivered every 15 seconds, are left out: they would take most of the time.
func TestMonth(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes under the race detector; TestDay runs the same code")
	}
	synctest.Test(t, func(t *testing.T) {
		m := newMonth(time.Now().Add(every), 30)
		dir := m.folder(t)
		plan, err := config.Load("cton.yaml", []byte(read(t, filepath.Join(dir, "cton.yaml"))), catalogue())
		if err != nil {
			t.Fatal(err)
		}
		net, storage := m.network(t)
		host := &httpclient.Host{Secrets: &setting.SecretStore{Dir: dir}, Dial: net.Dial}
		quiet := slog.New(slog.DiscardHandler)
		sink, err := plan.Sinks[0].Config.New(sinks.Env{Name: "prometheus", Log: quiet, Web: host, Stats: &sinks.Stats{}, Instance: "test", Drain: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _ = sink.(sinks.Runner).Run(ctx) })
		for i := range plan.Jobs {
			all.Go(func() {
				m.drive(t, &plan.Jobs[i], sources.Env{Job: plan.Jobs[i].Name, Log: quiet, Web: host, Dir: dir}, sink)
			})
		}
		time.Sleep(time.Until(m.end.Add(every / 2)))
		cancel()
		all.Wait()
		if _, lost := m.counted(); lost == 0 {
			t.Error("no incident was opened in an outage and before a reset of the total")
		}
		m.check(t, storage)
	})
}

// drive runs all ticks of a job in the month.
func (m *month) drive(t *testing.T, planned *config.Job, env sources.Env, sink sinks.Sink) {
	var err error
	if env.Fetch, err = planned.FetcherConfig.New(env); err != nil {
		t.Error(err)
		return
	}
	job := run.NewWorker(run.Job{Job: *planned, Log: env.Log})
	if job.Source, err = planned.SourceConfig.New(env); err != nil {
		t.Error(err)
		return
	}
	good, last := 0, m.begin.Add(-every)
	for at := m.begin; !at.After(m.end); at = at.Add(every) {
		time.Sleep(time.Until(at))
		result, err := job.Tick(t.Context(), sources.Tick{Time: at, Start: last, End: at}, run.Steps{Deliver: func(b metric.Batch) error {
			b.Every = 0
			return sink.Write(t.Context(), b)
		}})
		if result == nil {
			continue
		}
		if err != nil || len(result.Problems)+len(result.Drops) > 0 {
			t.Errorf("%s at %s: %v, %v, %v", job.Name, at, err, result.Problems, result.Drops)
		}
		good, last = good+1, at
	}
	if good != len(m.ticks) {
		t.Errorf("%s has %d good ticks, want %d", job.Name, good, len(m.ticks))
	}
}

// TestDay checks the same as TestMonth, but over one day and with the whole program, including its clock and its own metrics.
func TestDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonth(time.Now().Add(every), 1)
		time.Sleep(every / 2)
		dir := m.folder(t)
		net, storage := m.network(t)
		var out, log strings.Builder
		app := command.App{Version: "test", Catalogue: catalogue(), In: strings.NewReader(""), Out: &out, Err: &log, Dial: net.Dial}
		ctx, cancel := context.WithDeadline(t.Context(), m.end.Add(time.Minute))
		defer cancel()
		if code := app.Main(ctx, []string{"run", "-c", filepath.Join(dir, "cton.yaml")}); code != 0 {
			t.Errorf("exit code %d", code)
		}
		for _, want := range []string{"503 Service Unavailable: down for maintenance", "500 Internal Server Error", "timed out after 30s"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s is not in the log", want)
			}
		}
		if t.Failed() || strings.Contains(log.String(), "the-api-key") {
			t.Errorf("the log:\n%s", log.String())
		}
		m.check(t, storage)
	})
}

// converted returns what cton convert makes of config.json, in a program that has the kinds of this catalogue.
func converted(t *testing.T, dir string, kinds config.Catalogue) string {
	t.Helper()
	var out, problems strings.Builder
	app := command.App{Version: "test", Catalogue: kinds, In: strings.NewReader(""), Out: &out, Err: &problems}
	if code := app.Main(t.Context(), []string{"convert", filepath.Join(dir, "config.json")}); code != 0 {
		t.Fatalf("cton convert: exit code %d:\n%s", code, problems.String())
	}
	return out.String()
}
