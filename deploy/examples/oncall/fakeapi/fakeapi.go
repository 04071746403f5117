// Package fakeapi is Splunk On-Call's reporting API over a made-up history, for tests:
//
//	GET /api-reporting/v2/incidents?startedAfter=…&limit=20&offset=0
//
// It answers as the real one does, and at the times that it is given for it also as the real one does not want to.
package fakeapi

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Path is where the incidents are.
const Path = "/api-reporting/v2/incidents"

// How many incidents one page of the answer has.
const (
	defaultLimit = 20
	maxLimit     = 100
)

// API is the API. Who asks has to send Key and ID.
type API struct {
	Key, ID string
	History
	Faults []Fault
	Now    func() time.Time
}

// Fault is a time in which the API does not answer as it should.
type Fault struct {
	From, To time.Time // [From, To)
	How      http.HandlerFunc
}

// ServeHTTP answers.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := a.Now()
	for _, f := range a.Faults {
		if !now.Before(f.From) && now.Before(f.To) {
			f.How(w, r)
			return
		}
	}
	switch {
	case r.URL.Path != Path:
		http.NotFound(w, r)
		return
	case r.Header.Get("X-VO-Api-Key") != a.Key || r.Header.Get("X-VO-Api-Id") != a.ID:
		http.Error(w, `{"message": "authentication failed"}`, http.StatusUnauthorized)
		return
	}
	p, err := a.page(now, r.URL.Query())
	if err != nil {
		http.Error(w, `{"message": "bad parameter"}`, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p) // an error means that the client has gone
}

// page is one page of the answer, newest incident first.
type page struct {
	Offset    int        `json:"offset"`
	Limit     int        `json:"limit"`
	Total     int        `json:"total"` // on all pages
	Incidents []incident `json:"incidents"`
}

type incident struct {
	Number      string       `json:"incidentNumber"`
	Started     time.Time    `json:"startTime"`
	Phase       string       `json:"currentPhase"`
	Transitions []transition `json:"transitions"`
}

type transition struct {
	Name    string    `json:"name"`
	At      time.Time `json:"at"`
	By      *string   `json:"by"`
	AlertID string    `json:"alertId"`
}

func (a *API) page(now time.Time, query url.Values) (page, error) {
	p := page{Limit: defaultLimit, Incidents: []incident{}}
	var after time.Time
	var err error
	for name, into := range map[string]*int{"limit": &p.Limit, "offset": &p.Offset} {
		if text := query.Get(name); text != "" && err == nil {
			*into, err = strconv.Atoi(text)
		}
	}
	p.Limit, p.Offset = min(p.Limit, maxLimit), max(p.Offset, 0)
	if text := query.Get("startedAfter"); text != "" && err == nil {
		after, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		return p, err
	}
	found := a.between(after, now)
	p.Total = len(found)
	if after.IsZero() {
		p.Total = a.Total(now)
	}
	for i := len(found) - 1 - p.Offset; i >= 0 && len(p.Incidents) < p.Limit; i-- {
		p.Incidents = append(p.Incidents, found[i].at(now))
	}
	return p, nil
}

// at is what is known of an incident at a time.
func (i *Incident) at(now time.Time) incident {
	known := incident{Number: strconv.Itoa(i.Number), Started: i.Started, Phase: "triggered"}
	for _, t := range i.Transitions {
		if t.At.After(now) {
			break
		}
		if known.Phase = t.Name; t.Name == "reassigned" {
			known.Phase = "triggered"
		}
		known.Transitions = append(known.Transitions, transition{Name: t.Name, At: t.At, AlertID: "alert-" + known.Number})
	}
	return known
}

// Refuse answers every request alike.
func Refuse(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// Hang never answers.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
