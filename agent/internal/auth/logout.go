package auth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// Logout is the settings of a request that ends the session of a Login. The request carries the token in the same place as all other
// requests. In the path of its URL and in its headers, {{ .name }} is replaced by a value of a step of the login.
type Logout struct {
	URL     setting.PathOrURL       `yaml:"url" setting:"template"`
	Method  string                  `yaml:"method"` // "" = POST
	Headers map[string]setting.Text `yaml:"headers"`
}

func (l *Logout) method() string { return cmp.Or(l.Method, http.MethodPost) }

// validate returns all problems of the settings. The argument "known" has the names of the values of all steps.
func (l *Logout) validate(known map[string]bool) error {
	same := request{URL: l.URL, Headers: l.Headers}
	problems := []error{same.validateNames(known)}
	if l.URL.IsZero() {
		problems = append(problems, setting.Errorf("url", "is required: the URL of the logout"))
	}
	if !slices.Contains([]string{http.MethodPost, http.MethodDelete, http.MethodGet, http.MethodPut}, l.method()) {
		problems = append(problems, setting.Errorf("method", "want POST, DELETE, GET or PUT"))
	}
	return errors.Join(append(problems, setting.Under("headers", validateHeaders(l.Headers)))...)
}

// request returns the request of the logout, without the token.
func (l *Logout) request(ctx context.Context, f filler) (*http.Request, error) {
	to, err := f.url(l.URL)
	if err != nil {
		return nil, err
	}
	req, err := httpclient.NewRequest(ctx, l.method(), to, nil, "")
	if err != nil {
		return nil, err
	}
	return req, f.setHeaders(req, l.Headers)
}

// logout ends the session of a token of an account.
func (p *loginProvider) logout(ctx context.Context, a *account, token httpclient.Token) error {
	a.mu.Lock()
	host, values := a.host, a.values
	a.mu.Unlock()
	host.Secrets.Remember(token.Value)
	client, err := p.client(host)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	client.ReturnRedirects() // the response is usually a redirect to the login form, which need not be loaded
	req, err := p.set.Logout.request(ctx, filler{host, a.at, values})
	if err != nil {
		return setting.Under("login.logout", err)
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
