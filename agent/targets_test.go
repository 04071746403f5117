package agent_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// TestTargetsSeriesEnd checks what Prometheus stores of an http job with several targets. If a target is down, its series end at once, but
// its totals continue. If a target is removed from the list, all its series end, including its totals. In both cases the series of the
// other target continue.
func TestTargetsSeriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, prometheus := memnet.NewNetwork(), peers.NewPrometheus(t)
		network.Serve(t, "rw.test:80", prometheus)
		list := filepath.Join(t.TempDir(), "list.json")
		write := func(targets ...string) {
			text := fmt.Sprintf(`[{"targets": [%s], "labels": {"room": "hall"}}]`, `"`+strings.Join(targets, `", "`)+`"`)
			if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
				t.Error(err)
			}
		}
		begin, round := time.Now(), 0
		network.Serve(t, "a.test:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"power": 1}`)
		}))
		network.Serve(t, "b.test:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if round++; round == 2 {
				http.Error(w, "down", http.StatusServiceUnavailable)
				return
			}
			_, _ = io.WriteString(w, `{"power": 2}`)
		}))
		write("a.test", "b.test")
		time.AfterFunc(40*time.Second, func() { write("a.test") }) // after the third run
		runFor(t, network, fmt.Sprintf(`
sinks:
  rw: {remote_write: {url: "http://rw.test/api/v1/write"}}
jobs:
  plugs:
    schedule: "@every 15s"
    http: {url: /status, file_sd: {files: [%q]}}
    metrics:
      power_watts: {type: gauge, help: P., value: .power}
      energy_total: {type: counter, help: E., from: increment, value: .power}
      seen_seconds: {type: histogram, help: S., unit: seconds, value: .power, buckets: [1]}
`, list), begin.Add(59*time.Second))
		gone := math.NaN()
		for i, want := range []map[string]float64{
			{`power_watts{instance="a.test",job="plugs",room="hall"}`: 1, `power_watts{instance="b.test"}`: 2, `up{instance="b.test",job="plugs"}`: 1, `energy_total{instance="b.test"}`: 2},
			{`power_watts{instance="a.test"}`: 1, `power_watts{instance="b.test"}`: gone, `up{instance="a.test"}`: 1, `up{instance="b.test"}`: 0, `energy_total{instance="b.test"}`: 2},
			{`power_watts{instance="b.test"}`: 2, `up{instance="b.test"}`: 1, `energy_total{instance="b.test"}`: 4, `seen_seconds_count{instance="b.test"}`: 2},
			{
				`power_watts{instance="a.test"}`: 1, `energy_total{instance="a.test"}`: 4, `up{instance="a.test"}`: 1, `power_watts{instance="b.test"}`: gone, `up{instance="b.test"}`: gone,
				`scrape_duration_seconds{instance="b.test"}`: gone, `energy_total{instance="b.test"}`: gone, `seen_seconds_count{instance="b.test"}`: gone,
			},
		} {
			at := begin.Add(time.Duration(i)*15*time.Second + 14*time.Second)
			for query, v := range want {
				if got := prometheus.Value(t, at, query); got != v && !(math.IsNaN(got) && math.IsNaN(v)) {
					t.Errorf("run %d: %s is %v, want %v", i, query, got, v)
				}
			}
		}
	})
}

// plug is a device with its own login page. Its tokens are NAME-1, NAME-2, …
type plug struct {
	name string

	mu  sync.Mutex
	log []string // requests other than for data
}

// requests returns the requests other than for data.
func (p *plug) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

func (p *plug) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	token := fmt.Sprintf("%s-s3ss10n-%d", p.name, len(p.log))
	if r.URL.Path != "/status" {
		p.log = append(p.log, r.URL.Path)
	}
	switch given := r.Header.Get("Authorization") == "Bearer "+token; {
	case r.URL.Path == "/login":
		_, _ = fmt.Fprintf(w, `{"token": "%s-s3ss10n-%d"}`, p.name, len(p.log))
	case !given:
		http.Error(w, "no session", http.StatusUnauthorized)
	case r.URL.Path == "/status":
		_, _ = io.WriteString(w, `{"power": 1}`)
	}
}

// TestLoginOfEachTarget checks jobs of the kinds http and scrape with a list of targets. The agent logs in once to each target. It logs out
// at once from a target that is removed from the list. The state file has only the tokens of the targets in the list.
func TestLoginOfEachTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.NewNetwork()
		dir := t.TempDir()
		write := func(text string) {
			if err := os.WriteFile(filepath.Join(dir, "list.json"), []byte(text), 0o600); err != nil {
				t.Error(err)
			}
		}
		plugs := map[string]*plug{}
		for _, name := range []string{"a", "b", "c"} {
			plugs[name] = &plug{name: name}
			network.Serve(t, name+".test:80", plugs[name])
		}
		write(`[{"targets": ["a.test", "b.test"]}]`)
		time.AfterFunc(40*time.Second, func() {
			write(`[{"targets": ["a.test"]}]`)
			if got := fmt.Sprint(plugs["a"].requests(), plugs["b"].requests()); got != "[/login] [/login]" {
				t.Errorf("before: %s", got)
			}
		})
		time.AfterFunc(59*time.Second, func() {
			if got := fmt.Sprint(plugs["a"].requests(), plugs["b"].requests(), plugs["c"].requests()); got != "[/login] [/login /bye] [/login]" {
				t.Errorf("while it runs: %s", got)
			}
		})
		logged := runFor(t, network, fmt.Sprintf(`
state_file: %s/state
sinks: {out: {print: {}}}
auth:
  plug: {login: {url: /login, body: {password: x}, token: .token, logout: {url: /bye}}}
jobs:
  plugs:
    schedule: "@every 15s"
    http: {url: /status, auth: plug, file_sd: {files: [%q]}}
    metrics: {power_watts: {type: gauge, help: P., value: .power}}
  pages:
    schedule: "@every 15s"
    scrape: {auth: plug, targets: [http://c.test/status]}
`, dir, filepath.Join(dir, "list.json")), time.Now().Add(time.Minute))
		sections, _, err := state.Read(filepath.Join(dir, "state"))
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%s", state.NewestOf(sections, ""))
		for token, kept := range map[string]bool{"a-s3ss10n-1": true, "b-s3ss10n": false, "c-s3ss10n-1": true} {
			if strings.Contains(text, token) != kept {
				t.Errorf("%s in the state file: want %v", token, kept)
			}
		}
		if strings.Contains(logged, "s3ss10n") {
			t.Errorf("a token is logged: %s", logged)
		}
	})
}
