package fakeapi

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// modified is the Last-Modified time of /dated.
const modified = "Mon, 02 Mar 2026 12:00:00 GMT"

// limits adds paths that limit requests, and paths that answer conditional requests. If a path refuses its first request, it accepts the
// second one.
func (a *API) limits() {
	refuse := func(path string, code int, header func(h http.Header)) {
		a.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			if a.times(path) == 1 {
				header(w.Header())
				http.Error(w, "slow down", code)
				return
			}
			say(w, `{"total": 3}`)
		})
	}
	refuse("/retry-seconds", http.StatusTooManyRequests, func(h http.Header) { h.Set("Retry-After", "90") })
	refuse("/retry-date", http.StatusServiceUnavailable, func(h http.Header) {
		h.Set("Retry-After", time.Now().Add(90*time.Second).UTC().Format(http.TimeFormat))
	})
	refuse("/limit-epoch", http.StatusForbidden, func(h http.Header) { // as GitHub does
		h.Set("X-RateLimit-Remaining", "0")
		h.Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(90*time.Second).Unix(), 10))
	})
	refuse("/limit-seconds", http.StatusTooManyRequests, func(h http.Header) {
		h.Set("RateLimit-Remaining", "0")
		h.Set("RateLimit-Reset", "90")
	})
	// A success that uses up the quota (draft-ietf-httpapi-ratelimit-headers-10).
	a.mux.HandleFunc("/quota", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit", `"default";r=`+strconv.Itoa(max(0, 2-a.times("/quota")))+`;t=90`)
		say(w, `{"total": 3}`)
	})
	// The quota is three requests, but fetching the list takes four: three pages and an empty one.
	a.mux.HandleFunc("/quota-pages", func(w http.ResponseWriter, r *http.Request) {
		n := number(r, "page", 1)
		w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(max(0, 3-a.times("/quota-pages"))))
		w.Header().Set("X-RateLimit-Reset", "90")
		_, _ = io.WriteString(w, rows((n-1)*Size, n*Size))
	})
	a.mux.HandleFunc("/kept", func(w http.ResponseWriter, r *http.Request) { conditional(w, r, "ETag", `"v1"`, "If-None-Match") })
	a.mux.HandleFunc("/dated", func(w http.ResponseWriter, r *http.Request) {
		conditional(w, r, "Last-Modified", modified, "If-Modified-Since")
	})
	a.mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
		}
		say(w, `{"total": %d}`, a.times("/slow"))
	})
}

// conditional answers conditional requests with 304 if the validator matches.
func conditional(w http.ResponseWriter, r *http.Request, name, value, asked string) {
	w.Header().Set(name, value)
	if r.Header.Get(asked) == value {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	say(w, `{"total": 3, "items": %s}`, rows(0, Items))
}
