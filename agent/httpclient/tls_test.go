package httpclient

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
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

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
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
	wantError(t, err, "or wants a client certificate: for an old device set tls_config.min_version: TLS10, ")
	wantError(t, err, "a client certificate is set by tls_config.cert_file and key_file")
}

// TestOldTLS checks the error for servers that support only an old version of TLS or an old key exchange. It also checks that the
// requests succeed with the setting that the error names.
func TestOldTLS(t *testing.T) {
	w, ca := tlsWorld(t), newAuthority(t)
	cert := ca.issue(t, time.Now().Add(time.Hour))
	writePEM(t, filepath.Join(w.host.Secrets.Dir, "ca.pem"), "CERTIFICATE", ca.cert.Raw)
	old := httptest.NewUnstartedServer(say("x")) // HTTP/2 needs TLS 1.2
	old.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.StartTLS()
	defer old.Close()
	_, _, err := w.get(t.Context(), w.client(t, `tls_config: {ca_file: ca.pem}`), old.URL)
	wantError(t, err, "protocol version not supported: it speaks only an old version of TLS: set tls_config.min_version: TLS10")
	w.mustGet(t, w.client(t, `tls_config: {ca_file: ca.pem, min_version: TLS10}`), old.URL)

	none := serveTLS(t, &tls.Config{
		Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA},
	})
	_, _, err = w.get(t.Context(), w.client(t, `tls_config: {ca_file: ca.pem}`), none.URL)
	wantError(t, err, "handshake failure: it shares no cipher with cton, or wants a client certificate: for an old device set tls_config.min_version: TLS10, "+
		"and if it has RSA key exchange alone start cton with the environment variable GODEBUG=tlsrsakex=1; a client certificate is set by")
}

// TestEncryptedKeys checks a server that wants a client certificate. A client must be able to use a certificate whose key is encrypted.
func TestEncryptedKeys(t *testing.T) {
	w, ca := tlsWorld(t), newAuthority(t)
	cert := ca.issue(t, time.Now().Add(time.Hour))
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	server := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert, ClientCAs: pool})
	dir := w.host.Secrets.Dir
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", ca.cert.Raw)
	writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", cert.Certificate[0])
	der, err := pkcs8.MarshalPrivateKey(cert.PrivateKey, []byte("hunter22"), nil)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "new.pem"), "ENCRYPTED PRIVATE KEY", der)
	plain, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 the form is old, and so are devices
	old, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", plain, []byte("hunter22"), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	both, err := pkcs12.Modern.Encode(cert.PrivateKey, leaf, []*x509.Certificate{ca.cert}, "hunter22")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"old.pem": pem.EncodeToMemory(old), "both.p12": both, "bad.p12": []byte("x")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.env["OTHER"] = "other-passphrase"
	for files, want := range map[string]string{
		`cert_file: cert.pem, key_file: new.pem, passphrase: "env:PASSWORD"`: "",
		`cert_file: cert.pem, key_file: old.pem, passphrase: "env:PASSWORD"`: "",
		`cert_file: both.p12, passphrase: "env:PASSWORD"`:                    "",
		`cert_file: both.p12, passphrase: "env:PASSWORD", http1_only: true`:  "",
		`cert_file: cert.pem, key_file: new.pem, passphrase: "env:OTHER"`:    "tls_config.key_file: " + dir + "/new.pem: the passphrase is wrong, or the file is damaged",
		`cert_file: cert.pem, key_file: old.pem, passphrase: "env:OTHER"`:    "tls_config.key_file: " + dir + "/old.pem: the passphrase is wrong, or the file is damaged",
		`cert_file: both.p12, passphrase: "env:OTHER"`:                       "tls_config.cert_file: " + dir + "/both.p12: the passphrase is wrong, or the file is damaged",
		`cert_file: both.p12`:                                            "tls_config.cert_file: " + dir + "/both.p12: the passphrase is wrong",
		`cert_file: bad.p12, passphrase: "env:PASSWORD"`:                 "want a PKCS #12 file with one certificate and its key",
		`cert_file: cert.pem, key_file: new.pem, passphrase: "env:NONE"`: "tls_config.passphrase: ",
	} {
		client := w.client(t, "tls_config: {ca_file: ca.pem, "+files+"}")
		if want == "" {
			w.mustGet(t, client, server.URL)
			continue
		}
		_, _, err := w.get(t.Context(), client, server.URL)
		wantError(t, err, want)
		if strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s shows the passphrase", err)
		}
	}
}

// TestHTTP1Only checks that http1_only makes the client use HTTP/1.1 with a server that also offers HTTP/2.
func TestHTTP1Only(t *testing.T) {
	w, ca := tlsWorld(t), newAuthority(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, r.Proto) }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour))}}
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	writePEM(t, filepath.Join(w.host.Secrets.Dir, "ca.pem"), "CERTIFICATE", ca.cert.Raw)
	for set, want := range map[string]string{"": "HTTP/2.0", ", http1_only: true": "HTTP/1.1"} {
		if got := w.mustGet(t, w.client(t, "tls_config: {ca_file: ca.pem"+set+"}"), server.URL); got != want {
			t.Errorf("%q: got %s, want %s", set, got, want)
		}
	}
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

// TestTLSFilesThatCannotBeUsed checks that a client can be made although a file is missing, unreadable or wrong. Only the requests of
// this client fail. Unready must get the same error at once, and requests must succeed as soon as the files can be used.
func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	w, ca := tlsWorld(t), newAuthority(t)
	cert := ca.issue(t, time.Now().Add(time.Hour))
	server := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	dir := w.host.Secrets.Dir
	key, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		t.Fatal(err)
	}
	oldKey := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
	for name, content := range map[string]string{"text.pem": "hello", "old.pem": oldKey, "large.pem": strings.Repeat("x", maxTLSFile+1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", ca.cert.Raw)
	writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", cert.Certificate[0])
	writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", key)
	writePEM(t, filepath.Join(dir, "new.pem"), "ENCRYPTED PRIVATE KEY", key)
	if err := os.Mkdir(filepath.Join(dir, "folder.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	const oauth2 = `oauth2: {client_id: a, client_secret: "env:PASSWORD", token_url: "` // its own settings of TLS
	for _, c := range []struct{ settings, late, want string }{
		{`tls_config: {ca_file: late.pem}`, "ca.pem", "tls_config.ca_file: stat " + dir + "/late.pem: no such file or directory"},
		{`tls_config: {ca_file: late.pem/x}`, "", "tls_config.ca_file: stat " + dir + "/late.pem/x: no"},
		{`tls_config: {ca_file: text.pem}`, "", "unable to use specified CA cert file " + dir + "/text.pem"},
		{`tls_config: {ca_file: folder.pem}`, "", "tls_config.ca_file: " + dir + "/folder.pem is not a regular file"},
		{`tls_config: {ca_file: large.pem}`, "", "tls_config.ca_file: " + dir + "/large.pem is larger than 4MiB"},
		{`tls_config: {ca_file: ca.pem, cert_file: cert.pem, key_file: late.pem}`, "key.pem", "tls_config.key_file: stat " + dir + "/late.pem: no such file or directory"},
		{`tls_config: {ca_file: ca.pem, cert_file: cert.pem, key_file: text.pem}`, "", "tls_config: unable to use specified client cert (file " + dir + "/cert.pem) & key (file " + dir + "/text.pem)"},
		{`tls_config: {ca_file: ca.pem, cert_file: cert.pem, key_file: old.pem}`, "", "tls_config.key_file: the private key in " + dir + "/old.pem is encrypted"},
		{`tls_config: {ca_file: ca.pem, cert_file: cert.pem, key_file: new.pem}`, "", "tls_config.key_file: the private key in " + dir + "/new.pem is encrypted: set tls_config.passphrase"},
		{oauth2 + server.URL + `", tls_config: {ca_file: gone.pem}}`, "", "tls_config.ca_file: stat " + dir + "/gone.pem: no such file or directory"},
	} {
		var early []string
		host := *w.host
		host.Unready = func(err error) { early = append(early, err.Error()) }
		client, err := host.Client(settings(t, c.settings))
		if err != nil {
			t.Errorf("%s: %v", c.settings, err)
			continue
		}
		if len(early) != 1 || !strings.Contains(early[0], c.want) || strings.HasPrefix(c.settings, "oauth2") != strings.HasPrefix(early[0], "oauth2.tls_config") {
			t.Errorf("%s: at once: %q, want %s", c.settings, early, c.want)
		}
		_, _, err = w.get(t.Context(), client, server.URL+"/x")
		wantError(t, err, c.want)
		if c.late == "" {
			continue
		}
		late := filepath.Join(dir, "late.pem")
		if err := os.Link(filepath.Join(dir, c.late), late); err != nil {
			t.Fatal(err)
		}
		w.mustGet(t, client, server.URL)
		if err := os.Remove(late); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTLSFilesChangeUnderLoad checks that, when the authority is replaced while requests are under way, each request succeeds or reports
// an unknown authority.
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
