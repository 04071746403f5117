//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// killings is how often TestKilled kills the agent.
const killings = 500

// incidents is an API of events. New events happen all the time, and the API shows each event for a while.
type incidents struct {
	mu    sync.Mutex
	began time.Time
	count int // number of all events so far
}

// perSecond is the number of events that happen in a second. shownFor is the number of seconds for which each event is shown.
const (
	perSecond = 40
	shownFor  = 20
)

func (i *incidents) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.count = max(i.count, int(time.Since(i.began).Seconds()*perSecond))
	type incident struct {
		ID   string `json:"id"`
		Team string `json:"team"`
		Took int    `json:"took"`
	}
	shown := []incident{}
	for n := max(0, i.count-perSecond*shownFor); n < i.count; n++ {
		shown = append(shown, incident{strconv.Itoa(n), "t" + strconv.Itoa(n%3), n % 7})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"total": i.count, "incidents": shown})
}

// stop makes the API stop: no more events happen. It returns how many events have happened.
func (i *incidents) stop() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.began = time.Now().Add(time.Hour)
	return i.count
}

const killedConfig = `
state_file: state
external_labels: {instance: killed}
sinks:
  tsdb: {remote_write: {url: "%s/api/v1/write", spool: {dir: spool}}}
jobs:
  api:
    schedule: "@every 1s"
    http: {url: "http://%s/"}
    metrics:
      incidents_total: {type: counter, items: ".incidents[]", once_by: .id, labels: {team: .team}}
      took_seconds: {type: histogram, items: ".incidents[]", once_by: .id, value: .took, buckets: [2, 4]}
      change: {type: gauge, delta: true, value: .total}
`

// TestKilled kills an agent with a state file and a spool again and again, at random moments under load. It checks the samples that a
// real Prometheus has stored: no total decreases, and the increases of each total add up to the number of events.
func TestKilled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	address := freeAddress(t)
	r := newPrometheus(t, address, "http://"+address, nil)
	r.start(t)
	r.answers(ctx, t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	api := &incidents{began: time.Now()}
	server := &http.Server{Handler: api}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	dir := t.TempDir()
	config := write(t, dir, "cton.yaml", fmt.Sprintf(killedConfig, r.root, l.Addr()))
	launch := func() *process { return start(t, env(t, "CTON"), "run", "-c", config) }
	dice := rand.New(rand.NewPCG(1, 1))
	for range killings {
		agent := launch()
		time.Sleep(time.Duration(20+dice.IntN(380)) * time.Millisecond)
		agent.kill()
	}
	agent := launch()
	time.Sleep(3 * time.Second)
	truth := float64(api.stop())
	wantSteps := func() error {
		v, _, _, err := r.query.Query(ctx, `{__name__=~"incidents_total|took_seconds_.*|change"}[1h]`, time.Now())
		if err != nil {
			return err
		}
		return judgeSteps(v.(model.Matrix), truth)
	}
	poll(ctx, t, "the stored steps are the truth", wantSteps)
	agent.stop(t, 15*time.Second)
	if err := wantSteps(); err != nil {
		t.Error(err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "state.damaged-*")); len(names) > 0 {
		t.Errorf("set aside: %q", names)
	}
}

// judgeSteps returns an error if a total has decreased, or if the increases do not add up to "truth", the real number of events.
func judgeSteps(stored model.Matrix, truth float64) error {
	events, changes := 0.0, 0.0
	for _, series := range stored {
		name := series.Metric[model.MetricNameLabel]
		last := model.SampleValue(0)
		for i, p := range series.Values {
			switch {
			case name == "change":
				changes += float64(p.Value)
				continue
			case i == 0 && p.Value != 0 && (name == "incidents_total" || name == "took_seconds_count"):
				return fmt.Errorf("%s begins at %v", series.Metric, p.Value)
			case p.Value < last:
				return fmt.Errorf("%s steps back from %v to %v at %s", series.Metric, last, p.Value, p.Timestamp.Time())
			}
			last = p.Value
		}
		switch name {
		case "incidents_total":
			events += float64(last)
		case "took_seconds_count":
			if float64(last) != truth {
				return fmt.Errorf("the histogram has %v, the truth is %v", last, truth)
			}
		}
	}
	if events != truth {
		return fmt.Errorf("the counters add up to %v, the truth is %v", events, truth)
	}
	if changes > truth || changes < truth-perSecond*60 { // the total in the first run is not known
		return fmt.Errorf("the changes add up to %v, the truth is %v", changes, truth)
	}
	return nil
}
