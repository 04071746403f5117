package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// Logout is the settings of a request that ends the session of a Login. The request carries the token in the same place as all other
// requests.
type Logout struct {
	URL     setting.URL             `yaml:"url"`
	Method  string                  `yaml:"method"` // "" = POST
	Headers map[string]setting.Text `yaml:"headers"`
}

func (l *Logout) method() string { return cmp.Or(l.Method, http.MethodPost) }

func (l *Logout) validate() error {
	var problems []error
	if l.URL.IsZero() {
		problems = append(problems, setting.Bad("url", "is required: the URL of the logout"))
	}
	if !slices.Contains([]string{http.MethodPost, http.MethodDelete, http.MethodGet, http.MethodPut}, l.method()) {
		problems = append(problems, setting.Bad("method", "want POST, DELETE, GET or PUT"))
	}
	return errors.Join(append(problems, setting.Under("headers", validateHeaders(l.Headers)))...)
}

// Logout implements httpclient.LogoutProvider.
func (p *loginProvider) Logout(ctx context.Context) error {
	p.mu.Lock()
	host := p.host
	p.mu.Unlock()
	if p.set.Logout == nil || host == nil {
		return nil
	}
	token, ok := p.cache.Take(ctx)
	if !ok {
		return nil
	}
	host.Secrets.Remember(token.Value)
	client, err := host.Under("login").Client(&httpclient.Settings{TLS: p.set.TLS, Proxy: p.set.Proxy})
	if err != nil {
		return setting.Under("login", err)
	}
	defer client.CloseIdleConnections()
	client.ReturnRedirects() // the response is usually a redirect to the login form, which need not be loaded
	req, err := httpclient.NewRequest(ctx, p.set.Logout.method(), p.set.Logout.URL.URL, nil, "")
	if err != nil {
		return fmt.Errorf("login.logout: %w", err)
	}
	if err := setting.Under("login.logout", setHeaders(host, req, p.set.Logout.Headers)); err != nil {
		return err
	}
	(&loginSource{set: p.set, host: host}).setTokens(req, token.Value)
	resp, err := client.DoAnyStatus(req)
	if err != nil {
		return err
	}
	defer resp.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return resp.StatusError()
	}
	return nil
}
