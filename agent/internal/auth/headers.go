package auth

import (
	"context"
	"fmt"
	"net/http"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// headers is a provider that sets the given headers on each request.
type headers map[string]setting.Text

// Authenticator implements httpclient.Provider.
func (s headers) Authenticator(h *httpclient.Host) (httpclient.Authenticator, error) {
	return &headerAuthenticator{h, s}, nil
}

type headerAuthenticator struct {
	host *httpclient.Host
	set  headers
}

// Sign implements httpclient.Authenticator.
func (l *headerAuthenticator) Sign(req *http.Request) (string, bool, error) {
	return "", false, setHeaders(l.host, req, l.set)
}

// Forget implements httpclient.Authenticator.
func (l *headerAuthenticator) Forget(context.Context, string) error { return nil }

// CloseIdleConnections implements httpclient.Authenticator.
func (l *headerAuthenticator) CloseIdleConnections() {}

// setHeaders sets headers on a request, with the current secrets.
func setHeaders(h *httpclient.Host, req *http.Request, texts map[string]setting.Text) error {
	values, err := resolve(h, "headers", texts)
	if err != nil {
		return err
	}
	for name, value := range values {
		if !httpclient.IsHeaderValue(value) {
			return fmt.Errorf("headers.%s: the value of %s has a line break or control character, which a header cannot have: remove it there", name, texts[name])
		}
		req.Header.Set(name, value)
	}
	return nil
}
