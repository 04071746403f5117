package webserver

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// dialed opens a connection, which is closed when the test ends.
func dialed(t *testing.T, to net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// TestLimited checks that connections beyond the maximum are refused, with an answer and a line in the log. A connection that ends makes
// room for another one.
func TestLimited(t *testing.T) {
	for name, isTLS := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			logged := &log{}
			l := newLimited(inner, 2, isTLS, slog.New(slog.NewTextHandler(logged, nil)))
			defer l.Close()
			accepted := make(chan net.Conn, 10)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					accepted <- c
				}
			}()
			dialed(t, inner.Addr())
			dialed(t, inner.Addr())
			first := <-accepted
			<-accepted
			for range 3 {
				answer, err := io.ReadAll(dialed(t, inner.Addr()))
				want := "HTTP/1.1 503 Service Unavailable"
				if isTLS {
					want = ""
				}
				if head, _, _ := strings.Cut(string(answer), "\r\n"); err != nil || head != want {
					t.Errorf("a refused connection gets %q, %v", answer, err)
				}
			}
			if n := strings.Count(logged.String(), "connections are refused"); n != 1 {
				t.Errorf("%d lines are logged:\n%s", n, logged)
			}
			first.Close()
			first.Close()
			dialed(t, inner.Addr())
			select {
			case <-accepted:
			case <-time.After(20 * time.Second):
				t.Error("a connection that has ended makes no room")
			}
		})
	}
}

// TestIdleMakesRoom checks that a new connection replaces the connection that has been idle for the longest time.
func TestIdleMakesRoom(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newLimited(inner, 2, false, slog.New(slog.DiscardHandler))
	idle := make(chan struct{}, 10)
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }),
		ConnState: func(c net.Conn, state http.ConnState) {
			if l.state(c, state); state == http.StateIdle {
				idle <- struct{}{}
			}
		},
		ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	ask := func(c net.Conn) string {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		answer := make([]byte, 1000)
		n, _ := c.Read(answer)
		return string(answer[:n])
	}
	var open []net.Conn
	for i := range 6 {
		c := dialed(t, inner.Addr())
		if answer := ask(c); !strings.HasSuffix(answer, "here") {
			t.Fatalf("connection %d gets %q", i, answer)
		}
		<-idle // the client has the answer before the server knows that the connection is idle
		open = append(open, c)
	}
	for i, want := range []string{"", "", "", "", "here", "here"} {
		if answer := ask(open[i]); !strings.HasSuffix(answer, want) || want == "" && answer != "" {
			t.Errorf("connection %d then gets %q", i, answer)
		}
	}
}
