// Package fakeapi imitates Splunk On-Call's reporting API for tests. It serves an invented history of incidents:
//
//	GET /api-reporting/v2/incidents?startedAfter=…&limit=20&offset=0
//
// It answers like the real API. During the times of [Fault] it answers as the real API does when it fails.
package fakeapi

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Path is the path of the list of incidents.
const Path = "/api-reporting/v2/incidents"

// The number of incidents on one page of the answer.
const (
	defaultLimit = 20
	maxLimit     = 100
)

// API is the fake API. Requests must have Key and ID in their headers.
type API struct {
	Key, ID string
	History
	Faults []Fault
	Now    func() time.Time // returns the current time; the API shows only what has happened until then
}

// Fault is a time during which the API does not work, and the wrong answer that it gives.
type Fault struct {
	From, To time.Time // from From until just before To
	How      http.HandlerFunc
}

// ServeHTTP implements http.Handler.
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
	_ = json.NewEncoder(w).Encode(p) // an error means that the client has disconnected
}

// page is one page of the answer, newest incident first.
type page struct {
	Offset    int        `json:"offset"`
	Limit     int        `json:"limit"`
	Total     int        `json:"total"` // number of incidents on all pages
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

// at returns an incident as it is known at a time.
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

// Refuse returns a handler that gives the same answer to every request.
func Refuse(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// Hang is a handler that never answers. It returns when the client gives up.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
