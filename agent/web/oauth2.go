package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/collectington/collectington/agent/setting"
)

// tokens gets access tokens and keeps one until it runs out, is refused, or the client's secret changes. It asks for a
// token under the context of the request that needs it, so that a hanging token server cannot outlast a tick.
type tokens struct {
	host   *Host
	set    *OAuth2
	client *http.Client  // for the token server
	busy   chan struct{} // holds whoever asks for a token; the others wait for the same one

	asks  clientcredentials.Config // remembers by which of two ways the server takes the client's secret
	token *oauth2.Token
}

func (h *Host) tokens(o *OAuth2) (*tokens, error) {
	transport, err := h.transport(o.TLS, &o.Proxy)
	if err != nil {
		return nil, setting.Under("oauth2", err)
	}
	return &tokens{
		host: h, set: o, client: h.client(transport), busy: make(chan struct{}, 1),
		asks: clientcredentials.Config{TokenURL: o.TokenURL.String(), Scopes: o.Scopes},
	}, nil
}

func (t *tokens) CloseIdleConnections() { t.client.CloseIdleConnections() }

func (t *tokens) lock(ctx context.Context) error {
	select {
	case t.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *tokens) header(ctx context.Context) (string, bool, error) {
	if err := t.lock(ctx); err != nil {
		return "", false, err
	}
	defer func() { <-t.busy }()
	secret, err := t.host.Secrets.Secret(t.set.ClientSecret)
	if err != nil {
		return "", false, setting.Bad("oauth2.client_secret", "%v", err)
	}
	if t.token.Valid() && secret == t.asks.ClientSecret {
		t.host.Secrets.Remember(t.token.AccessToken) // again, since what is not used is forgotten in the end
		return bearer(t.token), true, nil
	}
	if t.token, err = t.ask(ctx, secret); err != nil {
		return "", false, err
	}
	return bearer(t.token), false, nil
}

func (t *tokens) forget(ctx context.Context, value string) error {
	if err := t.lock(ctx); err != nil {
		return err
	}
	defer func() { <-t.busy }()
	if t.token != nil && bearer(t.token) == value {
		t.token = nil
	}
	return nil
}

func (t *tokens) ask(ctx context.Context, secret string) (*oauth2.Token, error) {
	id, err := t.host.Secrets.Text(t.set.ClientID)
	if err != nil {
		return nil, setting.Bad("oauth2.client_id", "%v", err)
	}
	params := url.Values{}
	for name, text := range t.set.EndpointParams {
		value, err := t.host.Secrets.Text(text)
		if err != nil {
			return nil, setting.Bad("oauth2.endpoint_params."+name, "%v", err)
		}
		t.host.RememberNamed(name, value)
		params.Set(name, value)
	}
	// The header carries both escaped, as RFC 6749 section 2.3.1 wants it.
	t.host.Secrets.RememberLogin(url.QueryEscape(id), url.QueryEscape(secret))
	t.asks.ClientID, t.asks.ClientSecret, t.asks.EndpointParams = id, secret, params
	token, err := t.asks.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err != nil {
		return nil, t.explain(ctx, err)
	}
	t.host.Secrets.Remember(token.AccessToken)
	t.host.Secrets.Remember(token.RefreshToken)
	return token, nil
}

// explain leaves out of the error what the library puts in: the token server's whole answer.
func (t *tokens) explain(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Method: http.MethodPost, Place: t.host.Secrets.Scrub(t.set.TokenURL.Place())}
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		text := refused.ErrorCode
		if refused.ErrorDescription != "" {
			text += ": " + refused.ErrorDescription
		}
		if text == "" {
			text = string(refused.Body)
		}
		e.Err = t.host.status(refused.Response, text)
		return e
	}
	e.Err = t.host.reason(ctx, errors.New(strings.TrimPrefix(err.Error(), "oauth2: ")))
	return e
}

func bearer(t *oauth2.Token) string { return t.Type() + " " + t.AccessToken }
