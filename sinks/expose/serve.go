package expose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/text"
)

// Bounds on whoever connects.
const (
	headerTimeout = 10 * time.Second
	writeTimeout  = 2 * time.Minute // a scraper that takes longer for a page gives up itself
	idleTimeout   = 5 * time.Minute // Prometheus keeps its connections as long
	maxHeader     = 16 << 10
	maxScrapes    = 40
	lastScrape    = time.Second // for scrapes that are under way when the agent stops
)

// Check implements sinks.Checker: the web config file is in order and the address is free.
func (s *sink) Check(ctx context.Context) error {
	if err := s.checkWeb(); err != nil {
		return err
	}
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	return l.Close()
}

// Run implements sinks.Runner: it serves until ctx ends.
func (s *sink) Run(ctx context.Context) error {
	if err := s.checkWeb(); err != nil {
		return err
	}
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	log := s.env.Log.Handler()
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log, slog.LevelDebug), // whoever scans ports could fill the log
	}
	ended := make(chan error, 1)
	go func() {
		ended <- web.Serve(l, server, &web.FlagConfig{WebConfigFile: &s.config.WebConfigFile}, slog.New(problems{log}))
	}()
	address := l.Addr().String()
	s.bound.Store(&address)
	s.env.Log.Info("serving metrics", "url", s.url(address))
	select {
	case err := <-ended:
		return fmt.Errorf("serve metrics on %s: %w", s.config.Listen, err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(s.env.Drain, lastScrape))
	defer cancel()
	if server.Shutdown(last) != nil {
		_ = server.Close() // what is left has had its time
	}
	<-ended
	return nil
}

// Addr is the address that is bound, "" before Run has bound it.
func (s *sink) Addr() string {
	if address := s.bound.Load(); address != nil {
		return *address
	}
	return ""
}

func (s *sink) listen(ctx context.Context) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.config.Listen)
	if err == nil {
		return l, nil
	}
	text := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		text = "the address is in use by another program; choose another with listen"
	case errors.Is(err, syscall.EACCES):
		text = "this user may not listen there; choose a port above 1023 with listen"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		text = "this machine does not have the address; choose another with listen"
	default:
		if op, ok := errors.AsType[*net.OpError](err); ok {
			text = op.Err.Error()
		}
	}
	return nil, fmt.Errorf("listen on %s: %w", s.config.Listen, &plain{cmp.Or(text, err.Error()), err})
}

// plain is an error with a text for people.
type plain struct {
	text string
	err  error
}

func (p *plain) Error() string { return p.text }
func (p *plain) Unwrap() error { return p.err }

// checkWeb reads the web config file and all that it refers to.
func (s *sink) checkWeb() error {
	err := web.Validate(s.config.WebConfigFile)
	if err == nil {
		return nil
	}
	// Errors of YAML have several lines.
	problem := text.OneLine(err.Error())
	if path, ok := errors.AsType[*os.PathError](err); ok && path.Path == s.config.WebConfigFile {
		problem = path.Err.Error()
	}
	if strings.Contains(problem, "bcrypt") {
		problem += " (basic_auth_users wants passwords hashed by bcrypt, such as htpasswd -nB makes)"
	}
	return fmt.Errorf("read web_config_file %s: %w", s.config.WebConfigFile, &plain{problem, err})
}

// url is where a browser on this machine finds the page.
func (s *sink) url(address string) string {
	scheme := "http://"
	var file struct {
		TLS map[string]any `yaml:"tls_server_config"`
	}
	if text, err := os.ReadFile(s.config.WebConfigFile); err == nil && yaml.Unmarshal(text, &file) == nil && len(file.TLS) > 0 {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		address = net.JoinHostPort("localhost", port)
	}
	return scheme + address + s.config.Path
}

// problems lets warnings and errors alone through to the log: what exporter-toolkit tells besides, this sink tells itself.
type problems struct{ slog.Handler }

func (p problems) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && p.Handler.Enabled(ctx, level)
}
