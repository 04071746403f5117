package demo

import (
	"net/http"
	"time"
)

// The troubles of the API, as times within a cycle. A status page is meant to show such troubles.
const (
	cycle      = 5 * time.Minute
	slowFrom   = time.Minute
	slowTo     = slowFrom + 20*time.Second
	downFrom   = 2*time.Minute + 30*time.Second
	downTo     = downFrom + 20*time.Second
	resetAt    = 4 * time.Minute
	slowness   = 1500 * time.Millisecond
	retryAfter = "5" // seconds
)

// Troubled returns the API with troubles, whose first cycle begins at the time "begin". In every cycle of five minutes, the API is slow
// for a while. Later in the cycle it fails for a while, and after that its total starts from zero again.
func Troubled(start, begin time.Time, now func() time.Time) http.Handler {
	h := &history{start: start.Truncate(time.Second)}
	api := handler(start, now, func(p *page, q query) {
		if since := now().Sub(begin); since >= resetAt && q.after.IsZero() && q.before.IsZero() {
			p.Total -= h.opened(begin.Add(resetAt + (since-resetAt)/cycle*cycle))
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch at := now().Sub(begin) % cycle; {
		case at >= downFrom && at < downTo:
			w.Header().Set("Retry-After", retryAfter)
			w.WriteHeader(http.StatusServiceUnavailable)
			write(w, map[string]string{"message": "maintenance, back soon"})
			return
		case at >= slowFrom && at < slowTo:
			select {
			case <-time.After(slowness):
			case <-r.Context().Done():
				return
			}
		}
		api.ServeHTTP(w, r)
	})
}
