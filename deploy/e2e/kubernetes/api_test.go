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

// api answers the jobs of the test. Each answer has the number of the answers to its job, and the latest events: with each answer
// one more has happened.
type api struct {
	mu   sync.Mutex
	jobs map[string]*asked
}

// asked is what the API knows about a job.
type asked struct {
	answers []time.Time // their times; the last one may be on its way
	clients []string    // the addresses that have asked, one after the other: two that take turns are there often
	events  int
	stopped bool // no more events happen
}

// shown is how many events an answer shows: those of some minutes.
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
	_ = json.NewEncoder(w).Encode(map[string]any{"answer": len(j.answers), "events": events}) // a client that is gone has no use for the error
}

// add adds a job.
func (a *api) add(job string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.jobs[job] = &asked{}
}

// stop lets no more events of jobs happen.
func (a *api) stop(jobs ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, job := range jobs {
		a.jobs[job].stopped = true
	}
}

// clients returns the addresses that have asked for a job, one after the other.
func (a *api) clients(job string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.jobs[job].clients)
}

// of returns how often a job has been answered, and how many events have happened.
func (a *api) of(job string) (answers []time.Time, events int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.jobs[job].answers, a.jobs[job].events
}
