package webserver

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Times of refusals.
const (
	refusalTime  = 100 * time.Millisecond // for the answer, which the system's buffer takes
	refusalPause = time.Minute            // between two lines of the log
)

// limited is a listener with a bound on its open connections. One beyond it takes the place of the connection that has been idle for the
// longest time. If none is idle it is refused.
type limited struct {
	net.Listener
	most   int
	answer []byte // to a connection that is refused; nil = none, since the client expects TLS
	log    *slog.Logger

	mu      sync.Mutex
	idle    map[*counted]time.Time // since when each open connection has been idle; zero = it is not
	refused int                    // since the last line of the log
	logged  time.Time
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

// admit reports whether there is room for a connection, and makes room if one is idle.
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

// oldest returns the connection that has been idle for the longest time, nil if none is. The caller holds mu.
func (l *limited) oldest() (oldest *counted) {
	for c, since := range l.idle {
		if !since.IsZero() && (oldest == nil || since.Before(l.idle[oldest])) {
			oldest = c
		}
	}
	return oldest
}

// refuse counts a connection that is refused, and logs that now and then. The caller holds mu.
func (l *limited) refuse() {
	l.refused++
	if now := time.Now(); now.Sub(l.logged) >= refusalPause {
		l.log.Warn("connections are refused: too many are open, and none is idle", "listen", l.Addr().String(), "open", l.most, "refused", l.refused)
		l.refused, l.logged = 0, now
	}
}

// state notes whether a connection is idle. It is for http.Server.ConnState.
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

// counted is a connection that makes room when it is closed.
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
