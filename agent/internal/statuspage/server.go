// Package statuspage shows what the agent does: as web pages, as JSON with the same content, and as health checks. It is served by
// expose sinks and by its own listener.
//
//	run.Agent ─▶ History (recent events)      ───┐
//	          └▶ state now ──────────────────────┴▶ Status, Job, Sink ─▶ JSON, pages, events
//
// No request makes the agent fetch anything, unless actions are allowed. Texts may come from outside: html/template escapes them,
// and [scrub] removes secrets.
package statuspage

import (
	"embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/collectington/collectington/sinks"
)

//go:embed static
var static embed.FS

// Limits of concurrent requests.
const (
	maxRenders = 8  // answers that are being made
	maxStreams = 32 // streams of events
)

// Page serves the status of an agent.
type Page struct {
	Options
	views   *views
	renders chan struct{} // semaphore of answers that are being made
	streams chan struct{} // semaphore of streams of events
	seed    maphash.Seed  // seed of the hashes of pages and parts

	mu     sync.Mutex // guards latest and made
	latest *Status    // the last status that was made; nil = none
	made   time.Time  // when latest was made
}

// New returns a page.
func New(o Options) *Page {
	return &Page{Options: o, views: parseViews(), renders: make(chan struct{}, maxRenders), streams: make(chan struct{}, maxStreams), seed: maphash.MakeSeed()}
}

// Handler returns a handler that serves the page on a listener. The function reach returns who can connect to the listener. The page shows
// more or less accordingly.
func (p *Page) Handler(reach func() sinks.Reach) http.Handler {
	l := &listener{Page: p, reach: reach}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "OK") })
	mux.HandleFunc("GET /-/ready", p.ready)
	mux.Handle("GET /static/", http.HandlerFunc(serveStatic))
	mux.HandleFunc("GET /{$}", l.page)
	mux.HandleFunc("GET /jobs/{name}", l.page)
	mux.HandleFunc("GET /sinks/{name}", l.page)
	mux.HandleFunc("GET /events", l.events)
	mux.HandleFunc("GET /api/v1/status", l.statusJSON)
	mux.HandleFunc("GET /api/v1/jobs/{name}", l.whole(l.jobJSON))
	mux.HandleFunc("GET /api/v1/sinks/{name}", l.whole(l.sinkJSON))
	if p.Actions {
		act := http.NewCrossOriginProtection()
		mux.Handle("POST /-/reload", act.Handler(l.whole(l.reload)))
		mux.Handle("POST /api/v1/jobs/{name}/{action}", act.Handler(l.whole(l.act)))
	}
	if p.Profile {
		mux.HandleFunc("GET /debug/pprof/", l.whole(pprof.Index))
		mux.HandleFunc("GET /debug/pprof/profile", l.whole(pprof.Profile))
		mux.HandleFunc("GET /debug/pprof/trace", l.whole(pprof.Trace))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

// listener serves the page on one network listener.
type listener struct {
	*Page
	reach func() sinks.Reach
}

// all reports whether a request may see everything. On a loopback address, the Host header must name this machine: a web page could
// make a name of its own resolve to this machine to read the status (DNS rebinding).
func (l *listener) all(r *http.Request) bool {
	switch l.reach() {
	case sinks.Trusted:
		return true
	case sinks.Machine:
		return isLocal(r.Host)
	}
	return false
}

// isLocal reports whether a Host header is localhost or an IP address, so that it cannot be a name of a foreign web page.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

// whole returns a handler that passes a request to "next" if the request may see everything. It refuses all other requests.
func (l *listener) whole(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !l.all(r) {
			refuse(w)
			return
		}
		next(w, r)
	}
}

// openNote says why only a summary is shown, and how to see everything.
const openNote = "This address is open to the network, so only names, states and times are shown. " +
	"To see all, set basic_auth_users in the web_config_file, or listen on 127.0.0.1 or a unix socket."

func refuse(w http.ResponseWriter) { http.Error(w, openNote, http.StatusForbidden) }

// begin must be called before an answer is made, and the function "end" that it returns must be called after that. If too many answers are
// being made, begin answers with status 503 and returns false.
func (p *Page) begin(w http.ResponseWriter) (end func(), ok bool) {
	select {
	case p.renders <- struct{}{}:
		return func() { <-p.renders }, true
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests at once: try again later", http.StatusServiceUnavailable)
		return nil, false
	}
}

func (p *Page) ready(w http.ResponseWriter, _ *http.Request) {
	if p.Agent.Ready() != nil {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// edition returns a hash of the static files. It is part of their URLs, so that browsers load changed files at once.
func edition() string {
	hash := fnv.New32a()
	for _, name := range []string{"static/page.css", "static/page.js"} {
		text, _ := static.ReadFile(name) // cannot fail: the file is embedded
		_, _ = hash.Write(text)
	}
	return strconv.FormatUint(uint64(hash.Sum32()), 36)
}

func serveStatic(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeFileFS(w, r, static, strings.TrimPrefix(r.URL.Path, "/"))
}

// visible returns the status, or only its summary if the request may not see everything.
func (l *listener) visible(r *http.Request) *Status {
	return l.limited(r, l.status(l.History.now().Add(-fresh)))
}

func (l *listener) limited(r *http.Request, s *Status) *Status {
	if l.all(r) {
		return s
	}
	return s.summary()
}

func (l *listener) statusJSON(w http.ResponseWriter, r *http.Request) {
	l.answer(w, func() any { return l.visible(r) })
}

func (l *listener) jobJSON(w http.ResponseWriter, r *http.Request) {
	l.answer(w, func() any { return orNil(l.job(r.PathValue("name"), queryOf(r.URL.Query()))) })
}

func (l *listener) sinkJSON(w http.ResponseWriter, r *http.Request) {
	l.answer(w, func() any { return orNil(l.sink(r.PathValue("name"))) })
}

// orNil returns a nil interface for a nil pointer.
func orNil[T any](p *T) any {
	if p == nil {
		return nil
	}
	return p
}

// answer writes the result of f as JSON. If the result is nil, it answers with status 404.
func (p *Page) answer(w http.ResponseWriter, f func() any) {
	end, ok := p.begin(w)
	if !ok {
		return
	}
	v := f()
	text, err := json.Marshal(v)
	end()
	switch {
	case v == nil:
		http.Error(w, "there is nothing of that name", http.StatusNotFound)
	case err != nil:
		http.Error(w, "the status cannot be encoded: "+err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(text, '\n')) // an error means that the client has gone
	}
}

// maxSearch is the maximum length of a search text, in bytes. Longer texts are cut.
const maxSearch = 200

func queryOf(v url.Values) seriesQuery {
	q := seriesQuery{search: v.Get("q"), sort: v.Get("sort")}
	q.search = q.search[:min(len(q.search), maxSearch)]
	switch strings.TrimPrefix(q.sort, "-") {
	case "name", "value", "change":
	default:
		q.sort = ""
	}
	q.offset, _ = strconv.Atoi(v.Get("offset"))
	return q
}
