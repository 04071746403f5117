package httpclient

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
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

	Passphrase setting.Secret `yaml:"passphrase"` // passphrase of key_file, or of cert_file if that is a PKCS #12 file
	HTTP1Only  bool           `yaml:"http1_only"` // do not use HTTP/2, for a server that offers it and then fails
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
	case isPKCS12(t.CertFile) && t.KeyFile != "":
		return setting.Errorf("key_file", "cert_file is a PKCS #12 file, which has the key in it: leave key_file out")
	case t.CertFile != "" && t.KeyFile == "" && !isPKCS12(t.CertFile):
		return setting.Errorf("key_file", "is required where cert_file is set, unless that is a PKCS #12 file (.p12 or .pfx)")
	case t.Passphrase != "" && t.CertFile == "":
		return setting.Errorf("passphrase", "is only valid with key_file, or with a PKCS #12 file as cert_file")
	case t.KeyFile != "" && t.CertFile == "":
		return setting.Errorf("cert_file", "is required where key_file is set")
	}
	return nil
}

// transport returns a transport that newTransport makes. The transport is made again when a file of these settings changes. As long as a
// file cannot be used, requests fail. Relative paths are relative to the directory of the host's secrets.
func (t *TLS) transport(h *Host, newTransport func(*tls.Config) http.RoundTripper) http.RoundTripper {
	dir := ""
	if h.Secrets != nil {
		dir = h.Secrets.Dir
	}
	if t == nil {
		return newTransport(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	cfg := promconfig.TLSConfig{
		CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile,
		ServerName: t.ServerName, MinVersion: promconfig.TLSVersion(t.MinVersion), InsecureSkipVerify: t.InsecureSkipVerify,
	}
	cfg.SetDirectory(dir)
	reloading := &reloadingTransport{config: cfg, passphrase: t.Passphrase, secrets: h.Secrets, newTransport: newTransport}
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
	}
	if err != nil {
		return nil, setting.Errorf("tls_config."+f.setting, "%v", err)
	}
	return data, nil
}

// reloadingTransport is a transport that is made at the first request, and again when one of its files changes.
type reloadingTransport struct {
	config       promconfig.TLSConfig
	passphrase   setting.Secret
	secrets      *setting.SecretStore
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
	all, files := sha256.New(), map[string][]byte{}
	for _, file := range r.files {
		data, err := file.read()
		if err != nil {
			return nil, err
		}
		files[file.setting] = data
		part := sha256.Sum256(data)
		all.Write(part[:])
	}
	passphrase := ""
	if r.passphrase != "" {
		var err error
		if passphrase, err = r.secrets.Secret(r.passphrase); err != nil {
			return nil, setting.Errorf("tls_config.passphrase", "%v", err)
		}
		part := sha256.Sum256([]byte(passphrase))
		all.Write(part[:])
	}
	sum := [sha256.Size]byte(all.Sum(nil))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.transport != nil && sum == r.sum {
		return r.transport, nil
	}
	plain, err := r.decrypted(files, passphrase)
	if err != nil {
		return nil, err
	}
	config, err := promconfig.NewTLSConfigWithContext(context.Background(), plain)
	if err != nil {
		return nil, setting.Errorf("tls_config", "%v", err)
	}
	if r.transport != nil {
		closeIdle(r.transport)
	}
	r.transport, r.sum = r.newTransport(config), sum
	return r.transport, nil
}

// decrypted returns the settings. If a file is encrypted, the decrypted certificate and key replace it.
func (r *reloadingTransport) decrypted(files map[string][]byte, passphrase string) (*promconfig.TLSConfig, error) {
	config := r.config
	switch {
	case isPKCS12(config.CertFile):
		certificates, key, err := splitPKCS12(files["cert_file"], passphrase)
		if err != nil {
			return nil, setting.Errorf("tls_config.cert_file", "%s: %v", config.CertFile, err)
		}
		config.CertFile, config.Cert, config.Key = "", string(certificates), promconfig.Secret(key)
	case !isEncrypted(files["key_file"]):
	case r.passphrase == "":
		return nil, setting.Errorf("tls_config.key_file", "the private key in %s is encrypted: set tls_config.passphrase", config.KeyFile)
	default:
		key, err := decryptKey(files["key_file"], passphrase)
		if err != nil {
			return nil, setting.Errorf("tls_config.key_file", "%s: %v", config.KeyFile, err)
		}
		config.KeyFile, config.Key = "", promconfig.Secret(key)
	}
	return &config, nil
}

// CloseIdleConnections closes the connections that no request uses.
func (r *reloadingTransport) CloseIdleConnections() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.transport != nil {
		closeIdle(r.transport)
	}
}
