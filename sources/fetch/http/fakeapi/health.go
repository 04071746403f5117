package fakeapi

import (
	"net/http"
	"time"
)

// health adds paths whose response says whether a service works.
func (a *API) health() {
	a.mux.HandleFunc("/health/degraded", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Version", "1.4.2")
		w.Header().Set("Set-Cookie", "session=s3cr3t-session")
		w.WriteHeader(http.StatusServiceUnavailable)
		say(w, `{"status": "DOWN", "components": {"db": {"status": "DOWN"}, "disk": {"status": "UP"}}}`)
	})
	a.mux.HandleFunc("/health/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		say(w, "<!DOCTYPE html><title>Maintenance</title>")
	})
	a.mux.HandleFunc("/health/empty", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	a.mux.HandleFunc("/health/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/health/empty", http.StatusFound)
	})
	a.mux.HandleFunc("/health/devices", func(w http.ResponseWriter, _ *http.Request) {
		say(w, `["up", "down", "broken", "hung"]`)
	})
	a.mux.HandleFunc("/health/devices/up", func(w http.ResponseWriter, _ *http.Request) { say(w, `{"battery": 87}`) })
	a.mux.HandleFunc("/health/devices/down", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "offline", http.StatusGatewayTimeout)
	})
	a.mux.HandleFunc("/health/devices/broken", func(w http.ResponseWriter, _ *http.Request) { say(w, `{"battery": `) })
	a.mux.HandleFunc("/health/devices/hung", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
	})
}
