// Package statuspage shows people what the agent does: pages, the same as JSON, and health checks. It is served by expose sinks and
// by a listener of its own.
//
//	run.Agent ─▶ History (what happened lately) ─┐
//	          └▶ state now ──────────────────────┴▶ Status, Job, Sink ─▶ JSON, pages, events
//
// No request makes the agent fetch anything, unless actions are allowed. All texts are from outside: html/template escapes them, and
// [scrub] removes secrets.
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

// Limits of requests that are served at once.
const (
	maxRenders = 8
	maxStreams = 32
)

// Page serves the status of an agent.
type Page struct {
	Options
	views   *views
	renders chan struct{} // holds a token for each answer that is being made
	streams chan struct{} // holds a token for each stream of events
	seed    maphash.Seed  // of the versions of pages

	mu     sync.Mutex // held while a status is made
	latest *Status
	made   time.Time // when latest was made
}

// New returns a page.
func New(o Options) *Page {
	return &Page{Options: o, views: parseViews(), renders: make(chan struct{}, maxRenders), streams: make(chan struct{}, maxStreams), seed: maphash.MakeSeed()}
}

// Handler serves the page on a listener. What it shows depends on who can reach the listener.
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

// listener is a page on one listener.
type listener struct {
	*Page
	reach func() sinks.Reach
}

// all reports whether a request may see all. A page on a loopback address answers only under the names of this machine: a foreign name
// that was made to point here belongs to a web page that tries to read it (DNS rebinding).
func (l *listener) all(r *http.Request) bool {
	switch l.reach() {
	case sinks.Trusted:
		return true
	case sinks.Machine:
		return isLocal(r.Host)
	}
	return false
}

// isLocal reports whether a Host header names this machine: localhost, or any address.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

// whole returns a handler that serves only those who may see all.
func (l *listener) whole(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !l.all(r) {
			refuse(w)
			return
		}
		next(w, r)
	}
}

// openNote says why only a summary is shown, and what to do.
const openNote = "This address is open to the network, so only names, states and times are shown. " +
	"To see all, set basic_auth_users in the web_config_file, or listen on 127.0.0.1 or a unix socket."

func refuse(w http.ResponseWriter) { http.Error(w, openNote, http.StatusForbidden) }

// begin takes a token for making an answer. It reports false, and answers, if too many are being made.
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

// edition returns a text that changes with the static files, so that browsers get new ones at once.
func edition() string {
	hash := fnv.New32a()
	for _, name := range []string{"static/page.css", "static/page.js"} {
		text, _ := static.ReadFile(name) // embedded: it is there
		_, _ = hash.Write(text)
	}
	return strconv.FormatUint(uint64(hash.Sum32()), 36)
}

func serveStatic(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeFileFS(w, r, static, strings.TrimPrefix(r.URL.Path, "/"))
}

// visible returns the status as far as a request may see it.
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

// answer writes what f returns as JSON; nil is not found.
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

// maxSearch bounds the text of a search.
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
