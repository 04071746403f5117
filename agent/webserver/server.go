// Package webserver serves HTTP on one address. TLS and authentication are set by a web configuration file of exporter-toolkit
// (https://prometheus.io/docs/prometheus/latest/configuration/https/).
package webserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/text"
)

// The limits of connections.
const (
	headerTimeout = 10 * time.Second
	writeTimeout  = 2 * time.Minute // scrapers give up before that
	idleTimeout   = 5 * time.Minute // as long as Prometheus keeps its connections
	maxHeader     = 16 << 10
	lastRequests  = time.Second // limit for requests that are in progress when the server stops

	webPause = 5 * time.Second // time until a web config file that cannot be used is read again
)

// Server is a server on one address. Its fields must not change after the first call of a method.
type Server struct {
	Listen        string // the setting "listen": host:port, or unix:///path if the caller allows it
	WebConfigFile string // the setting web_config_file; "" = no TLS and no authentication
	Path          string // path of the URL that is logged at the start
	Started       string // message that is logged at the start, such as "serving metrics"
	Handler       http.Handler
	ReadTimeout   time.Duration // limit for reading a request with its body; 0 = the same limit as for its headers
	MaxClients    int           // maximum number of open connections, see limited; 0 = no maximum
	Drain         time.Duration // time for requests that are in progress when Run ends, at most one second
	Log           *slog.Logger

	opened net.Listener             // set by Open; nil = Run opens it
	bound  atomic.Pointer[net.Addr] // nil before the address is bound
}

// Check returns the reason why the server cannot start: the web config file is invalid, or the address is in use. It returns nil if the
// server can start.
func (s *Server) Check(ctx context.Context) error {
	if err := CheckFile(s.WebConfigFile); err != nil {
		return err
	}
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	return l.Close()
}

// Open binds the address, which Run then uses. Open returns an error in the same cases as Check.
func (s *Server) Open(ctx context.Context) error {
	err := CheckFile(s.WebConfigFile)
	if err != nil {
		return err
	}
	if s.opened, err = s.listen(ctx); err == nil {
		s.bound.Store(new(s.opened.Addr()))
	}
	return err
}

// Run serves until ctx ends. If the web config file cannot be used, Run waits until the file can be used.
func (s *Server) Run(ctx context.Context) error {
	l, err := s.opened, error(nil)
	if l == nil {
		if l, err = s.listen(ctx); err != nil {
			return err
		}
	}
	if CheckFile(s.WebConfigFile) != nil {
		l.Close() // so that requests fail at once, and do not wait
		if !s.waitForFile(ctx) {
			return nil
		}
		if l, err = s.listen(ctx); err != nil {
			return err
		}
	}
	defer l.Close()
	return s.serve(ctx, l)
}

func (s *Server) serve(ctx context.Context, l net.Listener) error {
	log := s.Log.Handler()
	server := &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       cmp.Or(s.ReadTimeout, headerTimeout),
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log, slog.LevelDebug), // at debug level, since port scans would fill the log
	}
	s.bound.Store(new(l.Addr()))
	if s.MaxClients > 0 {
		limit := newLimited(l, s.MaxClients, strings.HasPrefix(s.URL(), "https:"), s.Log)
		l, server.ConnState = limit, limit.state
	}
	s.Log.Info(s.Started, "url", s.URL()) // before the first request is answered
	ended := make(chan error, 1)
	go func() {
		ended <- web.Serve(l, server, &web.FlagConfig{WebConfigFile: &s.WebConfigFile}, slog.New(warningsOnly{log}))
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", s.Listen, err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(s.Drain, lastRequests))
	defer cancel()
	if server.Shutdown(last) != nil {
		_ = server.Close()
	}
	<-ended
	return nil
}

// Bound returns the address that Run has bound, or nil.
func (s *Server) Bound() net.Addr {
	if address := s.bound.Load(); address != nil {
		return *address
	}
	return nil
}

// Addr returns the address that Run has bound, or "".
func (s *Server) Addr() string {
	if address := s.Bound(); address != nil {
		return address.String()
	}
	return ""
}

// textError is an error with a different text.
type textError struct {
	text string
	err  error
}

func (e *textError) Error() string { return e.text }
func (e *textError) Unwrap() error { return e.err }

// File returns the path of a web config file. The argument "path" is relative to "dir", the folder of the configuration, or absolute. ""
// means that there is no web config file.
func File(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// CheckFile reads a web config file and the files that it names. It returns an error if they cannot be used, and nil if path is "".
func CheckFile(path string) error {
	err := web.Validate(path)
	if err == nil {
		return nil
	}
	problem := text.OneLine(err.Error())
	if failed, ok := errors.AsType[*os.PathError](err); ok && failed.Path == path {
		problem = failed.Err.Error()
	}
	if strings.Contains(problem, "bcrypt") {
		problem += " (basic_auth_users needs passwords hashed with bcrypt, as by htpasswd -nB)"
	}
	return fmt.Errorf("read web_config_file %s: %w", path, &textError{problem, err})
}

// waitForFile waits until the web config file can be used. It logs why the file cannot be used. The result is false if ctx ends first.
func (s *Server) waitForFile(ctx context.Context) bool {
	for logged := ""; ; {
		err := CheckFile(s.WebConfigFile)
		if err == nil {
			return true
		}
		if err.Error() != logged {
			logged = err.Error()
			s.Log.Error("no requests are served until the web config file can be used", "error", err)
		}
		select {
		case <-time.After(webPause):
		case <-ctx.Done():
			return false
		}
	}
}

// URL returns the URL for a client on this machine. It is only valid after the address is bound.
func (s *Server) URL() string { return s.url(s.Addr()) }

func (s *Server) url(address string) string {
	if strings.HasPrefix(s.Listen, unixPrefix) {
		return s.Listen
	}
	scheme := "http://"
	var file struct {
		TLS map[string]any `yaml:"tls_server_config"`
	}
	if text, err := os.ReadFile(s.WebConfigFile); err == nil && yaml.Unmarshal(text, &file) == nil && len(file.TLS) > 0 {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		address = net.JoinHostPort("localhost", port)
	}
	return scheme + address + s.Path
}

// warningsOnly drops messages of exporter-toolkit below the level of warnings. Run logs the address itself.
type warningsOnly struct{ slog.Handler }

func (p warningsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && p.Handler.Enabled(ctx, level)
}
