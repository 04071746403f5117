//go:build unix

package notify_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/internal/notify"
)

// manager listens in the same way as a service manager. The returned function "next" returns the next report, or "" if there is none.
func manager(t *testing.T) (next func() string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("NOTIFY_SOCKET", socket)
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return func() (report string) {
		err := raw.Read(func(fd uintptr) bool {
			text := make([]byte, 1024)
			n, _ := syscall.Read(int(fd), text) // fails if there is none: the socket does not block
			report = string(text[:max(n, 0)])
			return true
		})
		if err != nil {
			t.Error(err)
		}
		return report
	}
}

// TestReports checks what is sent, and that commands do not inherit the variables of the manager.
func TestReports(t *testing.T) {
	next := manager(t)
	m := notify.Connect(slog.Default())
	if m == nil {
		t.Fatal("not connected")
	}
	defer m.Close()
	if value, ok := os.LookupEnv("NOTIFY_SOCKET"); ok {
		t.Errorf("commands inherit NOTIFY_SOCKET=%s", value)
	}
	m.Ready("2 jobs\nREADY=0")
	m.Reloading()
	m.Stopping()
	m.Beat(t.Context(), func() { t.Error("a beat without a watchdog") })
	for _, want := range []string{
		"READY=1\nSTATUS=2 jobs READY=0", "RELOADING=1\nSTATUS=reloading the configuration", "STOPPING=1\nSTATUS=stopping: delivering what is left", "",
	} {
		if got := next(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestWatchdog checks that beats come within the period while the process is alive, and stop when it hangs.
func TestWatchdog(t *testing.T) {
	next := manager(t)
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	m := notify.Connect(slog.Default())
	if m == nil {
		t.Fatal("not connected")
	}
	defer m.Close()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		hang := make(chan struct{})
		var hung atomic.Bool
		go m.Beat(ctx, func() {
			if hung.Load() {
				<-hang
			}
		})
		count := func(d time.Duration) (n int) {
			time.Sleep(d)
			synctest.Wait()
			for r := next(); r != ""; r = next() {
				if r != "WATCHDOG=1" {
					t.Errorf("got %q", r)
				}
				n++
			}
			return n
		}
		if n := count(61 * time.Second); n != 7 {
			t.Errorf("%d beats in 61 s, want 7: at once and each 10 s", n)
		}
		hung.Store(true)
		if n := count(time.Minute); n != 0 {
			t.Errorf("%d beats of a process that hangs", n)
		}
		close(hang)
		cancel()
	})
}

// TestNone checks that nothing happens without a manager, and that a wrong environment is logged.
func TestNone(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	t.Setenv("NOTIFY_SOCKET", "")
	m := notify.Connect(logger)
	if m != nil || log.String() != "" {
		t.Fatalf("%v: %s", m, log.String())
	}
	m.Ready("")
	m.Reloading()
	m.Stopping()
	m.Beat(t.Context(), func() { t.Error("a beat without a manager") })
	m.Close()

	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "absent"))
	if m := notify.Connect(logger); m != nil || !strings.Contains(log.String(), "NOTIFY_SOCKET cannot be notified") {
		t.Errorf("no socket: %v: %s", m, log.String())
	}
	for _, period := range []string{"soon", "-5", "0", "1h", "9999999999999999999999"} {
		log.Reset()
		manager(t)
		t.Setenv("WATCHDOG_USEC", period)
		m := notify.Connect(logger)
		if m == nil || !strings.Contains(log.String(), "there is no watchdog\" value="+period) {
			t.Errorf("WATCHDOG_USEC=%s: %v: %s", period, m, log.String())
		}
		m.Beat(t.Context(), func() { t.Error("a beat without a watchdog") })
	}
}

// TestOtherProcess checks that no beats are sent if the watchdog is meant for another process.
func TestOtherProcess(t *testing.T) {
	manager(t)
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", "1")
	m := notify.Connect(slog.Default())
	if m == nil {
		t.Fatal("not connected")
	}
	defer m.Close()
	m.Beat(t.Context(), func() { t.Error("a beat for another process") })
}
