package httpclient

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/collectington/collectington/agent/setting"
)

// Grant is a way to an access token other than the client's own credentials (RFC 6749 section 1.3). Its methods are called
// one at a time.
type Grant interface {
	// Key is the same as long as the grant's secrets are.
	Key(h *Host) (string, error)
	// Params are grant_type and what goes with it, made afresh.
	Params(h *Host) (url.Values, error)
	// Granted is told of the refresh token that came with an access token, "" where none did. An error makes the login fail.
	Granted(h *Host, refresh string) error
}

// OAuth2Provider gets access tokens from a token server.
type OAuth2Provider struct {
	set    *OAuth2
	grant  Grant // nil = client credentials
	tokens *Tokens
	style  oauth2.AuthStyle // by which of two ways the server takes the client's secret; AutoDetect = not known yet
}

// NewOAuth2Provider makes a provider without a token. A nil grant is the client's own credentials.
func NewOAuth2Provider(o *OAuth2, grant Grant) *OAuth2Provider {
	return &OAuth2Provider{set: o, grant: grant, tokens: NewTokens()}
}

// Login implements Provider.
func (p *OAuth2Provider) Login(h *Host) (Login, error) {
	client, err := h.Client(&Settings{TLS: p.set.TLS, Proxy: p.set.Proxy})
	if err != nil {
		return nil, setting.Under("oauth2", err)
	}
	place := func(req *http.Request, token string) { req.Header.Set("Authorization", token) }
	return &TokenLogin{Host: h, Tokens: p.tokens, Asker: &tokenAsker{p, h, client}, Place: place, Client: client}, nil
}

// tokenAsker asks the token server by way of one host. Its tokens are with their type, as the header has them.
type tokenAsker struct {
	*OAuth2Provider
	host   *Host
	client *http.Client
}

// Key implements Asker.
func (t *tokenAsker) Key() (string, error) {
	secret, err := t.secret()
	if err != nil || t.grant == nil {
		return secret, err
	}
	key, err := t.grant.Key(t.host)
	return secret + "\n" + key, err
}

func (t *tokenAsker) secret() (string, error) {
	if t.set.ClientSecret == "" {
		return "", nil
	}
	secret, err := t.host.Secrets.Secret(t.set.ClientSecret)
	if err != nil {
		return "", setting.Bad("oauth2.client_secret", "%v", err)
	}
	return secret, nil
}

// Ask implements Asker.
func (t *tokenAsker) Ask(ctx context.Context) (Token, error) {
	asks, err := t.request()
	if err != nil {
		return Token{}, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, t.client)
	asks.AuthStyle = t.style
	switch {
	case asks.ClientSecret == "": // there is nothing to put into the header
		asks.AuthStyle = oauth2.AuthStyleInParams
	case t.style == oauth2.AuthStyleAutoDetect:
		asks.AuthStyle = oauth2.AuthStyleInHeader
	}
	token, err := asks.Token(ctx)
	if t.style == oauth2.AuthStyleAutoDetect && asks.AuthStyle == oauth2.AuthStyleInHeader && t.refusesClient(err) {
		asks.AuthStyle = oauth2.AuthStyleInParams
		token, err = asks.Token(ctx)
	}
	if err != nil {
		return Token{}, t.explain(ctx, err)
	}
	t.style = asks.AuthStyle
	t.host.Secrets.Remember(token.AccessToken)
	t.host.Secrets.Remember(token.RefreshToken)
	if t.grant != nil {
		if err := t.grant.Granted(t.host, token.RefreshToken); err != nil {
			return Token{}, err
		}
	}
	return Token{Value: token.Type() + " " + token.AccessToken, Expires: token.Expiry}, nil
}

// request is what is asked for, with secrets as they are now.
func (t *tokenAsker) request() (*clientcredentials.Config, error) {
	id, err := t.host.Secrets.Text(t.set.ClientID)
	if err != nil {
		return nil, setting.Bad("oauth2.client_id", "%v", err)
	}
	secret, err := t.secret()
	if err != nil {
		return nil, err
	}
	params := url.Values{}
	if t.grant != nil {
		if params, err = t.grant.Params(t.host); err != nil {
			return nil, err
		}
	}
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
	return &clientcredentials.Config{
		ClientID: id, ClientSecret: secret, TokenURL: t.set.TokenURL.String(), Scopes: t.set.Scopes, EndpointParams: params,
	}, nil
}

// refusesClient tells whether the server may not have found the client's secret where it looks for it. With a grant it has
// to say so: a password tried too often locks out, and a refresh token may be good only once.
func (p *OAuth2Provider) refusesClient(err error) bool {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case !ok || refused.Response.StatusCode >= 500:
		return false
	case p.grant == nil:
		return true
	case refused.ErrorCode == "":
		return refused.Response.StatusCode == http.StatusUnauthorized
	}
	return slices.Contains([]string{"invalid_client", "invalid_request", "unauthorized_client"}, refused.ErrorCode)
}

// explain leaves out of the error what the library puts in: the token server's whole answer.
func (t *tokenAsker) explain(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Method: http.MethodPost, Place: t.host.Secrets.Scrub(t.set.TokenURL.Place())}
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		text := refusal.ErrorCode
		if refusal.ErrorDescription != "" {
			text += ": " + refusal.ErrorDescription
		}
		if text == "" {
			text = string(refusal.Body)
		}
		e.Err = t.host.RefusedBy(refusal.Response, text)
		return e
	}
	e.Err = Refused(t.host.reason(ctx, errors.New(strings.TrimPrefix(err.Error(), "oauth2: "))))
	return e
}
