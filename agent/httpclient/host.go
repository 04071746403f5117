// Package httpclient makes the HTTP clients of the agent: limits, authentication, redaction, and an eye on every exchange. No
// other package makes one.
//
// Whoever uses a client passes its errors through [Host.Explain], reads bodies by [ReadBody] and turns a refusal into an
// error by [Host.StatusError].
package httpclient

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

// Host is what the agent lends a job or a sink for HTTP.
type Host struct {
	Secrets   *setting.SecretStore
	UserAgent string
	Providers map[string]Provider // that settings can name by auth

	// Dial replaces the system's way to connect; nil = the system's. Tests give an in-memory network here.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Answer, if not nil, answers every request in place of a network: nobody is connected to, no certificate is read.
	// All else holds: limits, logins, what is blanked and observed.
	Answer http.RoundTripper

	// Traffic is what the process' jobs share, so that they are polite together; nil = no manners.
	Traffic *Traffic
	manners *Manners

	asksLogin bool // its requests are those of a login

	// Observe is told of every exchange when it is over; nil = nobody listens. It may be called by several goroutines.
	Observe func(Exchange)
}

// Exchange is one request and what came of it, fit for showing: secrets are blanked. Each hop of a redirect is one, and so
// is a request for an OAuth2 token.
type Exchange struct {
	Method string
	URL    string // with its query, secrets blanked
	Host   string
	Header http.Header // the request's, as it was sent

	// Body is the beginning of what was sent; nil = nothing was, or it was a login.
	Body func() string

	Code  int   // 0 where no response came
	Err   error // why no response came, or why its body broke off
	Bytes int64 // of the body as it was read, decompressed
	Took  time.Duration

	Unsent bool   // nothing was sent: an answer was there already, or it was not the time to ask
	Kept   bool   // the body is that of an earlier answer, of which the server has said that it still holds
	Quota  *Quota // what the server says of further requests; nil = nothing
}

// Client makes a client with these settings. It reads the secrets that they refer to afresh when they are used, follows
// redirects on the same origin alone, and has no time-out: the request's context is its bound. A client whose
// CloseIdleConnections was called keeps no goroutine.
func (h *Host) Client(s *Settings) (*http.Client, error) {
	transport, err := h.transport(s.TLS, &s.Proxy)
	if err != nil {
		return nil, err
	}
	login, err := h.Login(s)
	if err != nil {
		return nil, err
	}
	if login != nil {
		transport = &authenticated{next: transport, login: login, name: s.Auth}
	}
	return &http.Client{Transport: &explained{next: transport, host: h}, CheckRedirect: h.checkRedirect}, nil
}
