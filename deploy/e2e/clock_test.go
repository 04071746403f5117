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

// stepping is what the overlay adds to Go's package time: its clock jumps once, as the kernel's does when it is set. The monotonic
// clock goes on. The environment says when and by how much, in seconds.
const stepping = `
var stepBy, stepAfter = stepOf("STEP_BY"), stepOf("STEP_AFTER")

func stepOf(name string) int64 {
	text, _ := syscall.Getenv(name)
	n, err := atoi(text)
	if err != nil {
		return 0
	}
	return int64(n)
}

func steppingNow() (sec int64, nsec int32, mono int64) {
	sec, nsec, mono = runtimeNow()
	if stepBy != 0 && mono-startNano >= stepAfter*int64(Second) {
		sec += stepBy
	}
	return sec, nsec, mono
}
`

// buildStepping builds the program with a clock that jumps. Nothing of it is in the program that ships.
func buildStepping(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	call := []byte("sec, nsec, mono := runtimeNow()\n\tif mono == 0 {")
	if bytes.Count(source, call) != 1 {
		t.Fatal("Go's package time reads the clock in another way than this test knows")
	}
	changed := bytes.Replace(source, call, bytes.Replace(call, []byte("runtimeNow"), []byte("steppingNow"), 1), 1)
	if !bytes.Contains(changed, []byte("\n\t\"syscall\"\n")) {
		changed = bytes.Replace(changed, []byte("import (\n"), []byte("import (\n\t\"syscall\"\n"), 1)
	}
	changed = append(changed, stepping...)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{name: write(t, dir, "time.go", string(changed))}})
	if err != nil {
		t.Fatal(err)
	}
	cton := filepath.Join(dir, "cton")
	build := exec.Command("go", "build", "-overlay", write(t, dir, "overlay.json", string(overlay)), "-o", cton, "../../agent/cton")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return cton
}

// TestClock sets the clock of the running program, and checks that its jobs go on, that the receiver gets samples of the new time,
// and that the jump is told.
func TestClock(t *testing.T) {
	t.Parallel()
	cton := buildStepping(t)
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
	agent.Env = append(os.Environ(), fmt.Sprintf("STEP_BY=%d", int(by.Seconds())), fmt.Sprintf("STEP_AFTER=%d", int(stepAfter.Seconds())))
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
		return // a receiver whose clock is right refuses samples of the future
	}
	for name, want := range map[string]int64{"n_interval": interval.Load(), "n_cron": cron.Load()} {
		if got := prometheus.Value(t, time.Now().Add(by), name); got < float64(want-1) {
			t.Errorf("Prometheus has %s %v by the new clock, want %d", name, got, want)
		}
	}
}
