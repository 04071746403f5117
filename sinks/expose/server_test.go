package expose

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// TestResponses checks the responses of each path and method.
func TestResponses(t *testing.T) {
	b := open(t, Config{Path: "/a&b"})
	b.write(t, "job", gauge("load", "x"))
	for _, c := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/a&b", 200, "# HELP load A gauge.\n# TYPE load gauge\nload{room=\"x\"} 1\n"},
		{"HEAD", "/a&b", 200, ""},
		{"POST", "/a&b", 405, "method not allowed: use GET or HEAD\n"},
		{"DELETE", "/", 405, "method not allowed: use GET or HEAD\n"},
		{"GET", "/-/healthy", 200, "OK\n"},
		{"GET", "/metrics", 404, "404 page not found\n"},
	} {
		w := b.ask(c.method, c.path)
		if w.Code != c.code || w.Body.String() != c.body {
			t.Errorf("%s %s: %d %q", c.method, c.path, w.Code, w.Body)
		}
		if w.Code == 405 && w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow is %q", c.method, c.path, w.Header().Get("Allow"))
		}
	}
	if w := b.ask("GET", "/"); w.Code != 200 || !strings.Contains(w.Body.String(), `<a href="/a&amp;b">`) || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("/: %d %s", w.Code, w.Body)
	}
	if w := b.ask("HEAD", "/a&b"); w.Header().Get("Content-Length") != fmt.Sprint(len(b.ask("GET", "/a&b").Body.String())) {
		t.Errorf("HEAD: Content-Length is %q", w.Header().Get("Content-Length"))
	}
}

// blocked is a response whose client does not read.
type blocked struct {
	http.ResponseWriter
	started chan<- struct{}
	until   <-chan struct{}
}

func (h blocked) Write(b []byte) (int, error) {
	h.started <- struct{}{}
	<-h.until
	return len(b), nil
}

// TestScrapesAreBounded checks that scrapes in progress do not block the health check.
func TestScrapesAreBounded(t *testing.T) {
	b := open(t, Config{})
	b.write(t, "job", gauge("load", "x"))
	started, until := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	for range maxScrapes {
		wg.Go(func() {
			r, _ := http.NewRequest("GET", "/metrics", nil)
			b.http.ServeHTTP(blocked{discard{}, started, until}, r)
		})
		<-started
	}
	if w := b.ask("GET", "/metrics"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "try again later") {
		t.Errorf("answers %d %s", w.Code, w.Body)
	}
	if w := b.ask("GET", "/-/healthy"); w.Code != 200 {
		t.Errorf("its health is %d", w.Code)
	}
	close(until)
	wg.Wait()
	if w := b.ask("GET", "/metrics"); w.Code != 200 {
		t.Errorf("answers %d after the others have ended", w.Code)
	}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func TestServes(t *testing.T) {
	b := open(t, Config{})
	b.write(t, "job", gauge("load", "x"))
	url := b.run(t)
	if got := get(t, url); !strings.Contains(got, `load{room="x"} 1`) {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(b.logged(), `msg="serving metrics" url=`+url) {
		t.Errorf("logged:\n%s", b.logged())
	}
}

func TestBusyPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := open(t, Config{Listen: l.Addr().String()})
	want := "listen on " + l.Addr().String() + ": the address is in use by another program; choose another with listen"
	for name, err := range map[string]error{"Run": b.Run(t.Context()), "Check": b.Check(t.Context())} {
		if err == nil || err.Error() != want || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l.Close()
	if err := b.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Check(t.Context()); err != nil {
		t.Errorf("the check keeps the address: %v", err)
	}
}

func TestForeignAddress(t *testing.T) {
	b := open(t, Config{Listen: "192.0.2.1:8000"}) // RFC 5737: reserved for documentation
	if err := b.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "this machine does not have the address") {
		t.Errorf("got %v", err)
	}
}

// TestEndsWithSlowScraper checks that a scraper that does not read does not delay the end of the agent.
func TestEndsWithSlowScraper(t *testing.T) {
	b := open(t, Config{})
	b.env.Drain = 20 * time.Millisecond
	b.sink.env.Drain = b.env.Drain
	b.write(t, "job", large("load", 300_000))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	conn, err := net.Dial("tcp", b.address(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
	if line, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err)
	}
	size := len(b.text())
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it does not end")
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) || n >= int64(size) {
		t.Errorf("the scrape goes on: %d bytes of %d, %v", n, size, err)
	}
}

func TestTLSAndPassword(t *testing.T) {
	dir := t.TempDir()
	roots := certificate(t, dir)
	hash, err := bcrypt.GenerateFromPassword([]byte("hunter2-hunter2"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, dir, "web.yml", "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {ops: "+string(hash)+"}\n")
	b := open(t, Config{WebConfigFile: file})
	b.write(t, "job", gauge("load", "x"))
	if err := b.Check(t.Context()); err != nil {
		t.Error(err)
	}
	url := strings.Replace(b.run(t), "http://", "https://", 1)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	for password, want := range map[string]int{"": 401, "wrong": 401, "hunter2-hunter2": 200} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if password != "" {
			r.SetBasicAuth("ops", password)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("with password %q it answers %d", password, resp.StatusCode)
		}
	}
	if _, err := http.Get(strings.Replace(url, "https://", "http://", 1)); err != nil {
		t.Error(err) // net/http responds with 400
	}
	if got := b.logged(); !strings.Contains(got, "url=https://127") || strings.Contains(got, "TLS is enabled") {
		t.Errorf("logged:\n%s", got)
	}
}

func TestBadWebConfigFile(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{
		"":                                    "no such file or directory",
		"basic_auth_users: {ops: plain-text}": "(basic_auth_users needs passwords hashed with bcrypt",
		"tls_server_config: {cert_file: none.pem, key_file: none.pem}": "none.pem",
		"tls_server_config: {cert: x}":                                 "missing one of key or key_file",
		"odd: 1\nodder: 2":                                             "field odd not found",
		"\t":                                                           "yaml: ",
	} {
		path := filepath.Join(dir, "absent.yml")
		if content != "" {
			path = write(t, dir, "web.yml", content)
		}
		b := open(t, Config{WebConfigFile: path})
		if err := b.Check(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "read web_config_file "+path+": ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Check of %q: %v", content, err)
		}
	}
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate writes cert.pem and key.pem for 127.0.0.1.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, dir, "cert.pem", string(encoded))
	write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(encoded)
	return roots
}
