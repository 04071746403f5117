//go:build unix

package agent_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// batch is a host whose crontab runs the command "cton once" again and again. All these processes share one state file, one spool and one
// Pushgateway.
type batch struct {
	*testing.T
	dir        string
	gateway    *peers.Pushgateway
	prometheus *peers.Prometheus
	down       atomic.Bool  // whether the receiver of remote-write is down
	refused    atomic.Int32 // number of remote-write requests in which something was refused
}

// newBatch returns a host with the given jobs. The keys of the map "jobs" are the names of the jobs, and its values are their scripts.
// Each job also counts the runs of its script.
func newBatch(t *testing.T, jobs map[string]string) *batch {
	t.Helper()
	b := &batch{T: t, dir: t.TempDir(), gateway: peers.NewPushgateway(t), prometheus: peers.NewPrometheus(t)}
	gateway := httptest.NewServer(b.gateway)
	t.Cleanup(gateway.Close)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		b.prometheus.ServeHTTP(&refusals{w, &b.refused}, r)
	}))
	t.Cleanup(receiver.Close)
	text := fmt.Sprintf(`
state_file: state
external_labels: {instance: test}
sinks:
  gw: {pushgateway: {url: %q}}
  rw: {remote_write: {url: %q, spool: {dir: spool}}}
jobs:
`, gateway.URL, receiver.URL+"/api/v1/write")
	for name, script := range jobs {
		text += fmt.Sprintf(`
  %s:
    schedule: "0 3 * * *"
    timeout: TIMEOUT
    exec: {shell: %q, document: result}
    metrics:
      %[1]s_runs_total: {type: counter, from: increment, value: 1}
      %[1]s_exit_code: {type: gauge, value: .exit_code}
`, name, script)
	}
	for file, timeout := range map[string]string{"cton.yaml": "60s", "hasty.yaml": "1s"} {
		if err := os.WriteFile(filepath.Join(b.dir, file), []byte(strings.ReplaceAll(text, "TIMEOUT", timeout)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// refusals counts the responses that refuse a request.
type refusals struct {
	http.ResponseWriter
	count *atomic.Int32
}

func (r *refusals) WriteHeader(code int) {
	if code == http.StatusBadRequest {
		r.count.Add(1)
	}
	r.ResponseWriter.WriteHeader(code)
}

// noneRefused checks that the receiver of remote-write has refused no request. The receiver refuses a request with samples that are out
// of order, such as a second zero at the start of a counter.
func (b *batch) noneRefused() {
	b.Helper()
	if n := b.refused.Load(); n > 0 {
		b.Errorf("the receiver has refused %d requests", n)
	}
}

// once is a process that runs cton once.
type once struct {
	*exec.Cmd
	log *lockedText
}

// start starts cton once with arguments.
func (b *batch) start(args ...string) *once {
	b.Helper()
	o := &once{exec.Command("cton", append([]string{"once"}, args...)...), &lockedText{}}
	o.Dir, o.Stdout, o.Stderr = b.dir, o.log, o.log
	if err := o.Start(); err != nil {
		b.Fatal(err)
	}
	return o
}

// ends waits until a process has ended and checks its exit code. It returns what the process has logged.
func (b *batch) ends(o *once, code int) string {
	b.Helper()
	err := o.Wait()
	if got := o.ProcessState.ExitCode(); got != code {
		b.Errorf("%q: exit code %d, want %d: %v\n%s", o.Args, got, code, err, o.log)
	}
	return o.log.String()
}

// shows checks that the Pushgateway has a line.
func (b *batch) shows(want string) {
	b.Helper()
	if text := b.gateway.Text(b.T); !slices.Contains(strings.Split(text, "\n"), want) {
		b.Errorf("the Pushgateway does not show %s, but\n%s", want, text)
	}
}

// stored fails the test unless Prometheus has stored the wanted values of a series, in the wanted order.
func (b *batch) stored(selector, want string) {
	b.Helper()
	if got := valuesOf(b.T, b.prometheus, selector); got != want {
		b.Errorf("%s: stored are %s, want %s", selector, got, want)
	}
}

// waitFor waits until a file exists.
func (b *batch) waitFor(file string) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(b.dir, file)); err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s does not appear", file)
		}
	}
}

// puts waits until a process has started its sinks and has logged that another process is the one that sends from the spool.
func (b *batch) puts(o *once) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(o.log.String(), "another process sends from the spool"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%q does not get to the spool:\n%s", o.Args, o.log)
		}
	}
}

func (b *batch) touch(file string) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, file), nil, 0o600); err != nil {
		b.Fatal(err)
	}
}

// TestBatchTogether checks that every run is counted when many runs, of different jobs and of the same job, start at the same moment.
func TestBatchTogether(t *testing.T) {
	jobs := []string{"a", "b", "c", "d"}
	b := newBatch(t, map[string]string{"a": ":", "b": "exit 1", "c": "sleep 0.1", "d": ":"})
	const each = 5
	var all sync.WaitGroup
	for range each {
		for _, job := range jobs {
			all.Go(func() {
				o := &once{exec.Command("cton", "once", job), &lockedText{}}
				o.Dir, o.Stderr = b.dir, o.log
				if err := o.Run(); err != nil {
					t.Errorf("%q: %v\n%s", o.Args, err, o.log)
				}
			})
		}
	}
	all.Wait()
	for _, job := range jobs {
		b.shows(fmt.Sprintf(`%s_runs_total{instance="test",job=%[1]q} %d`, job, each))
		b.shows(fmt.Sprintf(`cton_job_up{cton_job=%q,instance="test",job="cton"} 1`, job))
		b.stored(job+"_runs_total", "0 1 2 3 4 5")
		b.stored(fmt.Sprintf(`cton_job_runs_total{cton_job=%q,result="success"}`, job), "0 1 2 3 4 5")
	}
	b.noneRefused()
	if text := b.gateway.Text(t); strings.Contains(text, "last_success_timestamp_seconds{") && strings.Contains(text, `job="cton"} 0`+"\n# TYPE cton_job_last_success") {
		t.Errorf("a last success is 0:\n%s", text)
	}
	if left, _ := filepath.Glob(filepath.Join(b.dir, "spool", "*", "*.rec")); len(left) > 0 {
		t.Errorf("left in the spool: %q", left)
	}
	if left, _ := filepath.Glob(filepath.Join(b.dir, "spool", "*.rec")); len(left) > 0 {
		t.Errorf("left in the spool: %q", left)
	}
}

// TestBatchTurns checks what can happen while a job runs for long. Other jobs can run. Another run of the same job waits for its turn. If a
// process is killed, its turn passes to the next process.
func TestBatchTurns(t *testing.T) {
	b := newBatch(t, map[string]string{"fast": ":", "slow": "touch started; while [ ! -e go ]; do sleep 0.05; done"})
	b.ends(b.start("fast"), 0)
	long := b.start("slow")
	b.waitFor("started")

	began := time.Now()
	log := b.ends(b.start("-c", "hasty.yaml", "slow"), 3)
	if want := fmt.Sprintf("cton: not run: slow: it is in use by process %d, which has not finished within 1s (timeout)\n", long.Process.Pid); !strings.HasSuffix(log, want) {
		t.Errorf("got %s, want %s", log, want)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("waited only %s", took)
	}
	b.ends(b.start("fast"), 0)
	b.ends(b.start("-c", "hasty.yaml", "fast", "slow"), 3)
	b.shows(`fast_runs_total{instance="test",job="fast"} 3`)

	// Both processes start before the first run is counted. So the counters of each process begin after that process has started.
	next, last := b.start("slow"), b.start("slow")
	b.puts(next)
	b.puts(last)
	if err := long.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	b.ends(long, -1)
	b.touch("go")
	b.ends(next, 0)
	b.ends(last, 0)
	b.shows(`slow_runs_total{instance="test",job="slow"} 2`)
	b.stored(`cton_job_runs_total{cton_job="slow",result="success"}`, "0 1 2")
	b.shows(`fast_runs_total{instance="test",job="fast"} 3`)
	b.shows(`cton_job_up{cton_job="fast",instance="test",job="cton"} 1`)
	b.stored("slow_runs_total", "0 1 2")
	b.noneRefused()
}

// TestBatchSpool checks that no run is lost while the receiver is down, and that the next run of a job does not wait until the previous run
// is delivered.
func TestBatchSpool(t *testing.T) {
	b := newBatch(t, map[string]string{"a": ":", "b": ":"})
	b.down.Store(true)
	undelivered := func(job string) {
		t.Helper()
		log := b.ends(b.start("-c", "hasty.yaml", job, "--deadline", "1s"), 3)
		if !strings.HasSuffix(log, "cton: not everything was delivered to rw\n") {
			t.Errorf("got %s", log)
		}
	}
	owner := b.start("a", "--deadline", "60s")
	b.waitForSpool()
	undelivered("b")
	undelivered("a")
	guest := b.start("b", "--deadline", "60s")
	undelivered("a")
	b.down.Store(false)
	b.ends(owner, 0)
	b.ends(guest, 0)
	b.stored("a_runs_total", "0 1 2 3")
	b.stored("b_runs_total", "0 1 2")
	if left, _ := filepath.Glob(filepath.Join(b.dir, "spool", "*", "*.rec")); len(left) > 0 {
		t.Errorf("left in the spool: %q", left)
	}
}

// waitForSpool waits until a process has put samples into the spool.
func (b *batch) waitForSpool() {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if files, _ := filepath.Glob(filepath.Join(b.dir, "spool", "*.rec")); len(files) > 0 {
			return
		}
		if time.Now().After(deadline) {
			b.Fatal("nothing gets into the spool")
		}
	}
}

// TestBatchKilled checks that no run is counted twice although runs are killed at any moment, and that later runs continue from the counts
// of earlier ones.
func TestBatchKilled(t *testing.T) {
	b := newBatch(t, map[string]string{"a": "echo >> ran", "b": ":"})
	for i := range 12 {
		other, killed := b.start("b"), b.start("a")
		time.AfterFunc(time.Duration(i)*15*time.Millisecond, func() { _ = killed.Process.Kill() })
		var failed *exec.ExitError
		if err := killed.Wait(); err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		b.ends(other, 0)
	}
	b.ends(b.start("a"), 0)
	b.shows(`b_runs_total{instance="test",job="b"} 12`)
	b.stored("b_runs_total", "0 1 2 3 4 5 6 7 8 9 10 11 12")
	all := strings.Fields(valuesOf(t, b.prometheus, "a_runs_total"))
	for i, value := range all {
		if value != fmt.Sprint(i) {
			t.Errorf("stored are %q", all)
			break
		}
	}
	ran, err := os.ReadFile(filepath.Join(b.dir, "ran"))
	if err != nil || len(all) == 0 || len(all)-1 > bytes.Count(ran, []byte("\n")) {
		t.Errorf("%d runs, %q stored, %v", bytes.Count(ran, []byte("\n")), all, err)
	}
}
