package agent_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// happening is one event of a history: when it happened, and when the API shows it for the first time.
type happening struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Team    string    `json:"team"`
	Seconds float64   `json:"seconds"`

	shown time.Time
}

// How late and how long an API shows an event.
const (
	lateBy    = 3 * time.Minute  // an event is first shown at most this long after it has happened
	retention = 40 * time.Minute // an event is no longer shown when it is older
)

// flaky is an API that shows the events of a history. It pages in one of three ways, with page sizes that may change. Any request may
// fail.
type flaky struct {
	events []happening
	begin  time.Time
	calm   time.Time // from then on no request fails
	paging string    // cursor, page, next
	fails  float64   // the share of the requests that fail

	mu     sync.Mutex
	dice   *rand.Rand
	down   time.Time // until when every request fails
	size   int
	failed int
}

// visible returns the events that the API shows now, newest first. It returns only events that happened at or after the time "from" and
// before the time "to".
func (f *flaky) visible(from, to time.Time) (all []happening) {
	now := time.Now()
	for _, e := range f.events {
		if !e.shown.After(now) && e.At.After(now.Add(-retention)) && !e.At.Before(from) && e.At.Before(to) {
			all = append(all, e)
		}
	}
	slices.Reverse(all) // newest first
	return all
}

// total returns the number of events that have happened so far.
func (f *flaky) total() (n int) {
	for _, e := range f.events {
		if !e.At.After(time.Now()) {
			n++
		}
	}
	return n
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail(w) {
		return
	}
	q := r.URL.Query()
	from, to := moment(q.Get("from")), moment(q.Get("to"))
	if to.IsZero() {
		to = time.Now().Add(time.Hour)
	}
	events := f.visible(from, to)
	if r.URL.Path == "/total" {
		_ = json.NewEncoder(w).Encode(map[string]int{"total": f.total()})
		return
	}
	if r.URL.Path == "/count" {
		_ = json.NewEncoder(w).Encode(map[string]int{"count": len(events)})
		return
	}
	f.page(w, r, events)
}

// page answers with one page of the events. New events may have come since the previous page.
func (f *flaky) page(w http.ResponseWriter, r *http.Request, events []happening) {
	q := r.URL.Query()
	begin := 0
	switch f.paging {
	case "page":
		n, _ := strconv.Atoi(q.Get("page"))
		begin = max(n-1, 0) * f.size
	default: // what comes behind an id
		if last, err := strconv.ParseInt(q.Get("after"), 10, 64); err == nil {
			begin = len(events)
			for i := range events {
				if events[i].ID < last {
					begin = i
					break
				}
			}
		}
		f.size = 1 + f.dice.IntN(5)
	}
	begin = min(begin, len(events))
	shown := events[begin:min(begin+f.size, len(events))]
	answer := map[string]any{"events": append([]happening{}, shown...)}
	if begin+len(shown) < len(events) {
		last := strconv.FormatInt(shown[len(shown)-1].ID, 10)
		switch f.paging {
		case "cursor":
			answer["next"] = last
		case "next":
			q.Set("after", last)
			answer["next"] = "http://" + r.Host + r.URL.Path + "?" + q.Encode()
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// fail answers some requests with one of several faults. It reports whether it has answered the request.
func (f *flaky) fail(w http.ResponseWriter) bool {
	now := time.Now()
	if !now.Before(f.calm) || !mayFail(now.Sub(f.begin)) {
		return false
	}
	if f.dice.Float64() < f.fails/20 {
		f.down = now.Add(time.Duration(f.dice.IntN(5)) * time.Minute)
	}
	if !now.Before(f.down) && f.dice.Float64() >= f.fails {
		return false
	}
	f.failed++
	switch f.dice.IntN(6) {
	case 0:
		w.WriteHeader(http.StatusInternalServerError)
	case 1:
		w.Header().Set("Retry-After", strconv.Itoa(f.dice.IntN(90)))
		w.WriteHeader(http.StatusTooManyRequests)
	case 2:
		_, _ = io.WriteString(w, `{"events": [{"id": 1, "at": "2000-01-`)
	case 3:
		_, _ = io.WriteString(w, `<html>Bad gateway</html>`)
	case 4:
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"events": []`)
	case 5:
		f.mu.Unlock()
		time.Sleep(20 * time.Second) // longer than anybody waits
		f.mu.Lock()
	}
	return true
}

// mayFail reports whether requests may fail at this time. In some minutes of each quarter of an hour they never fail. Otherwise the API
// could forget an event before any request could read it, and no client could count it.
func mayFail(since time.Duration) bool {
	m := since % (15 * time.Minute)
	return m >= 4*time.Minute && m < 11*time.Minute
}

func moment(text string) time.Time {
	t, _ := time.Parse(time.RFC3339, text)
	return t
}

// newHappenings returns the events of a history of some minutes, in order of time. Most events are shown at once, some late.
func newHappenings(dice *rand.Rand, begin time.Time, minutes int) (all []happening) {
	rate := dice.IntN(4) // in a minute, on average
	for m := range minutes {
		for range dice.IntN(2*rate + 2) {
			e := happening{
				At:   begin.Add(time.Duration(m)*time.Minute + time.Duration(dice.IntN(60_000))*time.Millisecond),
				Team: fmt.Sprint("t", dice.IntN(3)), Seconds: float64(dice.IntN(200)) / 8,
			}
			e.shown = e.At
			if dice.IntN(3) == 0 {
				e.shown = e.At.Add(time.Duration(dice.Int64N(int64(lateBy))))
			}
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b happening) int { return a.At.Compare(b.At) })
	for i := range all {
		all[i].ID = 9007199254740993 + int64(i) // a float64 cannot tell them apart
	}
	return all
}
