package httpclient

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const oauth2Settings = `oauth2: {client_id: ops, client_secret: "env:PASSWORD", token_url: "http://login.example/token", scopes: [read, list], endpoint_params: {audience: x}}`

// tokenServer issues token-1, token-2, … to clients that send the password of the user ops in the header.
func tokenServer(asked *atomic.Int64, expiresIn string) http.Handler {
	if asked == nil {
		asked = new(atomic.Int64)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "read list" ||
			r.FormValue("audience") != "x" || user != "ops" || !strings.HasPrefix(password, "hunter") {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error": "invalid_client", "error_description": "no such client\n%s"}`, password)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token": "token-%d", "token_type": "bearer", "expires_in": %s}`, asked.Add(1), expiresIn)
	})
}

func TestAuthorizationHeader(t *testing.T) {
	for text, want := range map[string]string{
		``: "",
		`basic_auth: {username: ops, password: "env:PASSWORD"}`:              "Basic b3BzOmh1bnRlcjIy",
		`basic_auth: {username: "env:PASSWORD"}`:                             "Basic aHVudGVyMjI6",
		`authorization: {credentials: "env:PASSWORD"}`:                       "Bearer hunter22",
		`authorization: {type: Token, credentials: "env:PASSWORD"}`:          "Token hunter22",
		`authorization: {type: "Token token=", credentials: "env:PASSWORD"}`: "Token token=hunter22",
		oauth2Settings: "Bearer token-1",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.Serve(t, "a.example:80", echoHeader("Authorization"))
			w.Serve(t, "login.example:80", tokenServer(nil, "3600"))
			if got := w.mustGet(t, w.client(t, text), "http://a.example/"); got != want {
				t.Errorf("%s: got %q, want %q", text, got, want)
			}
			for _, e := range w.exchanges() {
				if got := e.Header.Get("Authorization"); got != "" && got != "<secret>" {
					t.Errorf("%s: %s shows %q", text, e.URL, got)
				}
			}
		})
	}
}

func TestSecretFilesAreReadAgain(t *testing.T) {
	for text, want := range map[string]string{
		`basic_auth: {username: ops, password: "file:key"}`:            "Basic b3BzOmh1bnRlcjMz",
		`authorization: {credentials: "file:key"}`:                     "Bearer hunter33",
		strings.Replace(oauth2Settings, "env:PASSWORD", "file:key", 1): "Bearer token-2",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.Serve(t, "a.example:80", echoHeader("Authorization"))
			w.Serve(t, "login.example:80", tokenServer(nil, "3600"))
			file := filepath.Join(w.host.Secrets.Dir, "key")
			write := func(text string) {
				if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("hunter22")
			client := w.client(t, text)
			before := w.mustGet(t, client, "http://a.example/")
			write("hunter33")
			if got := w.mustGet(t, client, "http://a.example/"); got != want || got == before {
				t.Errorf("%s: got %q, then %q, want %q", text, before, got, want)
			}
			os.Remove(file)
			_, _, err := w.get(t.Context(), client, "http://a.example/")
			wantError(t, err, "secret file:key: open "+file+": no such file")
			if scrubbed := w.host.Secrets.Scrub(before + " " + want); strings.Contains(scrubbed, "hunter") || strings.Contains(scrubbed, "token-") {
				t.Errorf("%s: not scrubbed: %s", text, scrubbed)
			}
		})
	}
}

func TestTokenIsUsedUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var asked atomic.Int64
		w.Serve(t, "a.example:80", echoHeader("Authorization"))
		w.Serve(t, "login.example:80", tokenServer(&asked, "3600"))
		client := w.client(t, oauth2Settings)
		for range 60 {
			w.mustGet(t, client, "http://a.example/")
			time.Sleep(time.Minute)
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("%d tokens in an hour", n)
		}
		if got := w.mustGet(t, client, "http://a.example/"); got != "Bearer token-2" {
			t.Errorf("after an hour: %s", got)
		}
	})
}

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var asked, requests atomic.Int64
		var good atomic.Value
		good.Store("Bearer token-1")
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			body, _ := io.ReadAll(r.Body)
			if r.Header.Get("Authorization") != good.Load() || string(body) != "payload" {
				rw.WriteHeader(http.StatusUnauthorized)
			}
		}))
		w.Serve(t, "login.example:80", tokenServer(&asked, "3600"))
		client := w.client(t, oauth2Settings)
		post := func(body io.Reader) int {
			t.Helper()
			resp := w.open(t, client, http.MethodPost, "http://a.example/", body)
			resp.Close()
			return resp.StatusCode
		}
		if code := post(strings.NewReader("payload")); code != 200 {
			t.Errorf("got %d", code)
		}
		good.Store("Bearer token-2") // the server has forgotten its tokens
		if code := post(strings.NewReader("payload")); code != 200 {
			t.Errorf("after the token was revoked: got %d", code)
		}
		time.Sleep(proven)
		good.Store("Bearer none")
		requests.Store(0)
		if code := post(strings.NewReader("payload")); code != 401 || requests.Load() != 2 {
			t.Errorf("a server that refuses every token: got %d after %d requests", code, requests.Load())
		}
		requests.Store(0)
		if code := post(strings.NewReader("payload")); code != 401 || requests.Load() != 1 {
			t.Errorf("a fresh token was refused: got %d after %d requests, want no second try", code, requests.Load())
		}
		_, _, err := w.get(t.Context(), client, "http://a.example/")
		wantError(t, err, "the server refuses every new token: check the rights of the login, and where send puts the token (next attempt at 2000-01-01T00:03:00Z, or when a secret changes)")
		time.Sleep(3 * time.Minute)
		good.Store("Bearer token-5")
		if code := post(io.MultiReader(strings.NewReader("payload"))); code != 200 {
			t.Errorf("got %d", code)
		}
		good.Store("Bearer none")
		if code := post(io.MultiReader(strings.NewReader("payload"))); code != 401 {
			t.Errorf("a body that cannot be sent twice: got %d", code)
		}
	})
}

func TestTokenServerFails(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"refused": {
			tokenServer(nil, "1").ServeHTTP,
			"GET http://a.example/x: POST http://login.example/token: 401 Unauthorized: invalid_client: no such client",
		},
		"text": {
			func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusServiceUnavailable)
				_, password, _ := r.BasicAuth()
				io.WriteString(w, "down for "+password)
			},
			"POST http://login.example/token: 503 Service Unavailable: down for <secret>",
		},
		"redirect": {
			func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://evil.example/token", http.StatusTemporaryRedirect)
			},
			"POST http://login.example/token: redirected to another host (http://evil.example): not followed",
		},
		"HTML":  {say("<html>"), "POST http://login.example/token: cannot parse"},
		"empty": {say(`access_token=`), "POST http://login.example/token: server response missing access_token"},
		"hang": {
			func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() },
			"POST http://login.example/token: timeout of 10s is over",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.env["PASSWORD"] = "wrong-hunter22"
				fail := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s got a request", r.Host) })
				w.Serve(t, "a.example:80", fail)
				w.Serve(t, "evil.example:80", fail)
				w.Serve(t, "login.example:80", c.handler)
				begin := time.Now()
				_, _, err := w.get(within(t, 10*time.Second, "timeout of 10s is over"), w.client(t, oauth2Settings), "http://a.example/x?key=value-of-query")
				wantError(t, err, c.want)
				if time.Since(begin) > 10*time.Second {
					t.Errorf("took %s", time.Since(begin))
				}
			})
		})
	}
}

// TestTokenWaitersTimeOut checks the case that one request waits while another request asks for the token. The waiting request must end at
// its own time-out.
func TestTokenWaitersTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "login.example:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}))
		client := w.client(t, oauth2Settings)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		first := make(chan struct{})
		go func() { defer close(first); w.get(ctx, client, "http://a.example/x") }()
		synctest.Wait()
		_, _, err := w.get(within(t, time.Second, "timeout of 1s is over"), client, "http://a.example/x")
		wantError(t, err, "GET http://a.example/x: timeout of 1s is over")
		cancel()
		<-first
	})
}

func TestMissingSecretIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		`basic_auth: {username: "env:GONE"}`:                                          "basic_auth.username: secret env:GONE: the environment variable GONE is not set",
		`basic_auth: {username: a, password: "env:GONE"}`:                             "basic_auth.password: secret env:GONE",
		`authorization: {credentials: "env:GONE"}`:                                    "authorization.credentials: secret env:GONE",
		strings.Replace(oauth2Settings, "env:PASSWORD", "env:GONE", 1):                "oauth2.client_secret: secret env:GONE",
		strings.Replace(oauth2Settings, "client_id: ops", `client_id: "env:GONE"`, 1): "oauth2.client_id: secret env:GONE",
		strings.Replace(oauth2Settings, "audience: x", `audience: "env:GONE"`, 1):     "oauth2.endpoint_params.audience: secret env:GONE",
	} {
		w := newWorld(t)
		_, _, err := w.get(t.Context(), w.client(t, text), "http://a.example/x?key=value-of-query")
		wantError(t, err, "GET http://a.example/x: "+want)
	}
}

// TestTokenForgotten checks that a token in use stays a secret, however many other secrets were registered after it.
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
		resp := w.open(t, client, http.MethodGet, "http://a.example/x", nil)
		if text := resp.StatusError().Error(); strings.Contains(text, token) {
			t.Error(text)
		}
		for i := range 1100 { // other jobs' tokens and keys
			w.host.Secrets.Remember(fmt.Sprintf("another-%05d", i))
		}
	}
}
