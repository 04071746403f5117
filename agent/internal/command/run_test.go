package command_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// TestReload checks two reloads. The first one has a wrong configuration: it changes nothing, and says what is wrong. The second one has a
// correct configuration: it takes effect, except for state_file.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const config = "sinks: {out: {print: {}}}\njobs:\n  api: {schedule: \"@every 10s\", faulty: {}}\n"
		file := write(t, "cton.yaml", config)
		var out, log strings.Builder
		app, reload := faultyApp(&out, &log, nil), make(chan os.Signal)
		app.Reload = reload
		ctx, cancel := context.WithCancel(t.Context())
		code := make(chan int)
		go func() { code <- app.Main(ctx, []string{"run", "-c", file}) }()
		replace := func(text string) {
			time.Sleep(15 * time.Second)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Error(err)
			}
			reload <- os.Interrupt
		}
		replace("sinks: {out: {print: {}}}\njobs:\n  api: {schedule: \"@every 10s\", timeout: soon, overlap: never, faulty: {}}\n")
		replace("state_file: other.state\n" + config + "  added: {schedule: \"@every 10s\", faulty: {}}\n")
		time.Sleep(15 * time.Second)
		cancel()
		if got := <-code; got != 0 {
			t.Errorf("exit code %d", got)
		}
		failed := `level=ERROR msg="reload failed: the configuration is wrong; the previous one stays in use" problem="` + file
		contains(t, "the log", log.String(), "msg=started", failed+":3:42: jobs.api.timeout: ", failed+":3:57: jobs.api.overlap: ",
			`level=WARN msg="a change of state_file takes effect only after a restart"`, "msg=reloaded jobs=2 sinks=1", "msg=stopped")
		contains(t, "the output", out.String(), "cton_config_last_reload_successful 1\n", "cton_config_last_reload_successful 0\n",
			"# job api at 2000-01-01T00:00:20Z", "cton_config_last_reload_successful 1\n", "# job added at ")
		if _, err := os.Stat(filepath.Join(filepath.Dir(file), "other.state")); err == nil {
			t.Error("the new state file is used before a restart")
		}
	})
}

// TestReloadFiles checks that a reload reads all files again: a job in a new file starts. If a file is wrong, nothing changes.
func TestReloadFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Dir(write(t, "cton.yaml", "include: [jobs/*.yaml]\nsinks: {out: {print: {}}}\ndefaults: {schedule: \"@every 10s\"}\njobs: {api: {faulty: {}}}\n"))
		var out, log strings.Builder
		app, reload := faultyApp(&out, &log, nil), make(chan os.Signal)
		app.Reload = reload
		ctx, cancel := context.WithCancel(t.Context())
		code := make(chan int)
		if err := os.Mkdir(filepath.Join(dir, "jobs"), 0o700); err != nil {
			t.Fatal(err)
		}
		go func() { code <- app.Main(ctx, []string{"run", "-c", dir}) }()
		add := func(name, text string) {
			time.Sleep(15 * time.Second)
			if err := os.WriteFile(filepath.Join(dir, "jobs", name), []byte(text), 0o600); err != nil {
				t.Error(err)
			}
			reload <- os.Interrupt
		}
		add("added.yaml", "jobs: {added: {faulty: {}}}\n")
		add("wrong.yaml", "jobs: {added: {faulty: {}, timeout: 1s}}\n")
		time.Sleep(15 * time.Second)
		cancel()
		if got := <-code; got != 0 {
			t.Errorf("exit code %d", got)
		}
		contains(t, "the log", log.String(), "msg=started", "msg=reloaded jobs=2 sinks=1",
			filepath.Join(dir, "jobs", "wrong.yaml")+":1:8: jobs.added: is set differently in "+filepath.Join(dir, "jobs", "added.yaml")+":1", "msg=stopped")
		contains(t, "the output", out.String(), "# job added at ", "cton_config_last_reload_successful 0\n", "# job added at ")
	})
}

// TestLogFormat checks that every line of the log is JSON with --log-format json.
func TestLogFormat(t *testing.T) {
	file := write(t, "cton.yaml", "sinks: {out: {print: {}}}\njobs:\n  api: {schedule: \"@every 10s\", faulty: {panic: [1]}}\n  good: {schedule: \"@every 10s\", faulty: {}}\n")
	var out, log strings.Builder
	faultyApp(&out, &log, nil).Main(t.Context(), []string{"once", "--log-format", "json", "-c", file})
	lines, verdict, found := strings.Cut(log.String(), "cton: ")
	if !found || verdict != "not measured, or only in part: api\n" {
		t.Errorf("the last line is %q", verdict)
	}
	for line := range strings.Lines(lines) {
		var entry struct{ Time, Level, Msg, Job string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time == "" || entry.Level != "ERROR" || entry.Msg == "" || entry.Job != "api" {
			t.Errorf("%+v, %v: %s", entry, err, line)
		}
	}
}

// TestExternalLabels checks that all samples that a sink pushes have the external labels, also those of the agent's own metrics. One
// of the labels is __replica__, which the HA tracker of Mimir needs.
func TestExternalLabels(t *testing.T) {
	t.Setenv("CTON_TEST_HOST", "edge")
	synctest.Test(t, func(t *testing.T) {
		net, prometheus := memnet.NewNetwork(), peers.NewPrometheus(t)
		net.Serve(t, "rw.test:80", prometheus)
		file := write(t, "cton.yaml", `
external_labels: {site: oslo-7, instance: "env:CTON_TEST_HOST", __replica__: two}
sinks: {rw: {remote_write: {url: "http://rw.test/api/v1/write"}}}
jobs:
  api: {schedule: "@every 10s", faulty: {}}
`)
		var out, log strings.Builder
		if code := faultyApp(&out, &log, net).Main(t.Context(), []string{"once", "-c", file}); code != 0 {
			t.Fatalf("exit code %d\n%s", code, log.String())
		}
		for query, want := range map[string]string{
			`ticks_total`: `{__name__="ticks_total", __replica__="two", instance="edge", job="api", site="oslo-7"}`,
			`cton_job_up`: `{__name__="cton_job_up", __replica__="two", cton_job="api", instance="edge", job="cton", site="oslo-7"}`,
		} {
			if got := prometheus.Vector(t, time.Now(), query); len(got) != 1 || got[0].Metric.String() != want {
				t.Errorf("%s is %v, want %s", query, got, want)
			}
		}
	})
}
