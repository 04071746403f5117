package httpclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/collectington/collectington/agent/setting"
)

// Client sends requests. Its errors are explained for users, and bodies of responses are read within a limit. [Host.Client]
// makes a client. Several goroutines may use a client at once.
type Client struct {
	http   *http.Client
	auth   *authTransport // nil = requests are not signed, or digest_auth signs them
	socket string         // see Host.socket
	redact redactor
}

// Client returns a client with these settings. The client reads the secrets and the files of tls_config again at each request, so that a
// rotated secret is used at once. Requests fail as long as a file of tls_config cannot be used. If a file cannot be used while the client
// is made, Client calls Host.Unready. It returns an error if the setting auth names a provider that does not exist.
func (h *Host) Client(s *Settings) (*Client, error) {
	transport := newTransport(h, s.TLS, &s.Proxy)
	authenticator, err := h.Authenticator(s)
	if err != nil {
		return nil, err
	}
	if s.DigestAuth != nil {
		transport = &digestTransport{next: transport, host: h, set: s.DigestAuth}
	}
	var auth *authTransport
	if authenticator != nil {
		auth = &authTransport{next: transport, authenticator: authenticator, provider: s.Auth}
		transport = auth
	}
	redact := h.redactor()
	return &Client{
		http: &http.Client{
			Transport:     &requestTransport{next: transport, redact: redact},
			CheckRedirect: redirectPolicy{redact}.check,
		},
		auth:   auth,
		socket: h.socket,
		redact: redact,
	}, nil
}

// Do sends a request and returns its response, whose status is 2xx. For any other status it returns an [Error] that wraps a
// [StatusError]. The caller must close the response.
//
// Redirects within the origin of the request are followed, at most 5. The request's context is the only time-out.
func (c *Client) Do(req *http.Request) (*Response, error) {
	resp, err := c.DoAnyStatus(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Close()
		return nil, resp.StatusError()
	}
	return resp, nil
}

// DoAnyStatus is Do for callers that decide by the status: it returns a response of any status. [Response.StatusError] returns
// the error that Do would return.
func (c *Client) DoAnyStatus(req *http.Request) (*Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	return newResponse(req, resp, c.redact), nil
}

// KeepMethod makes the client return a redirect as the response if following it would change the request's method to GET,
// as 301, 302 and 303 do for a POST (RFC 9110 section 15.4). Call it before the first request.
func (c *Client) KeepMethod() {
	check := c.http.CheckRedirect
	c.http.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if next.Method != via[0].Method {
			return http.ErrUseLastResponse
		}
		return check(next, via)
	}
}

// RefuseChanges makes a redirect an error if following it would change the request's method or drop its body. A 303 that makes a
// GET of a POST is still followed. Call it before the first request.
func (c *Client) RefuseChanges() {
	check := c.http.CheckRedirect
	c.http.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if changes := changedBy(via[len(via)-1], next); changes != "" {
			return requestError(c.redact, via[len(via)-1], fmt.Errorf("redirected with %d, which %s: not followed; set url to the new address, %s",
				next.Response.StatusCode, changes, c.redact.secret(setting.Place(next.URL))))
		}
		return check(next, via)
	}
}

// ReturnRedirects makes the client return every redirect as the response. Call it before the first request.
func (c *Client) ReturnRedirects() {
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
}

// Server returns the server of requests to a URL: its origin, or the client's unix socket. Equal servers have equal texts, however the URL
// writes the scheme, the host and the port.
func (c *Client) Server(u *url.URL) string { return serverOf(c.socket, u) }

// Leave ends the session that the client's auth has at the server of a URL, and forgets its token. It does nothing if auth has no session
// for each server. Other clients of the same auth get a new session with their next request to the server.
func (c *Client) Leave(ctx context.Context, u *url.URL) error {
	if c.auth == nil {
		return nil
	}
	return c.auth.leave(ctx, u)
}

// CloseIdleConnections closes the connections that no request uses. Afterwards the client has no goroutines of its own.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// explain returns the [Error] of a failed request. Errors of net/http cannot be shown: they contain the URL with its query, which
// may contain a secret.
func (c *Client) explain(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		place := ""
		if u, err := url.Parse(e.URL); err == nil {
			place = setting.Place(u)
		}
		return &Error{strings.ToUpper(e.Op), c.redact.secret(place), explain(context.Background(), c.redact, e.Err)}
	}
	return explain(context.Background(), c.redact, err)
}

// requestTransport is the outermost layer. It leaves the caller's request unchanged and explains errors.
type requestTransport struct {
	next   http.RoundTripper
	redact redactor
}

func (r *requestTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req.Clone(req.Context()))
	if err != nil {
		return nil, requestError(r.redact, req, err)
	}
	return resp, nil
}

func (r *requestTransport) CloseIdleConnections() { closeIdle(r.next) }
