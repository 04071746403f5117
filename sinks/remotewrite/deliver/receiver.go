package deliver

import (
	"net/url"
	"strings"
)

// Refusals says what becomes of a request that the receiver refuses with 400, 409, 413 or 422.
type Refusals uint8

const (
	// Auto searches a request of a receiver that stores nothing of a refused request: Prometheus in 1.0, and any in answer
	// to 413. It drops other requests, as the specification demands.
	Auto Refusals = iota
	// Drop drops the request.
	Drop
	// Search sends parts of the request until only the samples that the receiver refuses are left.
	Search
)

// receiver is what the path of a URL says about how a receiver treats a request with one bad sample.
type receiver uint8

const (
	unknownReceiver receiver = iota
	refusesWhole             // it stores nothing, in 1.0
	storesRest               // it stores the good samples, and answers 4xx
)

// receiverOf returns what is known of the receiver at a URL. The receivers' text is not used: the specification forbids it.
func receiverOf(address string) receiver {
	u, err := url.Parse(address)
	if err != nil {
		return unknownReceiver
	}
	path := strings.TrimSuffix(u.Path, "/")
	for suffix, is := range map[string]receiver{
		"/api/v1/write":         refusesWhole, // Prometheus; VictoriaMetrics refuses no samples
		"/api/v1/metrics/write": refusesWhole, // Alloy
		"/api/v1/push":          storesRest,   // Mimir, Cortex
		"/api/prom/push":        storesRest,   // Grafana Cloud, Cortex
		"/api/v1/receive":       storesRest,   // Thanos
	} {
		if strings.HasSuffix(path, suffix) {
			return is
		}
	}
	return unknownReceiver
}
