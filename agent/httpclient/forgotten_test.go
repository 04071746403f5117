package httpclient

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTokenForgotten holds that a token in use is blanked however many other values have come since it was fetched.
func TestTokenForgotten(t *testing.T) {
	w := newWorld(t)
	const token = "access-token-0123456789"
	w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			rw.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(rw, `{"access_token":%q,"token_type":"Bearer","expires_in":86400}`, token)
			return
		}
		rw.WriteHeader(500)
		fmt.Fprint(rw, "no luck with ", r.Header.Get("Authorization"))
	}))
	client := w.client(t, "oauth2: {client_id: me, client_secret: \"env:PASSWORD\", token_url: http://a.example/token}")
	for range 2 {
		resp, err := client.Get("http://a.example/x")
		if err != nil {
			t.Fatal(err)
		}
		if text := w.host.StatusError(resp).Error(); strings.Contains(text, token) {
			t.Error(text)
		}
		resp.Body.Close()
		for i := range 1100 { // other jobs' tokens and keys
			w.host.Secrets.Remember(fmt.Sprintf("another-%05d", i))
		}
	}
}

// TestLimitsFollowThePlan holds that the limits of removed jobs go with a reload, and that one that fails changes none.
func TestLimitsFollowThePlan(t *testing.T) {
	w := newWorld(t)
	w.job(t, "gone", every(1, time.Hour))
	w.job(t, "stays", every(2, time.Hour))
	traffic := w.host.Traffic
	if err := traffic.Renew(func() error {
		w.job(t, "stays", Manners{})
		w.job(t, "new", every(1, time.Hour))
		return fmt.Errorf("wrong")
	}); err == nil {
		t.Error("no error")
	}
	if by := traffic.limits["http://a.example:80"].by; len(by) != 2 || by["stays"].Requests != 2 {
		t.Errorf("after a reload that failed: %v", by)
	}
	traffic.Renew(func() error { w.job(t, "stays", every(2, time.Hour)); return nil })
	if by := traffic.limits["http://a.example:80"].by; len(by) != 1 || by["stays"].Requests != 2 {
		t.Errorf("after a reload: %v", by)
	}
}
