package webserver

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Durations for refused connections.
const (
	refusalTime  = 100 * time.Millisecond // timeout for writing the answer; the system's send buffer takes it at once
	refusalPause = time.Minute            // minimum time between two log lines
)

// limited is a listener with a maximum number of open connections. When a new connection comes and the maximum number is already open, the
// connection that has been idle for the longest time is closed. If no connection is idle, the new one is refused.
type limited struct {
	net.Listener
	most   int
	answer []byte // the answer to a refused connection; nil = no answer, since the client expects TLS
	log    *slog.Logger

	mu      sync.Mutex
	idle    map[*counted]time.Time // the time when each open connection became idle; the zero time = not idle
	refused int                    // connections refused since logged
	logged  time.Time              // when refusals were last logged
}

func newLimited(l net.Listener, most int, isTLS bool, log *slog.Logger) *limited {
	limit := &limited{Listener: l, most: most, log: log, idle: map[*counted]time.Time{}}
	if !isTLS {
		text := fmt.Sprintf("too many connections at once: %d are open, and none is idle; close some, or try again later\n", most)
		limit.answer = fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 10\r\n"+
			"Connection: close\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
	return limit
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		counted := &counted{Conn: c, of: l}
		if l.admit(counted) {
			return counted, nil
		}
		if l.answer != nil {
			_ = c.SetWriteDeadline(time.Now().Add(refusalTime))
			_, _ = c.Write(l.answer) // an error means that the client has gone
		}
		c.Close()
	}
}

// admit adds a connection to the open ones. If the maximum number is already open, it first closes the connection that has been idle for
// the longest time. If no connection is idle, it adds none and returns false.
func (l *limited) admit(c *counted) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.idle) >= l.most {
		oldest := l.oldest()
		if oldest == nil {
			l.refuse()
			return false
		}
		delete(l.idle, oldest)
		oldest.Conn.Close()
	}
	l.idle[c] = time.Time{}
	return true
}

// oldest returns the connection that has been idle for the longest time, or nil if no connection is idle. The caller holds mu.
func (l *limited) oldest() (oldest *counted) {
	for c, since := range l.idle {
		if !since.IsZero() && (oldest == nil || since.Before(l.idle[oldest])) {
			oldest = c
		}
	}
	return oldest
}

// refuse counts a refused connection, and logs the number at most once per refusalPause. The caller holds mu.
func (l *limited) refuse() {
	l.refused++
	if now := time.Now(); now.Sub(l.logged) >= refusalPause {
		l.log.Warn("connections are refused: too many are open, and none is idle", "listen", l.Addr().String(), "open", l.most, "refused", l.refused)
		l.refused, l.logged = 0, now
	}
}

// state records whether a connection is idle. The method is the hook http.Server.ConnState.
func (l *limited) state(c net.Conn, s http.ConnState) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	counted, ok := c.(*counted)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := l.idle[counted]; !open {
		return
	}
	l.idle[counted] = time.Time{}
	if s == http.StateIdle {
		l.idle[counted] = time.Now()
	}
}

// counted is a connection that its listener counts as open. When the connection is closed, it is removed from the listener's open
// connections.
type counted struct {
	net.Conn
	of *limited
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.of.mu.Lock()
	delete(c.of.idle, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
