package agent_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// scriptedAPI answers as the test says.
type scriptedAPI struct {
	mu     sync.Mutex
	answer string
}

func (a *scriptedAPI) set(answer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

func (a *scriptedAPI) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _ = io.WriteString(w, a.answer)
}

// newKilled returns an agent with a state file, its API and its receiver.
func newKilled(t *testing.T) (*exact, *scriptedAPI, *peers.Prometheus) {
	t.Helper()
	network, storage, api := memnet.NewNetwork(), peers.NewPrometheus(t), &scriptedAPI{}
	network.Serve(t, "prometheus.test:80", storage)
	network.Serve(t, "api.test:80", api)
	x := &exact{T: t, net: network, dir: t.TempDir(), begin: time.Now(), dice: rand.New(rand.NewPCG(1, 1))}
	x.config = `
state_file: state
external_labels: {instance: test}
sinks:
  tsdb: {remote_write: {url: "http://prometheus.test/api/v1/write"}}
jobs:
  job:
    schedule: "@every 20s"
    http: {url: "http://api.test/"}
    metrics:
      calls_total: {type: counter, items: ".calls[]?", value: .n, labels: {host: .host}}
      free: {type: gauge, items: ".free[]?", value: .n, labels: {host: .host}}
`
	return x, api, storage
}

// valuesOf returns the values of a series as they are stored. In place of a staleness marker it returns "stale".
func valuesOf(t *testing.T, storage *peers.Prometheus, selector string) string {
	t.Helper()
	var all []string
	for _, points := range storage.Points(t, selector) {
		for _, p := range points {
			if p.Stale {
				all = append(all, "stale")
			} else {
				all = append(all, fmt.Sprint(p.Value))
			}
		}
	}
	return strings.Join(slices.Compact(all), " ")
}

// TestResetIsSeenOnce kills an agent after an upstream's total was reset. It checks that the restarted agent does not see the reset again,
// and that no zero is stored.
func TestResetIsSeenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, api, storage := newKilled(t)
		play := func(p *process, totals ...int) {
			for _, n := range totals {
				api.set(fmt.Sprintf(`{"calls": [{"host": "a", "n": %d}]}`, n))
				if p == nil {
					p = x.start(&process{}) // from here on, its runs are ten seconds after each change
					time.Sleep(10 * time.Second)
					continue
				}
				time.Sleep(20 * time.Second)
			}
			p.kill()
		}
		play(nil, 1000, 50, 70)
		play(nil, 80, 90)
		x.closing.Wait()
		if got := valuesOf(t, storage, `calls_total`); got != "1000 50 70 80 90" {
			t.Errorf("stored is %s", got)
		}
	})
}

// TestGoneWhileDown checks a series that vanishes after the agent was killed or stopped. The agent's next run ends the series.
func TestGoneWhileDown(t *testing.T) {
	for _, kill := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			x, api, storage := newKilled(t)
			api.set(`{"free": [{"host": "a", "n": 1}, {"host": "b", "n": 2}], "calls": [{"host": "a", "n": 1}, {"host": "b", "n": 2}]}`)
			p := x.start(&process{})
			time.Sleep(2 * time.Minute)
			if kill {
				p.kill()
			} else {
				p.stop()
			}
			api.set(`{"free": [{"host": "a", "n": 3}], "calls": [{"host": "a", "n": 3}]}`)
			time.Sleep(time.Minute)
			p = x.start(&process{})
			time.Sleep(time.Minute)
			p.stop()
			x.closing.Wait()
			for selector, want := range map[string]string{`free{host="a"}`: "1 3", `free{host="b"}`: "2 stale", `calls_total{host="a"}`: "1 3", `calls_total{host="b"}`: "2 stale"} {
				if got := valuesOf(t, storage, selector); got != want {
					t.Errorf("killed %t: %s is stored as %s, want %s", kill, selector, got, want)
				}
			}
		})
	}
}
