package expose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sinks"
)

// Limits of connections.
const (
	headerTimeout = 10 * time.Second
	writeTimeout  = 2 * time.Minute // scrapers give up earlier
	idleTimeout   = 5 * time.Minute // Prometheus keeps its connections as long
	maxHeader     = 16 << 10
	maxScrapes    = 40
	lastScrape    = time.Second // for scrapes in progress when the agent stops

	webPause = 5 * time.Second // until a web config file that cannot be used is read again
)

// Check implements [sinks.Checker]. It checks that the web config file is valid and the address is free.
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

// Run implements [sinks.Runner]. It serves until ctx ends, from when the web config file can be used on.
func (s *sink) Run(ctx context.Context) error {
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	if s.checkWeb() != nil {
		l.Close() // so that scrapes fail and do not wait
		if !s.waitForWeb(ctx) {
			return nil
		}
		if l, err = s.listen(ctx); err != nil {
			return err
		}
	}
	defer l.Close()
	log := s.env.Log.Handler()
	server := &http.Server{
		Handler:           s.handler(func() sinks.Reach { return sinks.ReachOf(l.Addr(), s.config.WebConfigFile) }),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log, slog.LevelDebug), // port scans would fill the log
	}
	ended := make(chan error, 1)
	go func() {
		ended <- web.Serve(l, server, &web.FlagConfig{WebConfigFile: &s.config.WebConfigFile}, slog.New(warningsOnly{log}))
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
		_ = server.Close()
	}
	<-ended
	return nil
}

// Addr returns the address that Run has bound, or "".
func (s *sink) Addr() string {
	if address := s.bound.Load(); address != nil {
		return *address
	}
	return ""
}

// Ready implements [sinks.Readier].
func (s *sink) Ready() error {
	if s.bound.Load() == nil {
		return fmt.Errorf("does not listen on %s yet", s.config.Listen)
	}
	return nil
}

// Describe implements [sinks.Describer].
func (s *sink) Describe() []sinks.Fact {
	if s.bound.Load() == nil {
		return []sinks.Fact{{Name: "page", Text: "not served yet"}}
	}
	return []sinks.Fact{{Name: "page", Text: s.url(s.Addr())}}
}

// listen binds the address. Its error says what to do.
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
		text = "permission denied; choose a port above 1023 with listen"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		text = "this machine does not have the address; choose another with listen"
	default:
		if op, ok := errors.AsType[*net.OpError](err); ok {
			text = op.Err.Error()
		}
	}
	return nil, fmt.Errorf("listen on %s: %w", s.config.Listen, &textError{cmp.Or(text, err.Error()), err})
}

// textError is an error with another text.
type textError struct {
	text string
	err  error
}

func (e *textError) Error() string { return e.text }
func (e *textError) Unwrap() error { return e.err }

// checkWeb reads the web config file and the files that it names.
func (s *sink) checkWeb() error {
	err := web.Validate(s.config.WebConfigFile)
	if err == nil {
		return nil
	}
	problem := text.OneLine(err.Error())
	if path, ok := errors.AsType[*os.PathError](err); ok && path.Path == s.config.WebConfigFile {
		problem = path.Err.Error()
	}
	if strings.Contains(problem, "bcrypt") {
		problem += " (basic_auth_users needs passwords hashed with bcrypt, as by htpasswd -nB)"
	}
	return fmt.Errorf("read web_config_file %s: %w", s.config.WebConfigFile, &textError{problem, err})
}

// waitForWeb waits until the web config file can be used, and logs why it cannot. It returns false if ctx ends before that.
func (s *sink) waitForWeb(ctx context.Context) bool {
	for logged := ""; ; {
		err := s.checkWeb()
		if err == nil {
			return true
		}
		if err.Error() != logged {
			logged = err.Error()
			s.env.Log.Error("the page is not served until the web config file can be used", "error", err)
		}
		select {
		case <-time.After(webPause):
		case <-ctx.Done():
			return false
		}
	}
}

// url returns the URL of the page for a browser on this machine.
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

// warningsOnly drops what exporter-toolkit logs below warnings. Run logs the address itself.
type warningsOnly struct{ slog.Handler }

func (p warningsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && p.Handler.Enabled(ctx, level)
}

// handler serves the page and the health check. The rest is the agent's status page; without one, it is an index page.
func (s *sink) handler(reach func() sinks.Reach) http.Handler {
	rest := http.Handler(http.HandlerFunc(s.index))
	if s.env.Status != nil {
		rest = s.env.Status(reach)
	}
	scrapes := make(chan struct{}, maxScrapes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch {
		case r.URL.Path != s.config.Path && r.URL.Path != healthPath:
			rest.ServeHTTP(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			refuseMethod(w)
		case r.URL.Path == s.config.Path:
			select {
			case scrapes <- struct{}{}:
				defer func() { <-scrapes }()
				s.page(negotiate(r.Header)).serve(w, r)
			default:
				http.Error(w, fmt.Sprintf("%d scrapes are in progress: try again later", maxScrapes), http.StatusServiceUnavailable)
			}
		default:
			fmt.Fprintln(w, "OK")
		}
	})
}

func refuseMethod(w http.ResponseWriter) {
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "method not allowed: use GET or HEAD", http.StatusMethodNotAllowed)
}

// index serves a page with a link to the metrics.
func (s *sink) index(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuseMethod(w)
	case r.URL.Path == "/":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, index, html.EscapeString(s.config.Path))
	default:
		http.NotFound(w, r)
	}
}

const index = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Collectington</title></head>
<body><h1>Collectington</h1><p><a href="%s">Metrics</a></p></body>
</html>
`

// negotiate returns the variant that a request asks for.
func negotiate(h http.Header) variant {
	return variant{expfmt.NegotiateAccept(h, formats()...), acceptsGzip(h.Values("Accept-Encoding"))}
}

// acceptsGzip reports whether the Accept-Encoding headers accept gzip (RFC 9110 section 12.5.3).
func acceptsGzip(headers []string) bool {
	accepts := false
	for coding := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, parameters, _ := strings.Cut(coding, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name != "gzip" && name != "*" {
			continue
		}
		weight, weighed := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameters)), "q=")
		q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
		accepts = !weighed || err == nil && q > 0
		if name == "gzip" {
			return accepts
		}
	}
	return accepts
}

// serve writes the response.
func (p *page) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", string(p.format))
	h.Set("Content-Length", strconv.Itoa(p.size))
	h.Set("Vary", "Accept, Accept-Encoding")
	if p.gzip {
		h.Set("Content-Encoding", "gzip")
	}
	if r.Method == http.MethodHead {
		return
	}
	for _, b := range p.body {
		if _, err := w.Write(b); err != nil {
			return // the connection is closed
		}
	}
}
