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

// TLS is the settings of TLS connections. The files are read again when they change. The keys are those of Prometheus.
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

// UnmarshalText parses TLS10, TLS11, TLS12 or TLS13.
func (v *TLSVersion) UnmarshalText(text []byte) error {
	for version, name := range tlsNames() {
		if name == string(text) {
			*v = version
			return nil
		}
	}
	return errors.New("want TLS10, TLS11, TLS12 or TLS13")
}

// MarshalText returns the version's name, "" for the zero value.
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

// transport returns a transport made by newTransport. It is made again when a file of these settings changes. Relative paths
// are relative to dir.
func (t *TLS) transport(dir string, newTransport func(*tls.Config) (http.RoundTripper, error)) (http.RoundTripper, error) {
	if t == nil {
		return newTransport(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	cfg := promconfig.TLSConfig{
		CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile,
		ServerName: t.ServerName, MinVersion: promconfig.TLSVersion(t.MinVersion), InsecureSkipVerify: t.InsecureSkipVerify,
	}
	cfg.SetDirectory(dir)
	build := func() (http.RoundTripper, error) {
		config, err := promconfig.NewTLSConfigWithContext(context.Background(), &cfg)
		if err != nil {
			return nil, setting.Bad("tls_config", "%v", err)
		}
		return newTransport(config)
	}
	reloading := &reloadingTransport{build: build}
	for _, path := range []string{cfg.CAFile, cfg.CertFile, cfg.KeyFile} {
		if path != "" {
			reloading.files = append(reloading.files, filepath.Clean(path))
		}
	}
	if len(reloading.files) == 0 {
		return build()
	}
	_, err := reloading.current()
	return reloading, err
}

// reloadingTransport is a transport that is built again when one of its files changes.
type reloadingTransport struct {
	build func() (http.RoundTripper, error)
	files []string

	mu        sync.Mutex
	transport http.RoundTripper
	sum       [sha256.Size]byte // of the files that transport was built from
}

func (r *reloadingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	transport, err := r.current()
	if err != nil {
		closeBody(req)
		return nil, err
	}
	return transport.RoundTrip(req)
}

func (r *reloadingTransport) current() (http.RoundTripper, error) {
	all := sha256.New()
	for _, file := range r.files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, setting.Bad("tls_config", "%v", err)
		}
		part := sha256.Sum256(data)
		all.Write(part[:])
	}
	sum := [sha256.Size]byte(all.Sum(nil))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.transport != nil && sum == r.sum {
		return r.transport, nil
	}
	next, err := r.build()
	if err != nil {
		return nil, err
	}
	if r.transport != nil {
		closeIdle(r.transport)
	}
	r.transport, r.sum = next, sum
	return next, nil
}

// CloseIdleConnections closes the connections that no request uses.
func (r *reloadingTransport) CloseIdleConnections() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.transport != nil {
		closeIdle(r.transport)
	}
}
