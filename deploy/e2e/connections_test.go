//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestConnections opens 3,000 connections to the listener of the status page and to that of an expose sink, and keeps them open. Some
// connections send nothing, some never end their request, and some request pages or streams and do not read them. Meanwhile jobs must run
// on time, memory and open files must stay bounded, and refused connections must get an answer. Afterwards the page must be available.
func TestConnections(t *testing.T) {
	t.Parallel()
	const connections, held = 3000, 200 + 500
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var mu sync.Mutex
	var runs []time.Time
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		runs = append(runs, time.Now())
		mu.Unlock()
		fmt.Fprint(w, `{"items": [`+strings.TrimSuffix(strings.Repeat(`{"n": 1},`, 5000), ",")+`]}`)
	}))
	t.Cleanup(api.Close)
	listeners := []string{freeAddress(t), freeAddress(t)}
	agent := start(t, env(t, "CTON"), "run", "-c", write(t, t.TempDir(), "cton.yaml", fmt.Sprintf(`
web: {listen: %q}
sinks: {page: {expose: {listen: %q}}}
jobs: {many: {schedule: "@every 1s", http: {url: %q}, metrics: {items: {type: gauge, help: H., items: ".items | to_entries[]", value: .value.n, labels: {i: .key}}}}}
`, listeners[0], listeners[1], api.URL)))
	pid := agent.cmd.Process.Pid
	waitForReady(ctx, t, "http://"+listeners[0]+"/-/ready")
	poll(ctx, t, "five runs", func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(runs) < 5 {
			return errors.New("not yet")
		}
		return nil
	})
	before := peakMemory(t, pid)
	began := time.Now()

	requests := []string{"", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "GET /jobs/many HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /events?page=/jobs/many HTTP/1.1\r\nHost: localhost\r\n\r\n"}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for i := range connections {
		c, err := net.Dial("tcp", listeners[i%2])
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		open = append(open, c)
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		_, _ = io.WriteString(c, requests[i/2%len(requests)]) // an error means that the connection was refused
	}
	time.Sleep(4 * time.Second) // several runs
	if files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err != nil || len(files) > held+50 {
		t.Errorf("the agent has %d open files, %v", len(files), err)
	}
	refused, told := 0, 0
	for _, c := range slices.Backward(open) { // the last ones
		if refused == 1000 {
			break
		}
		refused++
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		answer := make([]byte, 1000)
		if n, _ := c.Read(answer); strings.HasPrefix(string(answer[:n]), "HTTP/1.1 503 ") && strings.Contains(string(answer[:n]), "too many") {
			told++
		}
	}
	took := time.Since(began)
	after := peakMemory(t, pid)
	t.Logf("%d connections in %s: of the last %d, %d read that there are too many; the peak of the agent's memory was %d MiB before and is %d MiB", connections, took, refused, told, before>>20, after>>20)
	if told < refused/2 {
		t.Errorf("of %d connections, %d read that there are too many", refused, told)
	}
	if after-before > 64<<20 {
		t.Errorf("the peak of the memory rose by %d MiB", (after-before)>>20)
	}
	mu.Lock()
	longest := time.Duration(0)
	for i := 1; i < len(runs); i++ {
		longest = max(longest, runs[i].Sub(runs[i-1]))
	}
	mu.Unlock()
	t.Logf("the longest time between two runs of every second was %s", longest)
	if longest > 5*time.Second { // the machine may be busy
		t.Errorf("a run of every second came after %s", longest)
	}
	if n := strings.Count(agent.out.String(), "connections are refused"); n < 1 || n > 4 {
		t.Errorf("%d lines of the log tell of it:\n%s", n, agent.out)
	}
	for _, c := range open {
		c.Close()
	}
	waitForReady(ctx, t, "http://"+listeners[0]+"/-/ready")
	agent.stop(t, 20*time.Second)
}

// peakMemory returns the largest resident size that a process has had, in bytes.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	kib, err := strconv.Atoi(string(regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
