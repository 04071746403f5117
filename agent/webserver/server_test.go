package webserver

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// log is a log that can be read while it is written.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFileComesLate checks that the server waits for its web config file, and logs each reason for waiting once.
func TestFileComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, logged := filepath.Join(t.TempDir(), "web.yml"), &log{}
		s := &Server{WebConfigFile: file, Log: slog.New(slog.NewTextHandler(logged, nil))}
		begun, ready := time.Now(), make(chan bool)
		go func() { ready <- s.waitForFile(t.Context()) }()
		time.Sleep(time.Minute + time.Second)
		write(t, file, "odd: 1")
		time.Sleep(time.Minute)
		if n := strings.Count(logged.String(), "level=ERROR msg=\"no requests are served until the web config file can be used\""); n != 2 {
			t.Errorf("%d lines are logged, want 2:\n%s", n, logged)
		}
		write(t, file, "basic_auth_users: {}")
		if ok := <-ready; !ok || time.Since(begun) != 2*time.Minute+webPause {
			t.Errorf("ready is %t after %s", ok, time.Since(begun))
		}
	})
}

func TestURL(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	s := &Server{WebConfigFile: file, Path: "/metrics"}
	for content, want := range map[string]string{
		"basic_auth_users: {}\n":                         "http://localhost:8000/metrics",
		"tls_server_config: {cert_file: a, key_file: b}": "https://localhost:8000/metrics",
	} {
		write(t, file, content)
		if got := s.url("[::]:8000"); got != want {
			t.Errorf("%s: url %s, want %s", content, got, want)
		}
	}
}

// TestClaim checks that two values of the setting "listen" claim the same if and only if they are the same address.
func TestClaim(t *testing.T) {
	for listen, want := range map[string]string{
		":8000": "the address :8000", "0.0.0.0:8000": "the address :8000", "[::]:08000": "the address :8000",
		"localhost:8000": "the address 127.0.0.1:8000", "127.0.0.1:8000": "the address 127.0.0.1:8000", ":0": "", "no port": "",
	} {
		if got := Claim(listen); got != want {
			t.Errorf("%s: %q, want %q", listen, got, want)
		}
	}
	if CheckListen(":70000") == nil || CheckListen(":9091") != nil {
		t.Error("a port above 65535 passes, or 9091 does not")
	}
}

// TestSocket checks that a server listens on a unix socket, also if an earlier socket file was left behind. Other users cannot use the
// socket file.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	s := &Server{Listen: "unix://" + path, Started: "serving", Handler: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)}
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.URL(); got != "unix://"+path {
		t.Errorf("the URL is %s", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	response, err := client.Get("http://cton/")
	if err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("the answer is %v, %v", response, err)
	} else {
		response.Body.Close()
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	second := &Server{Listen: s.Listen, Log: s.Log}
	if err := second.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second server gets %v", err)
	}
	client.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
