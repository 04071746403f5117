package web

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"

	"github.com/collectington/collectington/agent/setting"
)

// login makes the value of the Authorization header.
type login interface {
	// header is the value, read afresh. It is old where an earlier request has used it already, so that the server's
	// refusal may mean that it has run out.
	header(ctx context.Context) (value string, old bool, err error)
	// forget drops a value that the server has refused.
	forget(ctx context.Context, value string) error
	CloseIdleConnections()
}

// login is what the settings ask for, nil where that is nothing.
func (h *Host) login(s *Settings) (login, error) {
	switch {
	case s.BasicAuth != nil:
		return plainLogin(func() (string, error) { return h.basic(s.BasicAuth) }), nil
	case s.Authorization != nil:
		return plainLogin(func() (string, error) { return h.scheme(s.Authorization) }), nil
	case s.OAuth2 != nil:
		return h.tokens(s.OAuth2)
	}
	return nil, nil
}

// plainLogin reads its secret at each request.
type plainLogin func() (string, error)

func (p plainLogin) header(context.Context) (string, bool, error) {
	value, err := p()
	return value, false, err
}

func (plainLogin) forget(context.Context, string) error { return nil }
func (plainLogin) CloseIdleConnections()                {}

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
	if a.Type == "" {
		return "Bearer " + credentials, nil
	}
	return a.Type + " " + credentials, nil
}

// authenticated adds the Authorization header. A token that has run out is replaced once for a request.
type authenticated struct {
	next  http.RoundTripper
	login login
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

// send sends the request. It is stale where the server has refused a value that had been used before.
func (a *authenticated) send(req *http.Request) (resp *http.Response, stale bool, err error) {
	value, old, err := a.login.header(req.Context())
	if err != nil {
		closeBody(req)
		return nil, false, err
	}
	req.Header.Set("Authorization", value)
	resp, err = a.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, false, err
	}
	if a.login.forget(req.Context(), value) != nil {
		return resp, false, nil
	}
	return resp, old, nil
}

func (a *authenticated) CloseIdleConnections() {
	a.login.CloseIdleConnections()
	closeIdle(a.next)
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
