package httpclient

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	promconfig "github.com/prometheus/common/config"

	"github.com/collectington/collectington/agent/setting"
)

// TLS says whom to trust and who one is. The files are read again when they change.
type TLS struct {
	CAFile             string     `yaml:"ca_file"`
	CertFile           string     `yaml:"cert_file"`
	KeyFile            string     `yaml:"key_file"`
	ServerName         string     `yaml:"server_name"`
	MinVersion         TLSVersion `yaml:"min_version"`
	InsecureSkipVerify bool       `yaml:"insecure_skip_verify"`
}

// TLSVersion is a version of TLS, written as TLS10, TLS11, TLS12 or TLS13. The zero value is Go's default.
type TLSVersion uint16

// UnmarshalText reads the names that Prometheus uses.
func (v *TLSVersion) UnmarshalText(text []byte) error {
	for version, name := range tlsNames() {
		if name == string(text) {
			*v = version
			return nil
		}
	}
	return errors.New("want TLS10, TLS11, TLS12 or TLS13")
}

// MarshalText is the version's name.
func (v TLSVersion) MarshalText() ([]byte, error) { return []byte(tlsNames()[v]), nil }

func tlsNames() map[TLSVersion]string {
	return map[TLSVersion]string{
		0: "", tls.VersionTLS10: "TLS10", tls.VersionTLS11: "TLS11", tls.VersionTLS12: "TLS12", tls.VersionTLS13: "TLS13",
	}
}

func (t *TLS) validate() error {
	switch {
	case t == nil:
		return nil
	case t.CertFile != "" && t.KeyFile == "":
		return setting.Bad("key_file", "required where cert_file is set")
	case t.KeyFile != "" && t.CertFile == "":
		return setting.Bad("cert_file", "required where key_file is set")
	}
	return nil
}

// wrap makes a transport by newTransport, and makes it anew when a file of these settings has changed. Relative paths are
// taken from dir.
func (t *TLS) wrap(dir string, newTransport func(*tls.Config) (http.RoundTripper, error)) (http.RoundTripper, error) {
	if t == nil {
		return newTransport(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	cfg := promconfig.TLSConfig{
		CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile,
		ServerName: t.ServerName, MinVersion: promconfig.TLSVersion(t.MinVersion), InsecureSkipVerify: t.InsecureSkipVerify,
	}
	cfg.SetDirectory(dir)
	made := func() (http.RoundTripper, error) {
		config, err := promconfig.NewTLSConfigWithContext(context.Background(), &cfg)
		if err != nil {
			return nil, setting.Bad("tls_config", "%v", err)
		}
		return newTransport(config)
	}
	watched := &watched{made: made}
	for _, path := range []string{cfg.CAFile, cfg.CertFile, cfg.KeyFile} {
		if path != "" {
			watched.files = append(watched.files, filepath.Clean(path))
		}
	}
	if len(watched.files) == 0 {
		return made()
	}
	_, err := watched.transport()
	return watched, err
}

// watched is a transport that is made anew when a file of its settings has changed.
type watched struct {
	made  func() (http.RoundTripper, error)
	files []string

	mu  sync.Mutex
	now http.RoundTripper
	sum [sha256.Size]byte // of what now was made of
}

func (w *watched) RoundTrip(req *http.Request) (*http.Response, error) {
	transport, err := w.transport()
	if err != nil {
		closeBody(req)
		return nil, err
	}
	return transport.RoundTrip(req)
}

func (w *watched) transport() (http.RoundTripper, error) {
	all := sha256.New()
	for _, file := range w.files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, setting.Bad("tls_config", "%v", err)
		}
		part := sha256.Sum256(data)
		all.Write(part[:])
	}
	sum := [sha256.Size]byte(all.Sum(nil))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now != nil && sum == w.sum {
		return w.now, nil
	}
	next, err := w.made()
	if err != nil {
		return nil, err
	}
	if w.now != nil {
		closeIdle(w.now)
	}
	w.now, w.sum = next, sum
	return next, nil
}

// CloseIdleConnections lets go of connections that nobody uses.
func (w *watched) CloseIdleConnections() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now != nil {
		closeIdle(w.now)
	}
}
