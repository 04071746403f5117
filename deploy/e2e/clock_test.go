//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	inprocess "github.com/collectington/collectington/sinks/sinktest/peers"
)

// stepping is code that the overlay adds to Go's package time. It makes the wall clock jump, as the kernel's clock does when it is set. The
// monotonic clock does not jump. An environment variable such as "6:-30 20:3600" has a list of jumps: after how many seconds the clock
// jumps, and by how many seconds.
const stepping = `
type clockStep struct{ after, by int64 }

var clockSteps = parseSteps()

func parseSteps() (steps []clockStep) {
	text, _ := syscall.Getenv("STEPS")
	for len(text) > 0 {
		var fields [2]string
		for i, end := range [2]byte{':', ' '} {
			n := 0
			for n < len(text) && text[n] != end {
				n++
			}
			fields[i] = text[:n]
			text = text[min(n+1, len(text)):]
		}
		after, _ := atoi(fields[0])
		by, _ := atoi(fields[1])
		steps = append(steps, clockStep{int64(after), int64(by)})
	}
	return steps
}

func steppingNow() (sec int64, nsec int32, mono int64) {
	sec, nsec, mono = runtimeNow()
	for _, s := range clockSteps {
		if mono-startNano >= s.after*int64(Second) {
			sec += s.by
		}
	}
	return sec, nsec, mono
}
`

// buildChanged builds the program with two changes, which are not in the released program: its clock jumps, and it looks up names in the
// file that the variable HOSTS names.
func buildChanged(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src")
	call := "sec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	hosts := `hostsFilePath = "/etc/hosts"`
	clock, net := filepath.Join(source, "time", "time.go"), filepath.Join(source, "net", "hook_unix.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		clock: write(t, dir, "time.go", changed(t, clock, call, strings.Replace(call, "runtimeNow", "steppingNow", 1))+stepping),
		net:   write(t, dir, "hook_unix.go", changed(t, net, hosts, `hostsFilePath, _ = syscall.Getenv("HOSTS")`)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	cton := filepath.Join(dir, "cton")
	build := exec.Command("go", "build", "-overlay", write(t, dir, "overlay.json", string(overlay)), "-o", cton, "../../agent/cton")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return cton
}

// changed returns a file of Go's library with two changes: a text is replaced by another one, and the file imports syscall. The original
// file must contain the replaced text exactly once.
func changed(t *testing.T, name, from, to string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(text, []byte(from)) != 1 {
		t.Fatalf("%s has changed: it does not have %q once", name, from)
	}
	now := strings.Replace(string(text), from, to, 1)
	if !strings.Contains(now, `"syscall"`) {
		now = strings.Replace(now, "import (\n", "import (\n\t\"syscall\"\n", 1)
	}
	return now
}

// TestClock makes the clock of the running program jump. It checks that the jobs go on, that the receiver gets samples with the new time,
// and that the jump is logged.
func TestClock(t *testing.T) {
	t.Parallel()
	cton := buildChanged(t)
	for _, by := range []time.Duration{-30 * time.Second, -time.Hour, -24 * time.Hour, time.Hour, 49 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) { t.Parallel(); step(t, cton, by) })
	}
}

const stepAfter = 6 * time.Second

func step(t *testing.T, cton string, by time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var interval, cron atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := &interval
		if r.URL.Path == "/cron" {
			n = &cron
		}
		fmt.Fprintf(w, `{"n": %d}`, n.Add(1))
	}))
	defer api.Close()
	prometheus := inprocess.NewOutOfOrder(t, 25*time.Hour)
	receiver := httptest.NewServer(prometheus)
	defer receiver.Close()
	page := freeAddress(t)
	agent := exec.Command(cton, "run", "-c", write(t, t.TempDir(), "cton.yaml", fmt.Sprintf(`
sinks:
  page: {expose: {listen: %q}}
  rw: {remote_write: {url: %q}}
jobs:
  interval: {schedule: "@every 1s", http: {url: "%s/interval"}, metrics: {n_interval: {type: gauge, help: H, value: .n}}}
  cron: {schedule: "* * * * * *", http: {url: "%s/cron"}, metrics: {n_cron: {type: gauge, help: H, value: .n}}}
`, page, receiver.URL, api.URL, api.URL)))
	agent.Env = append(os.Environ(), fmt.Sprintf("STEPS=%d:%d", int(stepAfter.Seconds()), int(by.Seconds())), "HOSTS=/etc/hosts")
	p := startCommand(t, agent)
	time.Sleep(stepAfter)
	poll(ctx, t, "wait for the jump to be told", func() error {
		if !strings.Contains(p.out.String(), "the clock has jumped") {
			return fmt.Errorf("the program wrote:\n%s", p.out)
		}
		return nil
	})
	beforeInterval, beforeCron := interval.Load(), cron.Load()
	time.Sleep(6 * time.Second)
	if a, b := interval.Load()-beforeInterval, cron.Load()-beforeCron; a < 4 || b < 4 {
		t.Errorf("in 6 seconds after the jump the jobs ran %d and %d times", a, b)
	}
	poll(ctx, t, "wait for the page to count the jump", func() error {
		response, err := http.Get("http://" + page + "/metrics")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && !strings.Contains(string(text), "\ncton_clock_jumps_total 1\n") {
			err = fmt.Errorf("the page is\n%s", text)
		}
		return err
	})
	p.stop(t, 20*time.Second)
	if by > 0 {
		return // a receiver whose clock is right refuses samples from the future
	}
	for name, want := range map[string]int64{"n_interval": interval.Load(), "n_cron": cron.Load()} {
		if got := prometheus.Value(t, time.Now().Add(by), name); got < float64(want-1) {
			t.Errorf("Prometheus has %s %v by the new clock, want %d", name, got, want)
		}
	}
}
