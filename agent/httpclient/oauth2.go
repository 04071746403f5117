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

// Grant is an authorization grant other than client credentials (RFC 6749 section 1.3). The methods are never called
// concurrently.
type Grant interface {
	// Key identifies the grant's secrets: the key changes when a secret changes.
	Key(h *Host) (string, error)
	// Params returns the parameters of a token request: grant_type and the parameters that this grant type needs.
	Params(h *Host) (url.Values, error)
	// Granted is called with the refresh token of a response, "" if the response has none. If it returns an error, the login
	// fails.
	Granted(h *Host, refresh string) error
}

// GrantLocker is an optional interface of a Grant that several processes can use. Lock waits while another process requests a token with
// the grant. It stops waiting when ctx ends. Lock is called before Params, and unlock after Granted.
type GrantLocker interface {
	Lock(ctx context.Context, h *Host) (unlock func(), err error)
}

// OAuth2Provider gets access tokens from a token endpoint.
type OAuth2Provider struct {
	set    *OAuth2
	grant  Grant // nil = client credentials
	tokens *TokenCache
	style  oauth2.AuthStyle // how the server accepts the client's secret, in the header or as a parameter; AutoDetect = not known yet
}

// NewOAuth2Provider returns a provider without a token. A nil grant means client credentials.
func NewOAuth2Provider(o *OAuth2, grant Grant) *OAuth2Provider {
	return &OAuth2Provider{set: o, grant: grant, tokens: NewTokenCache()}
}

// Keep implements Keeper.
func (p *OAuth2Provider) Keep(memory TokenMemory) { p.tokens.Keep(memory) }

// State returns the state of the token.
func (p *OAuth2Provider) State() LoginState { return p.tokens.State() }

// Authenticator implements Provider.
func (p *OAuth2Provider) Authenticator(h *Host) (Authenticator, error) {
	client, err := h.Under("oauth2").Client(&Settings{TLS: p.set.TLS, Proxy: p.set.Proxy})
	if err != nil {
		return nil, setting.Under("oauth2", err)
	}
	return &TokenAuthenticator{
		Host: h, Cache: p.tokens, Source: &oauth2Source{p, h, client}, Client: client,
		SetToken: func(req *http.Request, token string) { req.Header.Set("Authorization", token) },
	}, nil
}

// oauth2Source requests tokens through one host. Token.Value is the value of the Authorization header: type and access token.
type oauth2Source struct {
	*OAuth2Provider
	host   *Host
	client *Client
}

// Key implements TokenSource.
func (t *oauth2Source) Key() (string, error) {
	secret, err := t.secret()
	if err != nil || t.grant == nil {
		return secret, err
	}
	key, err := t.grant.Key(t.host)
	return secret + "\n" + key, err
}

// Lock implements tokenLocker.
func (t *oauth2Source) Lock(ctx context.Context) (unlock func(), err error) {
	if l, ok := t.grant.(GrantLocker); ok {
		return l.Lock(ctx, t.host)
	}
	return func() {}, nil
}

func (t *oauth2Source) secret() (string, error) {
	if t.set.ClientSecret == "" {
		return "", nil
	}
	secret, err := t.host.Secrets.Secret(t.set.ClientSecret)
	if err != nil {
		return "", setting.Errorf("oauth2.client_secret", "%v", err)
	}
	return secret, nil
}

// Token implements TokenSource.
func (t *oauth2Source) Token(ctx context.Context) (Token, error) {
	request, err := t.request()
	if err != nil {
		return Token{}, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, t.client.http)
	request.AuthStyle = t.style
	switch {
	case request.ClientSecret == "":
		request.AuthStyle = oauth2.AuthStyleInParams
	case t.style == oauth2.AuthStyleAutoDetect:
		request.AuthStyle = oauth2.AuthStyleInHeader
	}
	token, err := request.Token(ctx)
	if t.style == oauth2.AuthStyleAutoDetect && request.AuthStyle == oauth2.AuthStyleInHeader && t.refusesClient(err) {
		request.AuthStyle = oauth2.AuthStyleInParams
		token, err = request.Token(ctx)
	}
	if err != nil {
		return Token{}, t.explain(ctx, err)
	}
	t.style = request.AuthStyle
	t.host.Secrets.Remember(token.AccessToken)
	t.host.Secrets.Remember(token.RefreshToken)
	if t.grant != nil {
		if err := t.grant.Granted(t.host, token.RefreshToken); err != nil {
			return Token{}, err
		}
	}
	return Token{Value: token.Type() + " " + token.AccessToken, Expires: token.Expiry}, nil
}

// request returns the configuration of a token request, with the current secrets.
func (t *oauth2Source) request() (*clientcredentials.Config, error) {
	id, err := t.host.Secrets.Text(t.set.ClientID)
	if err != nil {
		return nil, setting.Errorf("oauth2.client_id", "%v", err)
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
			return nil, setting.Errorf("oauth2.endpoint_params."+name, "%v", err)
		}
		t.host.RememberNamed(name, value)
		params.Set(name, value)
	}
	// RFC 6749 section 2.3.1: in the header, the id and the secret are both escaped.
	t.host.Secrets.RememberLogin(url.QueryEscape(id), url.QueryEscape(secret))
	return &clientcredentials.Config{
		ClientID: id, ClientSecret: secret, TokenURL: t.set.TokenURL.String(), Scopes: t.set.Scopes, EndpointParams: params,
	}, nil
}

// refusesClient reports whether the server may have refused the request because it looks for the client's secret in another part of the
// request. If there is a grant, only the error code or status 401 is taken as a sign of this. The reason is that a further attempt may do
// harm: too many attempts with a password lock the user out, and a refresh token may be valid only once.
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

// explain turns the error of a token request into one for users. The error of the library cannot be shown, since it contains the whole
// response.
func (t *oauth2Source) explain(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	redact := t.host.redactor()
	e := &Error{Method: http.MethodPost, URL: redact.secret(t.set.TokenURL.Place())}
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		text := refusal.ErrorCode
		if refusal.ErrorDescription != "" {
			text += ": " + refusal.ErrorDescription
		}
		if text == "" {
			text = string(refusal.Body)
		}
		e.Err = Refused(newStatusError(redact, refusal.Response, text))
		return e
	}
	e.Err = Refused(explain(ctx, redact, errors.New(strings.TrimPrefix(err.Error(), "oauth2: "))))
	return e
}
