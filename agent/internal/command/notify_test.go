//go:build unix

package command_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestServiceManager checks which messages systemd gets when the agent starts, reloads its configuration and stops.
func TestServiceManager(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "120000000")
	synctest.Test(t, func(t *testing.T) {
		const config = "sinks: {out: {print: {}}}\njobs:\n  api: {schedule: \"@every 10s\", faulty: {}}\n"
		file := write(t, "cton.yaml", config)
		var out, log strings.Builder
		app, reload := faultyApp(&out, &log, nil), make(chan os.Signal)
		app.Reload = reload
		ctx, cancel := context.WithCancel(t.Context())
		code := make(chan int)
		go func() { code <- app.Main(ctx, []string{"run", "-c", file}) }()
		for _, text := range []string{config + "  wrong: {}\n", config + "  added: {schedule: \"@every 10s\", faulty: {}}\n"} {
			time.Sleep(50 * time.Second)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Error(err)
			}
			reload <- os.Interrupt
		}
		time.Sleep(time.Second)
		cancel()
		if got := <-code; got != 0 {
			t.Errorf("exit code %d: %s", got, log.String())
		}
	})
	want := []string{
		"READY=1 STATUS=running: jobs: 1, sinks: 1", "WATCHDOG=1", "WATCHDOG=1",
		"RELOADING=1 STATUS=reloading the configuration", "READY=1 STATUS=the last reload failed: the configuration is wrong; the previous one stays in use", "WATCHDOG=1",
		"RELOADING=1 STATUS=reloading the configuration", "READY=1 STATUS=running: jobs: 2, sinks: 1", "STOPPING=1 STATUS=stopping: delivering what is left",
	}
	var got []string
	buffer := make([]byte, 1024)
	for range want {
		if err := manager.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := manager.Read(buffer)
		if err != nil {
			break
		}
		got = append(got, strings.ReplaceAll(string(buffer[:n]), "\n", " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
