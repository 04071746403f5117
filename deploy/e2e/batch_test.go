//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v4"
)

// bench is a host for batch jobs: its programs, and a Pushgateway.
type bench struct {
	dir, gateway string
	replace      *strings.Replacer
}

const backupScript = `#!/bin/sh
echo backing up
sleep 0.2
`

const reportScript = `#!/bin/sh
echo '# TYPE report_rows gauge'
echo report_rows 12
`

func newBench(ctx context.Context, t *testing.T) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), gateway: "http://" + freeAddress(t)}
	start(t, env(t, "PUSHGATEWAY"), "--web.listen-address="+strings.TrimPrefix(b.gateway, "http://"))
	waitForReady(ctx, t, b.gateway+"/-/ready")
	for name, text := range map[string]string{"backup.sh": backupScript, "report.sh": reportScript} {
		if err := os.Chmod(write(t, b.dir, name, text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(env(t, "CTON"), filepath.Join(b.dir, "cton")); err != nil {
		t.Fatal(err)
	}
	b.replace = strings.NewReplacer("/usr/local/bin", b.dir, "http://pushgateway:9091", b.gateway, "/var/lib/cton", filepath.Join(b.dir, "state"))
	return b
}

// example returns the text of an example, with the programs and addresses of this host in place of the example's own.
func (b *bench) example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../examples/batch/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b.replace.Replace(string(text))
}

// run runs a command, which must succeed and log nothing. The environment of the command has only the given variables, HOME, LOGNAME and
// SHELL.
func (b *bench) run(t *testing.T, vars []string, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = b.dir, append([]string{"HOME=" + b.dir, "LOGNAME=root", "SHELL=/bin/sh"}, vars...)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "level=") {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

// pushed returns the values in the Pushgateway. A key is a metric's name, followed by the values of its labels job, branch and result, each
// after a comma. The key of push_time_seconds also has the value of the label instance.
func (b *bench) pushed(t *testing.T) map[string]float64 {
	t.Helper()
	r, err := http.Get(b.gateway + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			labels := ""
			for _, l := range m.Label {
				if l.GetName() == "job" || l.GetName() == "branch" || l.GetName() == "result" || l.GetName() == "instance" && name == "push_time_seconds" {
					labels += "," + l.GetValue()
				}
			}
			all[name+labels] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return all
}

func (b *bench) want(t *testing.T, want map[string]float64) {
	t.Helper()
	got := b.pushed(t)
	for series, v := range want {
		if got[series] != v {
			t.Errorf("%s is %g, want %g", series, got[series], v)
		}
	}
	if t.Failed() {
		t.Logf("pushed is %v", got)
	}
}

// TestCrontab checks the crontab of the examples. It runs the crontab's commands in the same way as cron.
func TestCrontab(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b := newBench(ctx, t)
	vars := []string{"CTON_STATE_DIR=" + filepath.Join(b.dir, "state")}
	runs := 0
	for line := range strings.Lines(b.example(t, "crontab")) {
		line = strings.TrimSpace(line)
		if name, _, found := strings.Cut(line, "="); found && !strings.ContainsAny(name, " #") {
			vars = append(vars, line)
			continue
		}
		if fields := regexp.MustCompile(`^((?:\S+\s+){5})(.+)$`).FindStringSubmatch(line); fields != nil && line[0] != '#' {
			command, _, _ := strings.Cut(fields[2], "%") // in a crontab, a command ends at %
			b.run(t, vars, "/bin/sh", "-c", command)
			b.run(t, vars, "/bin/sh", "-c", command)
			runs++
		}
	}
	if runs != 2 {
		t.Fatalf("the crontab has %d commands", runs)
	}
	b.want(t, map[string]float64{
		"cton_exec_runs_total,backup,success": 2, "cton_exec_last_success,backup": 1, "cton_exec_runs_total,report,success": 2, "report_rows,report": 12,
	})
	got := b.pushed(t)
	if next := got["cton_exec_next_run_timestamp_seconds,report"] - got["cton_exec_last_start_timestamp_seconds,report"]; next != 300 {
		t.Errorf("the next report is expected after %g s", next)
	}
	if next := time.Unix(int64(got["cton_exec_next_run_timestamp_seconds,backup"]), 0); next.Hour() != 3 || next.Minute() != 0 || time.Until(next) > 24*time.Hour {
		t.Errorf("the next backup is expected at %s", next)
	}
}

// TestTimer checks the service of the examples. It runs the service in the same way as systemd: with the service's variables, and with its
// command split into words.
func TestTimer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b := newBench(ctx, t)
	var vars, command []string
	for line := range strings.Lines(b.example(t, "backup.service")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "Environment":
			vars = append(vars, strings.Fields(value)...)
		case "ExecStart":
			command = strings.Fields(value)
		}
	}
	b.run(t, vars, command...)
	b.want(t, map[string]float64{"cton_exec_runs_total,backup,success": 1})
}

// TestGitLab checks the job of the examples. It runs the job in the same way as a runner's shell, on two machines that share the cache.
func TestGitLab(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b := newBench(ctx, t)
	var file map[string]struct {
		Variables map[string]string
		Script    []string
	}
	if err := yaml.Unmarshal([]byte(b.example(t, "gitlab-ci.yml")), &file); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		vars := []string{"PATH=" + b.dir + ":/usr/bin:/bin", "CI_PROJECT_NAME=shop", "CI_JOB_NAME=nightly", "CI_COMMIT_REF_NAME=main", "CI_PROJECT_DIR=" + b.dir}
		for name, value := range file["nightly"].Variables {
			vars = append(vars, name+"="+os.Expand(value, func(string) string { return b.dir }))
		}
		b.run(t, vars, "/bin/bash", "-eo", "pipefail", "-c", strings.Join(file["nightly"].Script, "\n"))
	}
	b.want(t, map[string]float64{"cton_exec_runs_total,main,shop-nightly,success": 2})
}

// TestCronJob checks the container of the examples. It runs the container's command with the container's variables, for two pods with one
// volume.
func TestCronJob(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b := newBench(ctx, t)
	var file struct {
		Spec struct {
			JobTemplate struct {
				Spec struct {
					Template struct {
						Spec struct {
							Containers []struct {
								Command []string
								Env     []struct{ Name, Value string }
							}
						}
					}
				}
			} `yaml:"jobTemplate"`
		}
	}
	if err := yaml.Unmarshal([]byte(b.example(t, "cronjob.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	container := file.Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	var vars []string
	for _, v := range container.Env {
		vars = append(vars, v.Name+"="+v.Value)
	}
	for range 2 {
		b.run(t, vars, container.Command...)
	}
	b.want(t, map[string]float64{"cton_exec_runs_total,backup,success": 2, "cton_exec_last_success,backup": 1})
	if pushed := b.pushed(t); pushed["push_time_seconds,,backup"] == 0 { // without an instance
		t.Errorf("the group has an instance: %v", pushed)
	}
}
