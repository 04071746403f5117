package httpclient

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// answers is a transport of a test's own.
type answers func(*http.Request) string

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(a(req))), Request: req,
	}, nil
}

// What answers in place of a network does so for https, behind a proxy and for tokens, without a certificate; what is sent
// is observed without its secrets.
func TestAnswerStandsInForTheNetwork(t *testing.T) {
	w := newWorld(t) // nobody listens in it
	w.host.Answer = answers(func(req *http.Request) string {
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
	resp, err := client.Get("https://a.example/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "Bearer token-of-login" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	seen := w.exchanges()
	if len(seen) != 2 || seen[1].URL != "https://a.example/x" || seen[1].Header.Get("Authorization") != blank {
		t.Errorf("observed %+v", seen)
	}
}
