// Package demo is a sample on-call API whose incidents are opened, acknowledged and resolved as time goes by. What it
// answers depends on the time alone, so that it can be tried out and tested without state:
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

// Path is where the incidents are.
const Path = "/api-reporting/v2/incidents"

// How many incidents one page of the answer has.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// Handler is the API. The first incident is opened at start, cut to whole seconds; now is the clock.
func Handler(start time.Time, now func() time.Time) http.Handler {
	return handler(start, now, func(*page, query) {})
}

// handler is the API with answers that adjust changes.
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
	_ = json.NewEncoder(w).Encode(answer) // an error means that the client has gone
}

// page is the API's answer: of all the incidents asked for, newest first, those of one page.
type page struct {
	Offset    int        `json:"offset"`
	Limit     int        `json:"limit"`
	Total     int        `json:"total"`
	Incidents []incident `json:"incidents"`
}

// query is what is asked for. A time that is not given is zero.
type query struct {
	offset, limit int
	after, before time.Time // opened in (after, before)
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

// answer is what the API knows at a time.
func (h *history) answer(now time.Time, q query) page {
	// Incidents are opened in the order of their numbers: those asked for lie between two of them.
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
