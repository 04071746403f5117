package statuspage

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// reload reloads the configuration.
func (l *listener) reload(w http.ResponseWriter, r *http.Request) {
	l.Log("reload", "from", r.RemoteAddr)
	l.Reload()
	done(w, r, "/")
}

// act runs, pauses or resumes a job.
func (l *listener) act(w http.ResponseWriter, r *http.Request) {
	name, found := r.PathValue("name"), false
	switch r.PathValue("action") {
	case "run":
		found = l.Agent.RunNow(name)
	case "pause":
		found = l.Agent.Pause(name, true)
	case "resume":
		found = l.Agent.Pause(name, false)
	}
	if !found {
		http.Error(w, "there is no such job or action", http.StatusNotFound)
		return
	}
	l.Log(r.PathValue("action"), "job", name, "from", r.RemoteAddr)
	done(w, r, "/jobs/"+url.PathEscape(name))
}

// done answers an action. It redirects to page if a web page sent the action, and answers with JSON otherwise.
func done(w http.ResponseWriter, r *http.Request, page string) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, page, http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "accepted"}) // an error means that the client has gone
}
