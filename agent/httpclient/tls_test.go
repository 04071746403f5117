package httpclient

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority is a certificate authority.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test authority"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) issue(t *testing.T, notAfter time.Time) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: notAfter, DNSNames: []string{"a.example"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func serveTLS(t *testing.T, cfg *tls.Config) *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto)
	}))
	server.TLS = cfg
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// tlsWorld returns a world on the system's network.
func tlsWorld(t *testing.T) *world {
	w := newWorld(t)
	w.host.Dial = nil
	return w
}

func TestTLSWithOwnAuthority(t *testing.T) {
	w, ca := tlsWorld(t), newAuthority(t)
	server := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour))}})
	file := filepath.Join(w.host.Secrets.Dir, "ca.pem")
	writePEM(t, file, "CERTIFICATE", ca.cert.Raw)

	_, _, err := w.get(t.Context(), w.client(t, ""), server.URL+"/x?key=value-of-query")
	wantError(t, err, "GET "+server.URL+"/x: the certificate is signed by an unknown authority: set tls_config.ca_file")

	if got := w.mustGet(t, w.client(t, `tls_config: {ca_file: ca.pem}`), server.URL); got != "HTTP/2.0" {
		t.Errorf("got %q", got)
	}
	w.mustGet(t, w.client(t, `tls_config: {insecure_skip_verify: true}`), server.URL)
	w.mustGet(t, w.client(t, `tls_config: {ca_file: ca.pem, server_name: a.example, min_version: TLS13}`), server.URL)

	_, _, err = w.get(t.Context(), w.client(t, `tls_config: {ca_file: ca.pem, server_name: b.example}`), server.URL)
	wantError(t, err, "the certificate is not valid for b.example: use the name that it is valid for, or set tls_config.server_name")
}

func TestTLSFilesAreReadAgain(t *testing.T) {
	w, ca := tlsWorld(t), newAuthority(t)
	server := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour))}})
	file := filepath.Join(w.host.Secrets.Dir, "ca.pem")
	writePEM(t, file, "CERTIFICATE", newAuthority(t).cert.Raw)
	client := w.client(t, `tls_config: {ca_file: ca.pem}`)
	_, _, err := w.get(t.Context(), client, server.URL)
	wantError(t, err, "an unknown authority")
	writePEM(t, file, "CERTIFICATE", ca.cert.Raw)
	w.mustGet(t, client, server.URL)
}

func TestClientCertificate(t *testing.T) {
	w, ca := tlsWorld(t), newAuthority(t)
	cert := ca.issue(t, time.Now().Add(time.Hour))
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	server := serveTLS(t, &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		// With TLS 1.3 the refusal comes after the handshake, and often as a reset.
		MaxVersion: tls.VersionTLS12,
	})
	dir := w.host.Secrets.Dir
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", ca.cert.Raw)
	writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", cert.Certificate[0])
	key, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", key)

	w.mustGet(t, w.client(t, `tls_config: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}`), server.URL)
	_, _, err = w.get(t.Context(), w.client(t, `tls_config: {ca_file: ca.pem}`), server.URL)
	wantError(t, err, "(a client certificate is set by tls_config.cert_file and key_file)")
}

func TestTLSMismatch(t *testing.T) {
	w, ca := tlsWorld(t), newAuthority(t)
	plain := httptest.NewServer(say("x"))
	defer plain.Close()
	_, _, err := w.get(t.Context(), w.client(t, ""), strings.Replace(plain.URL, "http:", "https:", 1))
	wantError(t, err, "the server does not speak TLS: use http://")

	expired := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(-time.Hour))}})
	writePEM(t, filepath.Join(w.host.Secrets.Dir, "ca.pem"), "CERTIFICATE", ca.cert.Raw)
	_, _, err = w.get(t.Context(), w.client(t, `tls_config: {ca_file: ca.pem}`), expired.URL)
	wantError(t, err, "the certificate has expired or is not yet valid, or this host's clock is wrong")
}

func TestInvalidTLSFiles(t *testing.T) {
	w := tlsWorld(t)
	if err := os.WriteFile(filepath.Join(w.host.Secrets.Dir, "not.pem"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`tls_config: {ca_file: gone.pem}`:                     "tls_config: ",
		`tls_config: {ca_file: not.pem}`:                      "not.pem",
		`tls_config: {cert_file: not.pem, key_file: not.pem}`: "tls_config: ",
		`oauth2: {client_id: a, client_secret: "env:PASSWORD", token_url: "http://l.example", tls_config: {ca_file: gone.pem}}`: "oauth2.tls_config: ",
	} {
		_, err := w.host.Client(settings(t, text))
		wantError(t, err, want)
	}
}

// TestTLSFilesChangeUnderLoad replaces the authority while requests are under way: each of them succeeds or reports an unknown
// authority.
func TestTLSFilesChangeUnderLoad(t *testing.T) {
	w, ca, other := tlsWorld(t), newAuthority(t), newAuthority(t)
	server := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour))}})
	file := filepath.Join(w.host.Secrets.Dir, "ca.pem")
	writePEM(t, file, "CERTIFICATE", ca.cert.Raw)
	client := w.client(t, `tls_config: {ca_file: ca.pem}`)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				if _, _, err := w.get(t.Context(), client, server.URL); err != nil {
					wantError(t, err, "an unknown authority")
				}
			}
		})
	}
	for i := range 10 {
		writePEM(t, file+".new", "CERTIFICATE", []*authority{other, ca}[i%2].cert.Raw)
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	w.mustGet(t, client, server.URL)
}
