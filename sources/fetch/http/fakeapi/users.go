package fakeapi

import "net/http"

// users adds a list of ids and a path for each id.
func (a *API) users() {
	a.mux.HandleFunc("/users", func(w http.ResponseWriter, _ *http.Request) {
		say(w, `{"users": [{"id": %d, "name": "ann"}, {"id": 2, "name": "bob/../x"}, {"id": 3, "name": "cy"}]}`, int64(firstID))
	})
	a.mux.HandleFunc("/users/{id}/jobs", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "3" && r.URL.Query().Get("all") == "" {
			http.Error(w, "no such user", http.StatusNotFound)
			return
		}
		say(w, `{"of": "%s", "open": %d}`, r.PathValue("id"), len(r.PathValue("id")))
	})
}
