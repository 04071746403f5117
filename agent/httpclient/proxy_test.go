package httpclient

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
)

// proxy answers in place of every server with the URL and the credentials of the request.
func proxy(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	fmt.Fprint(w, r.URL, " ", r.Header.Get("Proxy-Authorization"))
}

func TestProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "proxy:3128", http.HandlerFunc(proxy))
		w.Serve(t, "b.example:80", say("direct"))
		client := w.client(t, `{proxy_url: "http://proxy:3128", no_proxy: b.example}`)
		if got := w.mustGet(t, client, "http://a.example/x"); got != "http://a.example/x " {
			t.Errorf("got %q", got)
		}
		if got := w.mustGet(t, client, "http://b.example/x"); got != "direct" {
			t.Errorf("got %q", got)
		}
		_, _, err := w.get(t.Context(), client, "https://a.example/x?key=value-of-query")
		wantError(t, err, "GET https://a.example/x: the proxy proxy:3128 refuses the connection with 407 Proxy Authentication Required: check the login in its URL (proxy_url, or HTTPS_PROXY)")

		_, _, err = w.get(t.Context(), w.client(t, `proxy_url: "http://gone:3128"`), "http://a.example/x")
		wantError(t, err, "GET http://a.example/x: the proxy: connection refused by gone:3128")
	})
}

func TestProxyPasswordIsSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "proxy:3128", http.HandlerFunc(proxy))
		w.env["PROXY"] = "http://ops:hunter%2022@proxy:3128"
		client := w.client(t, `proxy_url: "env:PROXY"`)
		login := base64.StdEncoding.EncodeToString([]byte("ops:hunter 22"))
		if got := w.mustGet(t, client, "http://a.example/"); got != "http://a.example/ Basic "+login {
			t.Errorf("got %q", got)
		}
		if got := w.host.Secrets.Scrub("hunter 22 " + login + " " + w.env["PROXY"]); got != "<secret> <secret> <secret>" {
			t.Errorf("got %q", got)
		}
		w.rotate("PROXY", "http://gone:3128")
		_, _, err := w.get(t.Context(), client, "http://a.example/")
		wantError(t, err, "the proxy: connection refused by gone:3128")
		w.rotate("PROXY", "hunter22")
		_, _, err = w.get(t.Context(), client, "http://a.example/")
		wantError(t, err, "proxy_url: want a URL such as http://proxy.example.com:3128")
		w.rotate("PROXY", "")
		_, _, err = w.get(t.Context(), client, "http://a.example/")
		wantError(t, err, "proxy_url: secret env:PROXY: the environment variable PROXY is not set")
	})
}

func TestProxyFromEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://ops:hunter22@proxy:3128")
	t.Setenv("NO_PROXY", "b.example")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "b.example:80", say("direct"))
		client := w.client(t, `proxy_from_environment: true`)
		if got := w.mustGet(t, client, "http://b.example/"); got != "direct" {
			t.Errorf("got %q", got)
		}
		_, _, err := w.get(t.Context(), client, "http://a.example/")
		wantError(t, err, "the proxy: connection refused by proxy:3128")
		// Without the setting the environment has no effect.
		_, _, err = w.get(t.Context(), w.client(t, ""), "http://a.example/")
		wantError(t, err, "connection refused by a.example:80")
	})
}

func TestProxyOfTheTokenServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", echoHeader("Authorization"))
		w.Serve(t, "proxy:3128", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			io.WriteString(rw, `access_token=by-proxy-`+r.URL.Host)
		}))
		client := w.client(t, `oauth2: {client_id: a, client_secret: "env:PASSWORD", token_url: "http://login.example/t", proxy_url: "http://proxy:3128"}`)
		if got := w.mustGet(t, client, "http://a.example/"); got != "Bearer by-proxy-login.example" {
			t.Errorf("got %q", got)
		}
	})
}
