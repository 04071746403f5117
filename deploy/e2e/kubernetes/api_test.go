package kubernetes

import (
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// api is the API that the jobs of the test ask. Each answer has the number of answers that its job has got so far, and the job's latest
// events. One more event happens with each answer.
type api struct {
	mu   sync.Mutex
	jobs map[string]*asked
}

// asked is what the API knows about a job.
type asked struct {
	answers []time.Time // times of the answers; the last answer may still be on its way
	clients []string    // the addresses that have asked, in order, without repetitions in a row: if two addresses alternate, each occurs many times
	events  int
	stopped bool // no more events happen
}

// shown is the number of events in an answer. This is enough for some minutes.
const shown = 600

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	j := a.jobs[strings.TrimPrefix(r.URL.Path, "/")]
	if j == nil {
		http.NotFound(w, r)
		return
	}
	j.answers = append(j.answers, time.Now())
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	if len(j.clients) == 0 || j.clients[len(j.clients)-1] != client {
		j.clients = append(j.clients, client)
	}
	if !j.stopped {
		j.events++
	}
	events := []int{}
	for n := max(1, j.events-shown+1); n <= j.events; n++ {
		events = append(events, n)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"answer": len(j.answers), "events": events}) // an error means that the client is gone
}

// add adds a job.
func (a *api) add(job string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.jobs[job] = &asked{}
}

// stop makes no more events of these jobs happen.
func (a *api) stop(jobs ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, job := range jobs {
		a.jobs[job].stopped = true
	}
}

// clients returns the addresses that have asked for a job: see asked.clients.
func (a *api) clients(job string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.jobs[job].clients)
}

// of returns two things about a job: the times of the answers that it has got, and how many of its events have happened.
func (a *api) of(job string) (answers []time.Time, events int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.jobs[job].answers, a.jobs[job].events
}
