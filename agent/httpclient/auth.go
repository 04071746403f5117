package httpclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/collectington/collectington/agent/setting"
)

// Login puts credentials on requests. Several goroutines may use it at once.
type Login interface {
	// Sign puts the credentials on a request, which is the login's to change. Mark stands for them in Forget. They are old
	// where an earlier request has used them already, so that the server's refusal may mean that they have run out.
	Sign(req *http.Request) (mark string, old bool, err error)
	// Forget drops what the server has refused.
	Forget(ctx context.Context, mark string) error
	CloseIdleConnections()
}

// Provider is a login with a name, which all clients share whose settings name it.
type Provider interface {
	// Login is the provider's login for one client. What it asks for, it asks by way of the client's host.
	Login(h *Host) (Login, error)
}

// Login is what the settings ask for, nil where that is nothing.
func (h *Host) Login(s *Settings) (Login, error) {
	asker := *h
	asker.asksLogin = true
	switch {
	case s.Auth != "":
		provider := h.Providers[s.Auth]
		if provider == nil {
			return nil, setting.Bad("auth", "there is no auth.%s", s.Auth)
		}
		asker.manners = nil // a login is never answered with what is kept
		return provider.Login(&asker)
	case s.BasicAuth != nil:
		return header(func() (string, error) { return h.basic(s.BasicAuth) }), nil
	case s.Authorization != nil:
		return header(func() (string, error) { return h.scheme(s.Authorization) }), nil
	case s.OAuth2 != nil:
		return NewOAuth2Provider(s.OAuth2, nil).Login(&asker)
	case s.SigV4 != nil:
		return h.signer(s.SigV4), nil
	}
	return nil, nil
}

// header makes the Authorization header. It reads its secret at each request.
type header func() (string, error)

// Sign implements Login.
func (f header) Sign(req *http.Request) (string, bool, error) {
	value, err := f()
	if err == nil {
		req.Header.Set("Authorization", value)
	}
	return "", false, err
}

// Forget implements Login.
func (header) Forget(context.Context, string) error { return nil }

// CloseIdleConnections implements Login.
func (header) CloseIdleConnections() {}

func (h *Host) basic(b *BasicAuth) (string, error) {
	user, err := h.Secrets.Text(b.Username)
	if err != nil {
		return "", setting.Bad("basic_auth.username", "%v", err)
	}
	password := ""
	if b.Password != "" {
		if password, err = h.Secrets.Secret(b.Password); err != nil {
			return "", setting.Bad("basic_auth.password", "%v", err)
		}
	}
	h.Secrets.RememberLogin(user, password)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)), nil
}

func (h *Host) scheme(a *Authorization) (string, error) {
	credentials, err := h.Secrets.Secret(a.Credentials)
	if err != nil {
		return "", setting.Bad("authorization.credentials", "%v", err)
	}
	switch {
	case a.Type == "":
		return "Bearer " + credentials, nil
	case strings.HasSuffix(a.Type, "="):
		return a.Type + credentials, nil
	}
	return a.Type + " " + credentials, nil
}

// authenticated signs requests. A token that has run out is replaced once for a request.
type authenticated struct {
	next  http.RoundTripper
	login Login
	name  string // of the login's provider; "" = it is the client's own
}

func (a *authenticated) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, stale, err := a.send(req)
	if err != nil || !stale {
		return resp, err
	}
	again, err := rewound(req)
	if err != nil {
		return resp, nil
	}
	io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
	resp.Body.Close()
	resp, _, err = a.send(again)
	return resp, err
}

// send sends the request. It is stale where the server has refused credentials that had been used before.
func (a *authenticated) send(req *http.Request) (resp *http.Response, stale bool, err error) {
	signed := req.Clone(req.Context())
	mark, old, err := a.login.Sign(signed)
	if err != nil {
		closeBody(req)
		if a.name != "" {
			err = fmt.Errorf("auth.%s: %w", a.name, err)
		}
		return nil, false, err
	}
	resp, err = a.next.RoundTrip(signed)
	if err != nil {
		return nil, false, err
	}
	resp.Request = a.named(req) // without the credentials
	if resp.StatusCode != http.StatusUnauthorized {
		return resp, false, nil
	}
	if a.login.Forget(req.Context(), mark) != nil {
		return resp, false, nil
	}
	return resp, old, nil
}

func (a *authenticated) CloseIdleConnections() {
	a.login.CloseIdleConnections()
	closeIdle(a.next)
}

type providerKey struct{}

// named is the request with the name of whoever has signed it, for messages.
func (a *authenticated) named(req *http.Request) *http.Request {
	return req.WithContext(context.WithValue(req.Context(), providerKey{}, a.name))
}

// provider is the name of the provider that has signed a response's request, "" where none has.
func provider(resp *http.Response) string {
	if resp.Request == nil {
		return ""
	}
	name, _ := resp.Request.Context().Value(providerKey{}).(string)
	return name
}

// rewound is the request with its body from the start.
func rewound(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return again, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("the body cannot be sent twice")
	}
	var err error
	again.Body, err = req.GetBody()
	return again, err
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
