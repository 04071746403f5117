// Package fakeapi is an HTTP API for tests. It serves a list with every usual way of paging, limits requests, answers 304, and
// misbehaves as real APIs do.
package fakeapi

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// The list.
const (
	Items = 7 // number of items; they are served newest first, so the ids count down
	Size  = 3 // number of items on a page

	firstID = 9007199254740993 // 2^53 + 1, which a float64 cannot represent
)

// API is the fake API. Each path has one behaviour.
type API struct {
	Elsewhere string // a URL of another origin; the pages of /elsewhere link to it

	mu    sync.Mutex
	asked []string      // path and query of all requests so far
	more  chan struct{} // is closed at the next request
	mux   *http.ServeMux
}

// New returns an API that has received no requests.
func New(elsewhere string) *API {
	a := &API{Elsewhere: elsewhere, mux: http.NewServeMux(), more: make(chan struct{})}
	a.pages()
	a.oddPages()
	a.limits()
	a.users()
	a.windows()
	a.health()
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked = append(a.asked, r.URL.RequestURI())
	close(a.more)
	a.more = make(chan struct{})
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	a.mux.ServeHTTP(w, r)
}

// Asked returns the requests so far, in order.
func (a *API) Asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.asked...)
}

// Wait waits until the path has received the given number of requests.
func (a *API) Wait(ctx context.Context, path string, times int) error {
	for {
		a.mu.Lock()
		more := a.more
		a.mu.Unlock()
		if a.times(path) >= times {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("%s has had %d requests, want %d", path, a.times(path), times)
		}
	}
}

// times returns the number of requests for a path so far, including the current request.
func (a *API) times(path string) int {
	n := 0
	for _, uri := range a.Asked() {
		if uri == path || strings.HasPrefix(uri, path+"?") {
			n++
		}
	}
	return n
}

// rows returns a range of the list as JSON.
func rows(from, to int) string {
	var all []string
	for i := max(from, 0); i < min(to, Items); i++ {
		all = append(all, fmt.Sprintf(`{"id": %d, "seconds": %d, "team": "t%d"}`, int64(firstID+Items-1-i), i+1, i%2))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// number returns a query parameter as a number. If the parameter is not a number, the result is the argument "otherwise".
func number(r *http.Request, name string, otherwise int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil {
		return otherwise
	}
	return n
}

func say(w http.ResponseWriter, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// pages adds paths whose paging is correct.
func (a *API) pages() {
	a.mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) {
		n := number(r, "page", 1)
		_, _ = io.WriteString(w, rows((n-1)*Size, n*Size))
	})
	a.mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		n := number(r, "page", 1)
		say(w, `{"page": %d, "pages": 3, "total": %d, "data": {"items": %s}, "ok": true}`, n, Items, rows((n-1)*Size, n*Size))
	})
	a.mux.HandleFunc("/offset", func(w http.ResponseWriter, r *http.Request) {
		n := number(r, "offset", 0)
		say(w, `{"data": %s}`, rows(n, n+min(number(r, "limit", Size), Size))) // many APIs cap the limit, too
	})
	a.mux.HandleFunc("/cursor", func(w http.ResponseWriter, r *http.Request) {
		n := number(r, "cursor", 0)
		next := "null"
		if n+Size < Items {
			next = fmt.Sprintf(`"%d"`, n+Size)
			w.Header().Set("X-Next", strconv.Itoa(n+Size))
		}
		say(w, `{"data": %s, "next": %s}`, rows(n, n+Size), next)
	})
	a.mux.HandleFunc("/link", func(w http.ResponseWriter, r *http.Request) {
		n := number(r, "from", 0)
		w.Header().Set("Link", `</link>; rel="first"`)
		if n+Size < Items {
			w.Header().Add("Link", fmt.Sprintf(`<?from=0>; rel=prev, <?from=%d>; title="a, b; c"; rel="last next"`, n+Size))
		}
		_, _ = io.WriteString(w, rows(n, n+Size))
	})
	a.mux.HandleFunc("/next", func(w http.ResponseWriter, r *http.Request) {
		n := number(r, "from", 0)
		next := ""
		if n+Size < Items {
			next = fmt.Sprintf("http://%s/next?from=%d&page_token=t", r.Host, n+Size)
		}
		say(w, `{"data": %s, "links": {"next": "%s"}}`, rows(n, n+Size), next)
	})
}

// oddPages adds paths whose paging is wrong or unusual.
func (a *API) oddPages() {
	a.mux.HandleFunc("/circle", func(w http.ResponseWriter, r *http.Request) {
		say(w, `{"data": %s, "next": "%s"}`, rows(0, 1), map[string]string{"": "a", "a": "b", "b": "a"}[r.URL.Query().Get("cursor")])
	})
	a.mux.HandleFunc("/circle-url", func(w http.ResponseWriter, _ *http.Request) {
		say(w, `{"data": %s, "next": "/circle-url#again"}`, rows(0, 1))
	})
	a.mux.HandleFunc("/same", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, rows(0, Size)) })
	a.mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		n := number(r, "cursor", 0)
		say(w, `{"data": [{"id": %d}], "next": %d}`, n, n+1)
	})
	a.mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) {
		n := number(r, "cursor", 0)
		say(w, `{"data": ["%d %s"], "next": %d}`, n, strings.Repeat("x", 1<<10), n+1)
	})
	a.mux.HandleFunc("/long-cursor", func(w http.ResponseWriter, _ *http.Request) {
		say(w, `{"data": [], "next": "%s"}`, strings.Repeat("c", 1<<20))
	})
	a.mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "<"+a.Elsewhere+`/next?key=s3cr3t-key>; rel=next`)
		say(w, `{"data": %s, "next": "%s/next?key=s3cr3t-key"}`, rows(0, Size), a.Elsewhere)
	})
	a.mux.HandleFunc("/fails-once", func(w http.ResponseWriter, r *http.Request) {
		n := number(r, "page", 1)
		if n == 2 && a.times("/fails-once") == 2 {
			http.Error(w, "page 2 is not to be had", http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, rows((n-1)*Size, n*Size))
	})
	a.mux.HandleFunc("/error-inside", func(w http.ResponseWriter, r *http.Request) {
		if number(r, "page", 1) == 2 {
			say(w, `{"error": "try again"}`)
			return
		}
		say(w, `{"data": %s}`, rows(0, Size))
	})
	a.mux.HandleFunc("/login-page", func(w http.ResponseWriter, r *http.Request) {
		if number(r, "page", 1) == 2 {
			w.Header().Set("Content-Type", "text/html")
			say(w, "<!DOCTYPE html><title>Log in</title>")
			return
		}
		_, _ = io.WriteString(w, rows(0, Size))
	})
	// A row is added while pages are fetched: the last row of a page is also the first row of the next page.
	a.mux.HandleFunc("/moving", func(w http.ResponseWriter, r *http.Request) {
		n := number(r, "page", 1)
		_, _ = io.WriteString(w, rows((n-1)*(Size-1), (n-1)*(Size-1)+Size))
	})
	// Old rows are removed: each response has one row less at the end.
	a.mux.HandleFunc("/shrinking", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, rows(0, Items+1-a.times("/shrinking")))
	})
	// The count of the newest hour grows with each request.
	a.mux.HandleFunc("/open-bucket", func(w http.ResponseWriter, _ *http.Request) {
		say(w, `[{"hour": 12, "count": %d}, {"hour": 11, "count": 40}]`, cmp.Or(a.times("/open-bucket"), 1))
	})
}
