package agent_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// TestTargetsSeriesEnd holds what Prometheus stores of an http job over several targets: the series of a target that is down end
// at once, its totals go on; all series of a target that is gone from the list end, its totals too; the other target's go on.
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
