package httpclient

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"

	promconfig "github.com/prometheus/common/config"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/setting"
)

// TLS is the settings of TLS connections. The files are read again when they change. Requests fail as long as one of the files
// cannot be used. The keys are the same as in the configuration of Prometheus.
type TLS struct {
	CAFile             string     `yaml:"ca_file" setting:"path"`
	CertFile           string     `yaml:"cert_file" setting:"path"`
	KeyFile            string     `yaml:"key_file" setting:"path"`
	ServerName         string     `yaml:"server_name"`
	MinVersion         TLSVersion `yaml:"min_version"`
	InsecureSkipVerify bool       `yaml:"insecure_skip_verify"`
}

// TLSVersion is a version of TLS, written as TLS10, TLS11, TLS12 or TLS13. The zero value means the default of Go.
type TLSVersion uint16

// Words returns the values that the setting can have.
func (TLSVersion) Words() []string { return []string{"TLS10", "TLS11", "TLS12", "TLS13"} }

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

// transport returns a transport made by newTransport. When a file of these settings changes, newTransport is called again. As
// long as a file cannot be used, requests fail. Relative paths are relative to dir.
func (t *TLS) transport(dir string, newTransport func(*tls.Config) http.RoundTripper) http.RoundTripper {
	if t == nil {
		return newTransport(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	cfg := promconfig.TLSConfig{
		CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile,
		ServerName: t.ServerName, MinVersion: promconfig.TLSVersion(t.MinVersion), InsecureSkipVerify: t.InsecureSkipVerify,
	}
	cfg.SetDirectory(dir)
	reloading := &reloadingTransport{config: cfg, newTransport: newTransport}
	for _, f := range []tlsFile{{"ca_file", cfg.CAFile}, {"cert_file", cfg.CertFile}, {"key_file", cfg.KeyFile}} {
		if f.path != "" {
			reloading.files = append(reloading.files, f)
		}
	}
	return reloading
}

// tlsFile is a file that tls_config names: the key of the setting, and the path.
type tlsFile struct{ setting, path string }

// maxTLSFile is the maximum size of a certificate or key file, in bytes. A file with all public authorities has 250 kB.
const maxTLSFile = 4 << 20

// read returns the content of the file. Errors name the setting.
func (f *tlsFile) read() ([]byte, error) {
	dir, name := filepath.Split(f.path)
	data, err := durable.NewDir(dir).ReadFile(name, maxTLSFile+1)
	switch {
	case errors.Is(err, durable.ErrNotRegular):
		err = fmt.Errorf("%s is %w", f.path, err)
	case err == nil && len(data) > maxTLSFile:
		err = fmt.Errorf("%s is larger than %s", f.path, setting.Bytes(maxTLSFile))
	case err == nil && f.setting == "key_file" && isEncrypted(data):
		err = fmt.Errorf("the private key in %s is encrypted, and there is no setting for its passphrase: "+
			"write the key without it, with openssl pkey -in %[1]s -out FILE, and protect FILE by its mode", f.path)
	}
	if err != nil {
		return nil, setting.Bad("tls_config."+f.setting, "%v", err)
	}
	return data, nil
}

// isEncrypted reports whether a private key needs a passphrase: in the format PKCS #8 (RFC 5958), or in the older format with
// headers (RFC 1421).
func isEncrypted(file []byte) bool {
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
	return false
}

// reloadingTransport is a transport that is made at the first request, and made again when one of the files changes.
type reloadingTransport struct {
	config       promconfig.TLSConfig
	newTransport func(*tls.Config) http.RoundTripper
	files        []tlsFile

	mu        sync.Mutex
	transport http.RoundTripper
	sum       [sha256.Size]byte // hash of the files that transport was made from
}

func (r *reloadingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	transport, err := r.current()
	if err != nil {
		closeBody(req)
		return nil, err
	}
	return transport.RoundTrip(req)
}

// ready returns why requests would fail now, or nil.
func (r *reloadingTransport) ready() error {
	_, err := r.current()
	return err
}

func (r *reloadingTransport) current() (http.RoundTripper, error) {
	all := sha256.New()
	for _, file := range r.files {
		data, err := file.read()
		if err != nil {
			return nil, err
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
	config, err := promconfig.NewTLSConfigWithContext(context.Background(), &r.config)
	if err != nil {
		return nil, setting.Bad("tls_config", "%v", err)
	}
	if r.transport != nil {
		closeIdle(r.transport)
	}
	r.transport, r.sum = r.newTransport(config), sum
	return r.transport, nil
}

// CloseIdleConnections closes the connections that no request uses.
func (r *reloadingTransport) CloseIdleConnections() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.transport != nil {
		closeIdle(r.transport)
	}
}
