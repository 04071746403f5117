package agent_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/collectington/collectington/sinks/sinktest"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// shutter is a server that can be made unavailable.
type shutter struct {
	http.Handler
	down atomic.Bool
}

func (r *shutter) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if r.down.Load() {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	r.Handler.ServeHTTP(w, q)
}

func serve(t *testing.T, h http.Handler) (*shutter, string) {
	t.Helper()
	r := &shutter{Handler: h}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL
}

// cton runs the program, and returns its exit code and what it has written.
func cton(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.Command("cton", args...)
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), both.String()
}

// TestExecReceiverDown checks that a command is not affected if the receiver is down, and that the next run of any command delivers what
// has waited, and delivers it only once.
func TestExecReceiverDown(t *testing.T) {
	t.Parallel()
	pushgateway, prometheus := peers.NewPushgateway(t), peers.NewPrometheus(t)
	gateway, gatewayURL := serve(t, pushgateway)
	storage, storageURL := serve(t, prometheus)
	state := t.TempDir()
	run := func(name, command string) (int, string) {
		return cton(t, "exec", name, "--instance", "", "--state-dir", state, "--pushgateway", gatewayURL, "--remote-write", storageURL, "--metrics", "-", "--", "sh", "-c", command)
	}
	gateway.down.Store(true)
	storage.down.Store(true)
	for range 3 {
		began := time.Now()
		code, out := run("nightly", `echo "# TYPE rows gauge"; echo rows 12`)
		if took := time.Since(began); code != 0 || took > 4*time.Second || !strings.Contains(out, "503") {
			t.Errorf("exit code %d after %s; written is\n%s", code, took, out)
		}
	}
	if code, _ := run("nightly", "exit 4"); code != 4 {
		t.Errorf("exit code %d, want 4", code)
	}
	gateway.down.Store(false)
	storage.down.Store(false)
	if code, out := run("other", "exit 5"); code != 5 || strings.Contains(out, "ERROR") {
		t.Errorf("exit code %d, want 5; written is\n%s", code, out)
	}
	got := sinktest.FromText(t, pushgateway.Text(t), "instance").Values
	for series, want := range map[string]float64{
		`cton_exec_runs_total{job="nightly",result="success"}`: 3, `cton_exec_runs_total{job="nightly",result="failure"}`: 1,
		`cton_exec_last_exit_code{job="nightly"}`: 4, `cton_exec_last_exit_code{job="other"}`: 5,
		`rows{job="nightly"}`: 12, // of the last good run
	} {
		if got[series] != want {
			t.Errorf("the Pushgateway has %s %g, want %g", series, got[series], want)
		}
	}
	points := prometheus.Points(t, `{__name__="cton_exec_duration_seconds_count",job="nightly"}`)
	n, last := 0, 0.0
	for _, series := range points {
		for _, p := range series {
			if n++; p.Stale || p.Value != last+1 {
				t.Errorf("sample %d is %g (stale: %t)", n, p.Value, p.Stale)
			}
			last = p.Value
		}
	}
	if n != 4 {
		t.Errorf("Prometheus has %d samples of nightly, want one of each of 4 runs: %v", n, points)
	}
	for _, left := range filesBelow(t, filepath.Join(state, "spool")) {
		if filepath.Base(left) != "lock" {
			t.Errorf("left in the spool: %s", left)
		}
	}
}

func filesBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestExecSpoolOfConfiguration checks that the command "cton once" delivers what "cton exec" has left in the spools of a configuration.
func TestExecSpoolOfConfiguration(t *testing.T) {
	t.Parallel()
	pushgateway, prometheus := peers.NewPushgateway(t), peers.NewPrometheus(t)
	gateway, gatewayURL := serve(t, pushgateway)
	storage, storageURL := serve(t, prometheus)
	dir := t.TempDir()
	config := filepath.Join(dir, "cton.yaml")
	text := `
external_labels: {instance: h}
sinks:
  gateway: {pushgateway: {url: "` + gatewayURL + `", spool: {dir: pushes}}}
  tsdb: {remote_write: {url: "` + storageURL + `", spool: {dir: samples}}}
  page: {expose: {listen: "127.0.0.1:0"}}
jobs:
  date: {schedule: "@every 60s", sinks: [gateway, tsdb], exec: {command: [date, +%s]}, metrics: {date_seconds: {type: gauge, value: .}}}
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway.down.Store(true)
	storage.down.Store(true)
	for range 2 {
		if code, out := cton(t, "exec", "nightly", "-c", config, "--state-dir", filepath.Join(dir, "state"), "--", "true"); code != 0 {
			t.Errorf("exit code %d: %s", code, out)
		}
	}
	if code, out := cton(t, "exec", "date", "-c", config, "--state-dir", filepath.Join(dir, "state"), "--", "sh", "-c", "exit 6"); code != 6 || !strings.Contains(out, "the configuration has a job date") {
		t.Errorf("exit code %d: %s", code, out)
	}
	gateway.down.Store(false)
	storage.down.Store(false)
	if code, out := cton(t, "once", "-c", config); code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
	got := sinktest.FromText(t, pushgateway.Text(t), "instance").Values
	if n := got[`cton_exec_runs_total{job="nightly",result="success"}`]; n != 2 || got[`date_seconds{job="date"}`] == 0 {
		t.Errorf("the Pushgateway has %v", got)
	}
	for series, points := range prometheus.Points(t, `{__name__="cton_exec_runs_total",result="success"}`) {
		if len(points) != 2 || points[0].Value != 1 || points[1].Value != 2 {
			t.Errorf("Prometheus has %s %v", series, points)
		}
	}
}

// TestExecOnNewHosts checks hosts without state that push to the same group: a host on which a command fails must not remove the last
// success of another host.
func TestExecOnNewHosts(t *testing.T) {
	t.Parallel()
	gateway := peers.NewPushgateway(t)
	_, url := serve(t, gateway)
	run := func(command string) {
		cton(t, "exec", "pod", "--instance", "", "--state-dir", t.TempDir(), "--pushgateway", url, "--", "sh", "-c", command)
	}
	const series = "cton_exec_last_success_timestamp_seconds"
	run("true")
	succeeded := sinktest.FromText(t, gateway.Text(t), "job", "instance").Values[series]
	run("exit 3")
	got := sinktest.FromText(t, gateway.Text(t), "job", "instance").Values
	if succeeded == 0 || got[series] != succeeded || got["cton_exec_last_success"] != 0 {
		t.Errorf("the last success is %g after a failure on another host, want %g", got[series], succeeded)
	}
}

// TestExecMetricsAreClean checks that the metrics of a run pass the lint of promtool.
func TestExecMetricsAreClean(t *testing.T) {
	t.Parallel()
	gateway := peers.NewPushgateway(t)
	_, url := serve(t, gateway)
	file := filepath.Join(t.TempDir(), "metrics")
	cton(t, "exec", "--state-dir", t.TempDir(), "--pushgateway", url, "--every", "1d", "--count-output", "--metrics", file, "--", "sh", "-c", "echo rows 1 >"+file)
	text := gateway.Text(t)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "cton_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if err != nil || strings.Count(text, "# TYPE cton_exec_") != 15 {
		t.Errorf("%v; pushed is\n%s", err, text)
	}
}

// TestExecBadMetrics checks that the run's own metrics arrive even if the receiver refuses the metrics that the command has written.
func TestExecBadMetrics(t *testing.T) {
	t.Parallel()
	gateway := peers.NewPushgateway(t)
	_, url := serve(t, gateway)
	cton(t, "exec", "good", "--instance", "", "--state-dir", t.TempDir(), "--pushgateway", url, "--metrics", "-", "--", "echo", "clash 1")
	for _, c := range []struct {
		write, says string
		valid       bool
	}{
		{"echo this is no metric", `the command's metrics are not all delivered" error="none of them, as the text has an error`, false},
		{`echo "# TYPE clash counter"; echo clash 1`, "inconsistent with existing metrics", false},
		{"echo cton_exec_running 7", "cton_exec_running is left out", true},
		{"echo '# TYPE cton_exec_running_x histogram'; echo ok 1; echo ok 2", "left out", true},
	} {
		code, out := cton(t, "exec", "bad", "--instance", "", "--state-dir", t.TempDir(), "--pushgateway", url, "--metrics", "-", "--", "sh", "-c", c.write)
		got := sinktest.FromText(t, gateway.Text(t), "instance").Values
		if code != 0 || got[`cton_exec_last_success{job="bad"}`] != 1 || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit code %d, success %g, written is\n%s", c.write, code, got[`cton_exec_last_success{job="bad"}`], out)
		}
		if valid := got[`cton_exec_metrics_valid{job="bad"}`]; valid != truth(c.valid) {
			t.Errorf("%s: metrics_valid is %g", c.write, valid)
		}
		if code, _ := cton(t, "exec", "bad", "--instance", "", "--state-dir", t.TempDir(), "--pushgateway", url, "--", "true"); code != 0 {
			t.Error(code)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
