package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// history knows what has really happened upstream. It is also an API that shows what has happened, with the faults that APIs have. There is
// one tick a minute.
type history struct {
	begin  time.Time
	events []incident
}

type incident struct {
	ID      int     `json:"id"`
	Team    string  `json:"team"`
	Minute  int     `json:"minute"`
	Seconds float64 `json:"seconds"`
}

const (
	minutes    = 40
	resetAt    = 13 // the upstream's totals start again from zero right after this minute's tick
	vanishFrom = 20 // the first minute in which the API does not show team b
	vanishTo   = 25
	windowSpan = 5 // minutes of events that the API shows, so that each event is shown five times
)

func newHistory(begin time.Time) *history {
	h := &history{begin: begin}
	for m := range minutes {
		for i := range m%4 + 1 {
			h.events = append(h.events, incident{
				ID: 1000 + len(h.events), Team: []string{"a", "b"}[(m+i)%2], Minute: m, Seconds: float64(m*i%17) / 4,
			})
		}
	}
	return h
}

func (h *history) minute() int { return int(time.Since(h.begin) / time.Minute) }

// total returns the upstream's running total at a minute. It grows by 3 a minute for team a and by 5 a minute for team b.
func total(team string, minute int) int {
	if minute > resetAt {
		minute -= resetAt
	} else {
		minute += 100
	}
	return map[string]int{"a": 3, "b": 5}[team] * minute
}

func shows(team string, minute int) bool {
	return team == "a" || minute < vanishFrom || minute >= vanishTo
}

func fails(minute int) bool { return minute == 7 || minute == 8 || minute == 31 }

func (h *history) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	m := h.minute()
	if fails(m) {
		http.Error(w, `{"total": 0}`, http.StatusInternalServerError)
		return
	}
	type count struct {
		Team  string `json:"team"`
		Total int    `json:"total"`
	}
	doc := struct {
		Counts []count    `json:"counts"`
		Events []incident `json:"events"`
	}{Events: []incident{}}
	for _, team := range []string{"a", "b"} {
		if shows(team, m) {
			doc.Counts = append(doc.Counts, count{team, total(team, m)})
		}
	}
	for _, e := range h.events {
		if e.Minute <= m && e.Minute > m-windowSpan {
			doc.Events = append(doc.Events, e)
		}
	}
	_ = json.NewEncoder(w).Encode(doc)
}

const truthConfig = `
sinks:
  v1: {remote_write: {url: "http://v1.test/api/v1/write", protocol: "1.0"}}
  v2: {remote_write: {url: "http://v2.test/api/v1/write", protocol: "2.0"}}
  gw: {pushgateway: {url: "http://gw.test"}}
jobs:
  api:
    schedule: "* * * * *"
    http: {url: "http://api.test/counts"}
    metrics:
      requests_total: {type: counter, items: ".counts[]", value: .total, labels: {team: .team}}
      requests_change: {type: gauge, delta: true, items: ".counts[]", value: .total, labels: {team: .team}}
      incidents_total: {type: counter, items: ".events[]", once_by: .id, labels: {team: .team}}
      resolve_seconds: {type: histogram, items: ".events[]", once_by: .id, value: .seconds, labels: {team: .team}, buckets: [1, 2, 4]}
      native_seconds: {type: histogram, items: ".events[]", once_by: .id, value: .seconds, native: true}
      acknowledge_seconds: {type: summary, items: ".events[]", once_by: .id, value: .seconds, quantiles: [0.5]}
`

// outage is a receiver that answers 503 for some minutes. A push to the Pushgateway in these minutes is lost.
type outage struct {
	http.Handler
	begin time.Time
}

func (o *outage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m := time.Since(o.begin).Minutes(); m >= 15.9 && m < 18.2 {
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(w, "ingester is restarting", http.StatusServiceUnavailable)
		return
	}
	o.Handler.ServeHTTP(w, r)
}

// TestTruth runs the whole program against the API of a history, and checks that real Prometheus storages show in the end what has really
// happened.
func TestTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().Add(time.Minute) // the first tick
		time.Sleep(30 * time.Second)
		h, net := newHistory(begin), memnet.NewNetwork()
		v1, v2 := peers.NewPrometheus(t), peers.NewPrometheus(t)
		net.Serve(t, "api.test:80", h)
		net.Serve(t, "v1.test:80", &outage{v1, begin})
		net.Serve(t, "v2.test:80", &outage{v2, begin})
		gateway := peers.NewPushgateway(t)
		net.Serve(t, "gw.test:80", &outage{gateway, begin})
		var mu sync.Mutex
		during := map[int]string{}
		for _, minute := range []int{vanishFrom - 1, vanishFrom, 31, 33} {
			time.AfterFunc(time.Until(begin.Add(time.Duration(minute)*time.Minute+30*time.Second)), func() {
				text := gateway.Text(t)
				mu.Lock()
				defer mu.Unlock()
				during[minute] = text
			})
		}
		logged := runFor(t, net, truthConfig, begin.Add((minutes-1)*time.Minute+10*time.Second))
		if !strings.Contains(logged, "503") || !strings.Contains(logged, "500 Internal Server Error") {
			t.Errorf("the faults are not in the log:\n%s", logged)
		}
		checkTruth(t, "1.0", h, v1, begin)
		checkTruth(t, "2.0", h, v2, begin)
		mu.Lock()
		defer mu.Unlock()
		checkGateway(t, h, gateway.Text(t), during)
	})
}

// runFor runs the program with a configuration until the time "end" and returns what the program has logged.
func runFor(t *testing.T, net *memnet.Network, config string, end time.Time) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cton.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, log strings.Builder
	app := command.App{
		Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &out, Err: &log,
		Dial: net.Dial,
	}
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()
	if code := app.Main(ctx, []string{"run", "-c", file}); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, log.String())
	}
	return log.String()
}

func checkTruth(t *testing.T, protocol string, h *history, p *peers.Prometheus, begin time.Time) {
	t.Helper()
	end := begin.Add((minutes - 1) * time.Minute)
	want := func(query string, at time.Time, truth float64) {
		t.Helper()
		if got := p.Value(t, at, query); math.Abs(got-truth) > 1e-6 || math.IsNaN(got) != math.IsNaN(truth) {
			t.Errorf("over %s, %s: %v, the truth is %v", protocol, query, got, truth)
		}
	}
	count, byTeam, sum := 0.0, map[string]float64{}, 0.0
	for _, e := range h.events {
		count++
		byTeam[e.Team]++
		sum += e.Seconds
	}
	span := fmt.Sprintf("[%dm] anchored", minutes)
	for team, n := range byTeam {
		// Before the reset the total grows from its value at the first tick; after the reset it grows from zero.
		grown := total(team, resetAt) - total(team, 0) + total(team, minutes-1)
		label := fmt.Sprintf("{team=%q}", team)
		want("increase(requests_total"+label+span+")", end, float64(grown))
		want("increase(incidents_total"+label+span+")", end, n)
		want("increase(resolve_seconds_count"+label+span+")", end, n)
		want("resolve_seconds_bucket{le=\"+Inf\",team=\""+team+"\"}", end, n)
	}
	// Each delta is the difference between two ticks, so the sum of all deltas is the last total minus the first.
	want(`sum_over_time(requests_change{team="a"}[40m])`, end, float64(total("a", minutes-1)-total("a", 0)))
	lost := total("b", vanishTo) - total("b", vanishFrom-1) // nobody saw b in between
	want(`sum_over_time(requests_change{team="b"}[40m])`, end, float64(total("b", minutes-1)-total("b", 0)-lost))
	want("increase(acknowledge_seconds_count"+span+")", end, count)
	want("acknowledge_seconds_sum", end, sum)
	want("sum(resolve_seconds_sum)", end, sum)
	want("native_seconds", end, count)

	gone := begin.Add(vanishFrom * time.Minute)
	want(`requests_total{team="b"}`, gone.Add(-time.Second), float64(total("b", vanishFrom-1)))
	want(`requests_total{team="b"}`, gone, math.NaN()) // at once: a staleness marker
	want(`requests_total{team="a"}`, gone, float64(total("a", vanishFrom)))
	want(`requests_total{team="a"}`, begin.Add(8*time.Minute-1), float64(total("a", 6))) // the last good value is still shown
	want(`requests_total{team="a"}`, begin.Add(8*time.Minute), math.NaN())               // two intervals after the last good value
	want(`count_over_time(requests_total{team="a"}[40m])`, end, float64(minutes-3))      // each good tick once, none lost in the outage
	want(`cton_job_up{cton_job="api"}`, end, 1)
	want(`cton_job_runs_total{cton_job="api",result="error"}`, end, 3)
}

// checkGateway compares what the Pushgateway shows, at the end and at some minutes before the end, with what really happened.
func checkGateway(t *testing.T, h *history, last string, during map[int]string) {
	t.Helper()
	value := func(text, series string) float64 {
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, series+" "); ok {
				number, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
				if err != nil {
					t.Errorf("%s: %v", series, err)
				}
				return number
			}
		}
		return math.NaN()
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := func(when, text, name, labels string, truth float64) {
		t.Helper()
		series := fmt.Sprintf("%s{instance=%q,job=\"api\"%s}", name, host, labels)
		if got := value(text, series); got != truth && !(math.IsNaN(got) && math.IsNaN(truth)) {
			t.Errorf("%s the gateway has %s at %v, the truth is %v", when, series, got, truth)
		}
	}
	byTeam := map[string]float64{}
	for _, e := range h.events {
		byTeam[e.Team]++
	}
	for team, n := range byTeam {
		label := fmt.Sprintf(",team=%q", team)
		want("in the end", last, "requests_total", label, float64(total(team, minutes-1)))
		want("in the end", last, "incidents_total", label, n)
		want("in the end", last, "resolve_seconds_count", label, n)
	}
	want("in the end", last, "acknowledge_seconds_count", "", float64(len(h.events)))
	b := `,team="b"`
	want("before b vanishes", during[vanishFrom-1], "requests_total", b, float64(total("b", vanishFrom-1)))
	want("when b has vanished", during[vanishFrom], "requests_total", b, math.NaN())
	want("after a failed tick", during[31], "requests_total", b, float64(total("b", 30)))
	want("after the next good one", during[33], "requests_total", b, float64(total("b", 33)))
}
