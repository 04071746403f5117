//go:build unix

package agent_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// electAfter is how long the elected replica must have been silent before another replica is elected. This is the default of Mimir and
// Cortex.
const electAfter = 30 * time.Second

// tracker is a receiver that keeps the samples of one replica of each cluster, as the HA tracker of Mimir and Cortex does. It answers 202
// to the other replicas. It accepts samples that are up to five minutes older than the newest sample of their series: the zero from which a
// new counter of the agent's own metrics starts can be older than the last sample of the other replica. It removes the label __replica__.
type tracker struct {
	*testing.T
	storage *peers.Prometheus

	mu       sync.Mutex
	elected  string
	heard    time.Time                            // when the elected replica last sent something
	received map[string]map[string]map[int64]bool // times of the samples that were received, by replica and series
	refused  int                                  // requests answered with 202
}

func (h *tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Content-Type"), "io.prometheus.write.v2") {
		http.Error(w, "only 1.0", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		body, err = snappy.Decode(nil, body)
	}
	var request prompb.WriteRequest
	if err == nil {
		err = request.Unmarshal(body)
	}
	if err != nil {
		h.Error(err)
		return
	}
	if !h.takes(&request) {
		http.Error(w, "replicas did not match, rejecting sample", http.StatusAccepted)
		return
	}
	body, err = request.Marshal()
	if err != nil {
		h.Error(err)
		return
	}
	body = snappy.Encode(nil, body)
	kept := r.Clone(r.Context())
	kept.Body, kept.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	h.storage.ServeHTTP(w, kept)
}

// takes reports whether a request is from the elected replica, and removes the label __replica__ from the request's series. The result is
// also true for a request that has only metadata.
func (h *tracker) takes(request *prompb.WriteRequest) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	replica := ""
	for i := range request.Timeseries {
		s := &request.Timeseries[i]
		labels := map[string]string{}
		for _, l := range s.Labels {
			labels[l.Name] = l.Value
		}
		replica = labels["__replica__"]
		if labels["cluster"] != "cton" || replica == "" {
			h.Errorf("a series has the labels %v", labels)
		}
		name := labels["__name__"] + labels["job"]
		if h.received[replica] == nil {
			h.received[replica] = map[string]map[int64]bool{}
		}
		if h.received[replica][name] == nil {
			h.received[replica][name] = map[int64]bool{}
		}
		for _, sample := range s.Samples {
			if !value.IsStaleNaN(sample.Value) {
				h.received[replica][name][sample.Timestamp] = true
			}
		}
		s.Labels = slices.DeleteFunc(s.Labels, func(l prompb.Label) bool { return l.Name == "__replica__" })
	}
	if replica == "" {
		return true
	}
	if h.elected == "" || time.Since(h.heard) > electAfter {
		h.elected = replica
	}
	if h.elected != replica {
		h.refused++
		return false
	}
	h.heard = time.Now()
	return true
}

// TestPair checks two agents that send the same series, as the chart sets them up (pair.enabled). The receiver keeps the samples of one
// agent, and those of the other when the first has stopped. Each agent delivers every sample of its own once, and none is stored twice.
func TestPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.NewNetwork()
		h := &tracker{T: t, storage: peers.NewOutOfOrder(t, 5*time.Minute), received: map[string]map[string]map[int64]bool{}}
		net.Serve(t, "mimir.test:80", h)
		asked := 0
		net.Serve(t, "api.test:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			h.mu.Lock()
			defer h.mu.Unlock()
			asked++
			fmt.Fprintf(w, `{"time": %d}`, time.Now().Unix())
		}))
		file := filepath.Join(t.TempDir(), "cton.yaml")
		write(t, file, `
external_labels: {instance: cton, cluster: cton, __replica__: "env:POD_NAME"}
sinks: {mimir: {remote_write: {url: "http://mimir.test/api/v1/push"}}}
jobs:
  clock:
    schedule: "@every 10s"
    http: {url: "http://api.test/"}
    metrics:
      clock_seconds_total: {type: counter, help: A total that the API keeps., value: .time}
`)
		run := func(pod string) (stop func(), logs *lockedText) {
			t.Setenv("POD_NAME", pod)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			logs = &lockedText{}
			app := command.App{Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: io.Discard, Err: logs, Dial: net.Dial}
			go func() {
				defer close(done)
				app.Main(ctx, []string{"run", "-c", file})
			}()
			time.Sleep(4 * time.Second)
			return func() { cancel(); <-done }, logs
		}
		stopFirst, first := run("cton-0")
		stopSecond, second := run("cton-1")
		time.Sleep(5 * time.Minute)
		stopFirst()
		stopped := time.Now()
		time.Sleep(5 * time.Minute)
		stopSecond()

		h.mu.Lock()
		defer h.mu.Unlock()
		sent := 0
		for _, of := range h.received {
			sent += len(of["clock_seconds_totalclock"])
		}
		if sent != asked || h.refused == 0 || len(h.received) != 2 {
			t.Errorf("the API was asked %d times, and %d samples were sent by %v; %d requests were refused", asked, sent, slices.Collect(maps.Keys(h.received)), h.refused)
		}
		for _, logs := range []*lockedText{first, second} {
			if log := logs.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
				t.Errorf("the log has an error:\n%s", log)
			}
		}
		all := h.storage.Points(t, "clock_seconds_total")
		if len(all) != 1 {
			t.Errorf("%d series are stored, want one", len(all))
		}
		for series, points := range all {
			if strings.Contains(series, "__replica__") {
				t.Errorf("stored: %s", series)
			}
			before := points[0]
			for _, p := range points[1:] {
				gap := time.Duration(p.Time-before.Time) * time.Millisecond
				limit := 11 * time.Second
				if at := model.Time(p.Time).Time(); at.After(stopped) && at.Before(stopped.Add(time.Minute)) {
					limit += electAfter + 10*time.Second
				}
				if gap <= 0 || gap > limit || p.Value != float64(p.Time/1000) {
					t.Errorf("%v at %s, %s after the sample before it", p.Value, model.Time(p.Time).Time(), gap)
				}
				before = p
			}
			if len(points) < 50 {
				t.Errorf("%d samples are stored", len(points))
			}
		}
	})
}
