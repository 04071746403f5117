package expose

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/common/expfmt"

	"github.com/collectington/collectington/agent/webserver"
	"github.com/collectington/collectington/sinks"
)

// maxScrapes is the largest number of scrapes that are allowed to be in progress at the same time.
const maxScrapes = 40

// maxClients is the largest number of open connections.
const maxClients = 500

// newServer returns the server of the page.
func (s *sink) newServer() *webserver.Server {
	handler := sync.OnceValue(func() http.Handler { return s.handler(s.reach) }) // the status page exists only while the agent runs
	return &webserver.Server{
		Listen: s.config.Listen, WebConfigFile: s.webConfigFile(), Path: s.config.Path, Started: "serving metrics", MaxClients: maxClients,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler().ServeHTTP(w, r) }), Drain: s.env.Drain, Log: s.env.Log,
	}
}

// reach returns who can currently reach the page.
func (s *sink) reach() sinks.Reach { return sinks.ReachOf(s.server.Bound(), s.webConfigFile()) }

func (s *sink) webConfigFile() string { return webserver.File(s.env.Dir, s.config.WebConfigFile) }

// Check implements [sinks.Checker]. It checks that the web config file is valid and the address is free.
func (s *sink) Check(ctx context.Context) error { return s.server.Check(ctx) }

// Run implements [sinks.Runner]. It serves until ctx ends. It begins to listen when the web config file can be used.
func (s *sink) Run(ctx context.Context) error { return s.server.Run(ctx) }

// Addr returns the address that Run has bound, or "".
func (s *sink) Addr() string { return s.server.Addr() }

// Ready implements [sinks.Readier].
func (s *sink) Ready() error {
	if s.Addr() == "" {
		return fmt.Errorf("does not listen on %s yet", s.config.Listen)
	}
	return nil
}

// Describe implements [sinks.Describer].
func (s *sink) Describe() []sinks.Fact {
	if s.Addr() == "" {
		return []sinks.Fact{{Name: "page", Text: "not served yet"}}
	}
	return []sinks.Fact{{Name: "page", Text: s.server.URL()}}
}

// handler serves the page and the health check. For other paths it uses the agent's status page, or an index page if there is none.
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

// negotiate returns the variant that the headers of a request ask for.
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

// serve writes the page as the response to r.
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
			return // the client has closed the connection
		}
	}
}
