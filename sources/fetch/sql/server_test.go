package sql

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// serve answers each connection until the test ends. It returns the address.
func serve(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answer(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// TestServerIsNotADatabase connects to servers with another protocol. Tests with real databases are in deploy/e2e.
func TestServerIsNotADatabase(t *testing.T) {
	zeros := bytes.Repeat([]byte{0}, 1<<16)
	for name, answer := range map[string]func(net.Conn){
		"closes": func(net.Conn) {},
		"silent": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, // until the other end closes
		"web":    func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") },
		"endless": func(c net.Conn) {
			for err := error(nil); err == nil; _, err = c.Write(zeros) {
			}
		},
		"huge": func(c net.Conn) { _, _ = c.Write([]byte("R\x7f\xff\xff\xff")); _, _ = io.Copy(io.Discard, c) },
	} {
		address := serve(t, answer)
		for driver, dsn := range map[string]string{
			"postgres": "postgres://agent:hunter22@" + address + "/x?sslmode=disable",
			"mysql":    "agent:hunter22@tcp(" + address + ")/x",
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			start := time.Now()
			got := fetch(t, ctx, fresh(t, "", dsn, "{driver: "+driver+", dsn: env:DSN, query: SELECT 1}"))
			cancel()
			if !strings.HasPrefix(got, "query "+driver+": ") || strings.Contains(got, "hunter22") || strings.Contains(got, "failed to") || time.Since(start) > 2*time.Second {
				t.Errorf("%s: %s after %s", name, got, time.Since(start))
			}
			t.Logf("%s: %s", name, got)
		}
	}
}

func TestWireIsBounded(t *testing.T) {
	address := serve(t, func(c net.Conn) { _, _ = c.Write(make([]byte, 3*handshake)) })
	w := newWire(nil)
	w.allow(handshake)
	conn, err := w.dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	n, err := io.Copy(io.Discard, conn)
	if !errors.Is(err, errWire) || n > 2*handshake || !w.isSpent() {
		t.Errorf("%d bytes, %v", n, err)
	}
	w.allow(2 * handshake)
	if w.isSpent() {
		t.Error("the limit of a tick applies to the next one")
	}
}

// fakeSession records whether it is closed.
type fakeSession struct {
	session
	closed bool
}

func (f *fakeSession) close() { f.closed = true }

func TestConnectionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a := &fetcher{config: &Config{Driver: Postgres}}, &fakeSession{}
		f.keep(a, "dsn")
		time.Sleep(maxIdle - time.Second)
		if f.take("dsn") != session(a) || f.take("dsn") != nil {
			t.Error("the connection is not kept for the next tick, or kept twice")
		}
		time.Sleep(2 * maxIdle)
		if a.closed {
			t.Error("a connection in use is closed")
		}
		f.keep(a, "dsn")
		if f.take("another") != nil || !a.closed {
			t.Error("a connection is used with another DSN")
		}
		b := &fakeSession{}
		f.keep(b, "dsn")
		time.Sleep(maxIdle + time.Second)
		synctest.Wait()
		if !b.closed || f.take("dsn") != nil {
			t.Error("an idle connection is not closed")
		}
	})
}

func TestErrorsWithoutSecrets(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://a:hunter22@[::1/x":                                "query postgres: " + errPostgresDSN.Error(),
		"host=x password=hunter22 sslmode=nonsense":                   "query postgres: " + errPostgresDSN.Error(),
		"postgres://a:hunter22@127.0.0.1:1/x?sslrootcert=/nowhere/ca": "query postgres: dsn: /nowhere/ca: no such file or directory",
		"postgres://a:hunter22@127.0.0.1:1/hunter22?sslmode=disable":  "query postgres: dial tcp 127.0.0.1:1: connect: connection refused: is the database running, and is its address in dsn right?",
	} {
		if got := fetch(t, t.Context(), fresh(t, "", dsn, "{driver: postgres, dsn: env:DSN, query: SELECT 1}")); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", dsn, got, want)
		}
	}
	for dsn, want := range map[string]string{
		"a:hunter22@tcp(x/y":                   "query mysql: " + errMySQLDSN.Error(),
		"a:hunter22@tcp(x)/y?tls=hunter22":     "query mysql: " + errMySQLDSN.Error(),
		"a:hunter22@tcp(127.0.0.1:1)/hunter22": "query mysql: dial tcp 127.0.0.1:1: connect: connection refused: is the database running, and is its address in dsn right?",
		"a:hunter22@unix(/nowhere/hunter22)/y": "query mysql: dial unix /nowhere/<secret>: connect: no such file or directory: is the database running, and is its address in dsn right?",
	} {
		if got := fetch(t, t.Context(), fresh(t, "", dsn, "{driver: mysql, dsn: env:DSN, query: SELECT 1}")); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", dsn, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-07-01 12:00:00":              "2026-07-01T12:00:00Z",
		"2026-07-01 12:00:00.123456+05:30": "2026-07-01T06:30:00.123456Z",
		"2026-07-01 12:00:00-08":           "2026-07-01T20:00:00Z",
		"1850-01-01 00:00:00+00:19:32":     "1849-12-31T23:40:28Z",
		"2026-07-01T12:00:00Z":             "2026-07-01T12:00:00Z",
		"2026-07-01 12:00":                 "2026-07-01T12:00:00Z",
		"2026-07-01":                       "",
		"infinity":                         "",
		"0044-03-15 00:00:00 BC":           "",
		"2026-02-30 00:00:00":              "",
	} {
		got, ok := parseTime(text)
		if ok != (want != "") || ok && got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %s, %t", text, got, ok)
		}
	}
}
