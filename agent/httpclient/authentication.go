package httpclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/collectington/collectington/agent/setting"
)

// Authenticator puts credentials on requests. Several goroutines may use it at once.
type Authenticator interface {
	// Sign puts the credentials on a request. It is allowed to change the request. The result "token" identifies these credentials for the
	// method Forget. The result "used" reports whether an earlier request had the same credentials. If so, a refusal may mean that they have
	// expired.
	Sign(req *http.Request) (token string, used bool, err error)
	// Forget drops a token that the server has refused.
	Forget(ctx context.Context, token string) error
	CloseIdleConnections()
}

// refuser is an optional interface of an Authenticator. Refuses reports whether a status means that the credentials were refused; without
// this interface, only the status 401 means this.
type refuser interface{ Refuses(status int) bool }

// Provider is a named authentication. All clients whose settings name it share its tokens.
type Provider interface {
	// Authenticator returns the provider's authenticator for one client. Requests for tokens go through the host.
	Authenticator(h *Host) (Authenticator, error)
}

// Authenticator returns the authenticator of the settings, nil if they ask for none.
func (h *Host) Authenticator(s *Settings) (Authenticator, error) {
	tokenHost := *h
	tokenHost.forTokens = true
	tokenHost.signs = &signedClient{Settings{TLS: s.TLS, Proxy: s.Proxy}, h.socket}
	tokenHost.socket = ""
	switch {
	case s.Auth != "":
		provider := h.Providers[s.Auth]
		if provider == nil {
			return nil, setting.Errorf("auth", "there is no auth.%s", s.Auth)
		}
		tokenHost.policy = nil // a response to a login must not come from the cache
		return provider.Authenticator(tokenHost.Under("auth." + s.Auth))
	case s.BasicAuth != nil:
		return authorization(func() (string, error) { return s.BasicAuth.header(h) }), nil
	case s.Authorization != nil:
		return authorization(func() (string, error) { return s.Authorization.header(h) }), nil
	case s.OAuth2 != nil:
		return NewOAuth2Provider(s.OAuth2, nil).Authenticator(&tokenHost)
	case s.SigV4 != nil:
		return newSigV4Signer(h, s.SigV4), nil
	}
	return nil, nil
}

// signedClient describes a client whose requests are signed: how it reaches its servers.
type signedClient struct {
	set    Settings // only TLS and Proxy
	socket string   // see Host.socket
}

// SameServers returns a client without credentials that reaches the servers whose requests the host's [Authenticator] signs. It uses the
// tls_config, the proxy and the unix socket of the client that sends these requests. A tls_config or a proxy in the argument "set" takes
// precedence.
func (h *Host) SameServers(set *Settings) (*Client, error) {
	if h.signs == nil {
		return h.Client(set)
	}
	same := *h
	same.socket = h.signs.socket
	own := Settings{TLS: set.TLS, Proxy: set.Proxy}
	if own.TLS == nil {
		own.TLS, same.Unready = h.signs.set.TLS, nil // the client of the requests reports it
	}
	if own.Proxy == (Proxy{}) {
		own.Proxy = h.signs.set.Proxy
	}
	return same.Client(&own)
}

// Server returns the server of a request that the host's [Authenticator] signs: its origin, or its unix socket. Equal servers have equal
// texts.
func (h *Host) Server(u *url.URL) string {
	if h.signs == nil {
		return originOf(u)
	}
	return serverOf(h.signs.socket, u)
}

// serverOf returns a unix socket, or the origin of a URL if the socket is "".
func serverOf(socket string, u *url.URL) string {
	if socket != "" {
		return SocketScheme + socket
	}
	return originOf(u)
}

// leaver is an optional interface of an Authenticator that has a session for each server. Leave ends the session at the server of a URL
// and forgets it.
type leaver interface {
	Leave(ctx context.Context, u *url.URL) error
}

// CredentialsError reports that a request was not sent because there were no credentials for it: a login has failed, or a
// secret cannot be read. The error has the text of its cause.
type CredentialsError struct{ Cause error }

func (e *CredentialsError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *CredentialsError) Unwrap() error { return e.Cause }

// authorization is a function that returns the value of the Authorization header. Sign calls it for each request, so that a
// changed secret is used at once.
type authorization func() (string, error)

// Sign implements Authenticator.
func (f authorization) Sign(req *http.Request) (string, bool, error) {
	value, err := f()
	if err == nil {
		req.Header.Set("Authorization", value)
	}
	return "", false, err
}

// Forget implements Authenticator.
func (authorization) Forget(context.Context, string) error { return nil }

// CloseIdleConnections implements Authenticator.
func (authorization) CloseIdleConnections() {}

func (b *BasicAuth) header(h *Host) (string, error) {
	user, err := h.Secrets.Text(b.Username)
	if err != nil {
		return "", setting.Errorf("basic_auth.username", "%v", err)
	}
	password := ""
	if b.Password != "" {
		if password, err = h.Secrets.Secret(b.Password); err != nil {
			return "", setting.Errorf("basic_auth.password", "%v", err)
		}
	}
	h.Secrets.RememberLogin(user, password)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)), nil
}

func (a *Authorization) header(h *Host) (string, error) {
	credentials, err := h.Secrets.Secret(a.Credentials)
	if err != nil {
		return "", setting.Errorf("authorization.credentials", "%v", err)
	}
	switch {
	case a.Type == "":
		return "Bearer " + credentials, nil
	case strings.HasSuffix(a.Type, "="):
		return a.Type + credentials, nil
	}
	return a.Type + " " + credentials, nil
}

// authTransport signs requests. If the server refuses a token that an earlier request has used, authTransport gets a new token
// and sends the request a second time.
type authTransport struct {
	next          http.RoundTripper
	authenticator Authenticator
	provider      string // the provider's name; "" = the authenticator is the client's own
}

func (a *authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, expired, err := a.send(req)
	if err != nil || !expired {
		return resp, err
	}
	again, err := rewound(req)
	if err != nil {
		return resp, nil
	}
	io.CopyN(io.Discard, resp.Body, 4<<10) // read the rest, so that the connection can be used again
	resp.Body.Close()
	resp, _, err = a.send(again)
	return resp, err
}

// send sends the request. The result expired reports whether the server has refused a token that an earlier request has used.
func (a *authTransport) send(req *http.Request) (resp *http.Response, expired bool, err error) {
	signed := req.Clone(req.Context())
	token, used, err := a.authenticator.Sign(signed)
	if err != nil {
		closeBody(req)
		if a.provider != "" {
			err = fmt.Errorf("auth.%s: %w", a.provider, err)
		}
		return nil, false, &CredentialsError{err}
	}
	resp, err = a.next.RoundTrip(signed)
	if err != nil {
		return nil, false, err
	}
	resp.Request = withSignature(req, signed, a.provider)
	refuses := resp.StatusCode == http.StatusUnauthorized
	if r, ok := a.authenticator.(refuser); ok {
		refuses = r.Refuses(resp.StatusCode)
	}
	if !refuses {
		return resp, false, nil
	}
	if a.authenticator.Forget(req.Context(), token) != nil {
		return resp, false, nil
	}
	return resp, used, nil
}

// leave ends the session at the server of a URL.
func (a *authTransport) leave(ctx context.Context, u *url.URL) error {
	l, ok := a.authenticator.(leaver)
	if !ok {
		return nil
	}
	if err := l.Leave(ctx, u); err != nil {
		return fmt.Errorf("auth.%s: %w", a.provider, err)
	}
	return nil
}

func (a *authTransport) CloseIdleConnections() {
	a.authenticator.CloseIdleConnections()
	closeIdle(a.next)
}

// signature says how a request was signed, for messages.
type signature struct {
	provider string // name of the provider that signed the request; "" = none
	scheme   string // scheme of the Authorization header, in lower case; "" = the credentials are not in that header
}

type signatureKey struct{}

// withSignature returns req with a context that says how the request was signed. req itself has no credentials; signed is the copy with
// credentials that was sent in its place.
func withSignature(req, signed *http.Request, provider string) *http.Request {
	s := signature{provider, schemeOf(signed.Header.Get("Authorization"))}
	return req.WithContext(context.WithValue(req.Context(), signatureKey{}, s))
}

// signatureOf returns how the request of a response was signed, or false if that request was not signed.
func signatureOf(resp *http.Response) (signature, bool) {
	if resp.Request == nil {
		return signature{}, false
	}
	if s, ok := resp.Request.Context().Value(signatureKey{}).(signature); ok {
		return s, true
	}
	scheme := schemeOf(resp.Request.Header.Get("Authorization")) // a header that the settings set
	return signature{scheme: scheme}, scheme != ""
}

// schemeOf returns the scheme of a challenge or of credentials, in lower case.
func schemeOf(header string) string {
	scheme, _, _ := strings.Cut(strings.TrimSpace(header), " ")
	return strings.ToLower(scheme)
}

// rewound returns the request with its body from the start.
func rewound(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if !hasBody(req) {
		return again, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("the body cannot be sent twice")
	}
	var err error
	again.Body, err = req.GetBody()
	return again, err
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
