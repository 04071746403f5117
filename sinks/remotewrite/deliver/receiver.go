package deliver

import (
	"net/url"
	"strings"
)

// Refusals says what to do with a request that the receiver refuses with 400, 409, 413 or 422.
type Refusals uint8

const (
	// Auto searches a request for its good samples if the receiver has stored nothing of the request: after 413, and if the receiver is
	// Prometheus and the protocol is 1.0. It drops other requests, as the specification demands.
	Auto Refusals = iota
	// Drop drops the request.
	Drop
	// Search sends parts of the request until all samples are accepted, except those that the receiver refuses.
	Search
)

// receiver says how a receiver treats a request with one bad sample. It is guessed from the path of the URL.
type receiver uint8

const (
	unknownReceiver receiver = iota
	refusesWhole             // in 1.0, it stores nothing of the request
	storesRest               // it stores the good samples, and answers 4xx
)

// receiverOf returns what is known about the receiver at a URL. The text of the receiver's responses is not used, since the specification
// forbids this.
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
