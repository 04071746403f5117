package agent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// receiver returns a Prometheus. The first call creates it.
type receiver func() *peers.Prometheus

// receivers returns two receivers for a story: /prometheus/write accepts a series' samples only in order, /reordering/write in any order.
func receivers(t testing.TB, mux *http.ServeMux) map[string]receiver {
	all := map[string]receiver{
		"prometheus": sync.OnceValue(func() *peers.Prometheus { return peers.NewPrometheus(t) }),
		"reordering": sync.OnceValue(func() *peers.Prometheus { return peers.NewOutOfOrder(t, 100*365*24*time.Hour) }),
	}
	for name, r := range all {
		mux.HandleFunc("/"+name+"/write", func(w http.ResponseWriter, q *http.Request) { r().ServeHTTP(w, q) })
	}
	return all
}

// stored is the command of stories that compares a file with all samples of a metric in a receiver. The line "stored prometheus temp FILE"
// compares the samples of the metric temp.
func stored(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: stored RECEIVER METRIC FILE")
	}
	got, err := ts.Value("receivers").(map[string]receiver)[args[0]]().Stored(args[1])
	ts.Check(err)
	if want := ts.ReadFile(args[2]); strings.Join(got, "") != want {
		ts.Fatalf("%s has\n%swanted is\n%s", args[0], strings.Join(got, ""), want)
	}
}

// hours answers for the window that the query parameters "from" and "to" name: how many hours of the year are over at the end of the
// window, and a value for each ten minutes of the window. With bad=TIME it fails for the window that begins at this time. With twice=1 it
// also shows the half hour before the window.
func hours(w http.ResponseWriter, r *http.Request) {
	from, _ := time.Parse(time.RFC3339, r.URL.Query().Get("from"))
	to, err := time.Parse(time.RFC3339, r.URL.Query().Get("to"))
	if err != nil || r.URL.Query().Get("bad") == r.URL.Query().Get("from") {
		http.Error(w, "no such window", http.StatusBadRequest)
		return
	}
	if r.URL.Query().Get("twice") != "" {
		from = from.Add(-30 * time.Minute)
	}
	type point struct {
		At    time.Time `json:"at"`
		Value int       `json:"value"`
	}
	answer := struct {
		Total  int     `json:"total"`
		Points []point `json:"points"`
	}{Total: to.YearDay()*24 - 24 + to.Hour()}
	for at := from; at.Before(to); at = at.Add(10 * time.Minute) {
		answer.Points = append(answer.Points, point{at, at.Hour()*60 + at.Minute()})
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		fmt.Println(err)
	}
}
