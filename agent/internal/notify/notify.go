// Package notify reports the state of the process to the service manager that has started it. It uses the protocol of
// sd_notify(3) of systemd. Without such a manager it does nothing.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Manager is the connection to the service manager. The methods of a nil Manager do nothing.
type Manager struct {
	conn     *net.UnixConn
	watchdog time.Duration // longest time between two reports of Beat; 0 = none are expected
	log      *slog.Logger
}

// Connect connects to the service manager that the environment names. It removes the manager's variables from the environment, so that
// commands started by this process do not report to the manager themselves. It returns nil if the environment names no manager, or if
// connecting fails. Errors are logged, because the process can run without the manager.
func Connect(log *slog.Logger) *Manager {
	socket, period, pid := take("NOTIFY_SOCKET"), take("WATCHDOG_USEC"), take("WATCHDOG_PID")
	if socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		log.Warn("the service manager of NOTIFY_SOCKET cannot be notified; systemd ends a service of Type=notify because of it", "error", err)
		return nil
	}
	m := &Manager{conn: conn, log: log}
	if period != "" && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		m.watchdog, err = time.ParseDuration(period + "us")
		if err != nil || m.watchdog < minWatchdog {
			log.Warn("WATCHDOG_USEC is not a number of microseconds, at least 1000; there is no watchdog", "value", period)
			m.watchdog = 0
		}
	}
	return m
}

// minWatchdog is the shortest period of a watchdog.
const minWatchdog = time.Millisecond

// take returns the value of an environment variable and removes the variable.
func take(name string) string {
	value := os.Getenv(name)
	os.Unsetenv(name)
	return value
}

// Close closes the connection.
func (m *Manager) Close() {
	if m != nil {
		m.conn.Close()
	}
}

// Ready reports that the start or a reload has ended. The argument "status" is one line of text for users.
func (m *Manager) Ready(status string) { m.send("READY=1", "STATUS="+status) }

// Reloading reports that a reload has begun. Ready must follow.
func (m *Manager) Reloading() { m.send("RELOADING=1", "STATUS=reloading the configuration") }

// Stopping reports that the process is stopping.
func (m *Manager) Stopping() { m.send("STOPPING=1", "STATUS=stopping: delivering what is left") }

// Beat reports that the process is alive: three times in each period of the watchdog, until ctx ends. Before each report it calls the
// function "alive". As long as that function does not return, nothing is reported, so the manager restarts the service.
func (m *Manager) Beat(ctx context.Context, alive func()) {
	if m == nil || m.watchdog == 0 {
		return
	}
	tick := time.NewTicker(m.watchdog / 3)
	defer tick.Stop()
	for {
		alive()
		m.send("WATCHDOG=1")
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sendTimeout is the time limit for a report. Perhaps the manager does not read.
const sendTimeout = time.Second

// send sends the lines of a report. Line breaks within a line are replaced, because each would start another line.
func (m *Manager) send(lines ...string) {
	if m == nil {
		return
	}
	for i, l := range lines {
		lines[i] = strings.ReplaceAll(l, "\n", " ")
	}
	_ = m.conn.SetWriteDeadline(time.Now().Add(sendTimeout)) // fails only if the connection is closed; Write fails then too
	if _, err := m.conn.Write([]byte(strings.Join(lines, "\n"))); err != nil && !errors.Is(err, net.ErrClosed) {
		m.log.Warn("the service manager cannot be notified; systemd may restart a service of Type=notify because of it", "error", err)
	}
}
