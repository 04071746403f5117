// Package demo is an example of an on-call API. Its incidents are opened, acknowledged and resolved as time passes. The
// answers depend only on the time, so the API needs no state:
//
//	GET /api-reporting/v2/incidents?limit=100&offset=0&startedAfter=…&startedBefore=…
package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Path is the path of the incidents.
const Path = "/api-reporting/v2/incidents"

// Number of incidents on one page of the answer.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// Handler returns the API. The first incident is opened at the time "start", which is truncated to whole seconds. The argument "now" is a
// function that returns the current time.
func Handler(start time.Time, now func() time.Time) http.Handler {
	return handler(start, now, func(*page, query) {})
}

// handler returns the API. The argument "adjust" is a function that can change each answer before it is sent.
func handler(start time.Time, now func() time.Time, adjust func(*page, query)) http.Handler {
	h := &history{start: start.Truncate(time.Second)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, func(w http.ResponseWriter, r *http.Request) {
		q, err := parse(r.URL.Query())
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			write(w, map[string]string{"message": err.Error()})
			return
		}
		p := h.answer(now(), q)
		adjust(&p, q)
		write(w, p)
	})
	return mux
}

func write(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // an error means that the client has closed the connection
}

// page is an answer of the API: one page of the requested incidents, newest first.
type page struct {
	Offset    int        `json:"offset"`
	Limit     int        `json:"limit"`
	Total     int        `json:"total"`
	Incidents []incident `json:"incidents"`
}

// query has the parameters of a request. A time that is not given is zero.
type query struct {
	offset, limit int
	after, before time.Time // only incidents opened later than the time "after" and earlier than the time "before"
}

func parse(values url.Values) (query, error) {
	q := query{limit: defaultLimit}
	for name, into := range map[string]*int{"offset": &q.offset, "limit": &q.limit} {
		if !values.Has(name) {
			continue
		}
		n, err := strconv.Atoi(values.Get(name))
		if err != nil || n < 0 {
			return q, fmt.Errorf("%s: want a number from 0 on", name)
		}
		*into = n
	}
	for name, into := range map[string]*time.Time{"startedAfter": &q.after, "startedBefore": &q.before} {
		if !values.Has(name) {
			continue
		}
		at, err := time.Parse(time.RFC3339, values.Get(name))
		if err != nil {
			return q, fmt.Errorf("%s: want a time such as 2026-01-02T15:04:05Z", name)
		}
		*into = at
	}
	q.limit = min(q.limit, maxLimit)
	return q, nil
}

// answer returns the answer of the API at the time now.
func (h *history) answer(now time.Time, q query) page {
	// Incidents are opened in the order of their numbers, so the requested incidents have consecutive numbers.
	first, end := 1, h.opened(now)+1
	if !q.before.IsZero() {
		end = min(end, h.opened(q.before.Add(-1))+1)
	}
	if !q.after.IsZero() {
		first = max(first, h.opened(q.after)+1)
	}
	p := page{Offset: q.offset, Limit: q.limit, Total: max(0, end-first), Incidents: []incident{}}
	for i := q.offset; i < p.Total && len(p.Incidents) < q.limit; i++ {
		p.Incidents = append(p.Incidents, h.incident(end-1-i, now))
	}
	return p
}
