package command_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// TestOwnTraffic checks what the agent's own metrics cost on a metered line: with one idle job and one remote-write sink, less than 30
// MB of request bodies in a month of 30 days.
func TestOwnTraffic(t *testing.T) {
	for name, protocol := range map[string]remoteapi.WriteMessageType{"1.0": remoteapi.WriteV1MessageType, "2.0": remoteapi.WriteV2MessageType} {
		synctest.Test(t, func(t *testing.T) {
			net, prometheus := memnet.NewNetwork(), peers.NewPrometheus(t, protocol)
			net.Serve(t, "api.test:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, "[]")
			}))
			bytes, requests := int64(0), 0
			net.Serve(t, "rw.test:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				bytes += r.ContentLength
				requests++
				prometheus.ServeHTTP(w, r)
			}))
			file := write(t, "cton.yaml", `
sinks: {central: {remote_write: {url: "http://rw.test/api/v1/write"}}}
jobs:
  weather:
    schedule: "@every 240h"
    http: {url: "http://api.test/v1"}
    metrics: {weather_celsius: {type: gauge, items: ".[]", value: .}}
`)
			var out, log strings.Builder
			ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
			defer cancel()
			if code := faultyApp(&out, &log, net).Main(ctx, []string{"run", "-c", file}); code != 0 {
				t.Fatalf("protocol %s: exit code %d\n%s", name, code, log.String())
			}
			if month := 30 * bytes; month == 0 || month > 30e6 {
				t.Errorf("protocol %s: %d bytes in a month, want fewer than 30 MB", name, month)
			}
			t.Logf("protocol %s: %d requests and %d bytes in a day, %.1f MB in 30 days", name, requests, bytes, 30*float64(bytes)/1e6)
			if got := prometheus.Vector(t, time.Now(), `count({job="cton"})`); len(got) != 1 || got[0].F < 20 {
				t.Errorf("protocol %s: stored are %v", name, got)
			}
		})
	}
}
