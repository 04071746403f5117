package httpclient

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// answers is a function that serves as a transport. The body of each response is the text that the function returns.
type answers func(*http.Request) string

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(a(req))), Request: req,
	}, nil
}

// TestTransportReplacesTheNetwork checks that Host.Transport answers requests over https, requests through a proxy and requests for tokens,
// all without a certificate, and that these requests are observed without secrets.
func TestTransportReplacesTheNetwork(t *testing.T) {
	w := newWorld(t) // without listeners
	w.host.Transport = answers(func(req *http.Request) string {
		if req.URL.Host == "login.example" {
			return `{"access_token": "token-of-login", "token_type": "Bearer"}`
		}
		return req.Header.Get("Authorization")
	})
	client, err := w.host.Client(settings(t, `
proxy_url: http://proxy.example:3128
tls_config: {ca_file: none.pem}
oauth2: {client_id: me, client_secret: "env:PASSWORD", token_url: "https://login.example/token"}`))
	if err != nil {
		t.Fatal(err)
	}
	if body := w.mustGet(t, client, "https://a.example/x"); body != "Bearer token-of-login" {
		t.Errorf("got %q", body)
	}
	seen := w.exchanges()
	if len(seen) != 2 || seen[1].URL != "https://a.example/x" || seen[1].Header.Get("Authorization") != blank {
		t.Errorf("observed %+v", seen)
	}
}
