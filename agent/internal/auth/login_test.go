package auth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

const login = `login: {url: "http://login.example/session?v=1", body: {user: ops, password: "env:PASSWORD"}, token: .token, expires: .ttl}`

func TestTokenIsRenewedBeforeItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, login)
		client := w.client(t)
		w.want(t, client, "Bearer token-1", 1)
		time.Sleep(time.Hour - 11*time.Second)
		w.want(t, client, "Bearer token-1", 1)
		time.Sleep(time.Second)
		w.want(t, client, "Bearer token-2", 2)
		w.leaks(t, "")
	})
}

func TestTokenWithoutExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, strings.Replace(login, ", expires: .ttl", "", 1))
		client := w.client(t)
		w.want(t, client, "Bearer token-1", 1)
		time.Sleep(30 * 24 * time.Hour)
		w.want(t, client, "Bearer token-1", 1)
		w.set(func() { w.good = "Bearer token-2" })
		w.want(t, client, "Bearer token-2", 2)
	})
}

// TestTokensAreRefused checks a server that refuses a token which worked before. The request must be sent once more, and further logins
// must be postponed.
func TestTokensAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, login)
		client := w.client(t)
		w.want(t, client, "Bearer token-1", 1)
		time.Sleep(2 * time.Minute)
		w.set(func() { w.good = "Bearer none" })
		w.wantError(t, client, "401 Unauthorized: no such token: Bearer <secret> (authenticated by auth.cloud)", 2)
		w.wantError(t, client, "401 Unauthorized", 3)
		for n, pause := range []time.Duration{2, 4, 8, 16, 30, 30} {
			w.wantError(t, client, "auth.cloud: the server refuses every new token: check the rights of the login, and where send puts the token (next attempt at", 3+n)
			time.Sleep(pause*time.Minute - time.Second)
			w.wantError(t, client, "auth.cloud: the server refuses every new token", 3+n)
			time.Sleep(time.Second)
			w.wantError(t, client, "401 Unauthorized", 4+n)
		}
		w.set(func() { w.good = "" })
		time.Sleep(30 * time.Minute)
		w.want(t, client, "Bearer token-10", 10)
	})
}

func TestConcurrentClientsLogInOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, login)
		w.answer = func(rw http.ResponseWriter, r *http.Request, n int) {
			time.Sleep(time.Second)
			fmt.Fprintf(rw, `{"token": "token-%d", "ttl": 3600}`, n)
		}
		all := func() {
			var wg sync.WaitGroup
			for range 20 {
				client := w.client(t)
				wg.Go(func() {
					if got, err := w.get(t.Context(), client); err != nil {
						t.Errorf("got %q, %v", got, err)
					}
				})
			}
			wg.Wait()
		}
		all()
		if n := w.asked(); n != 1 {
			t.Errorf("20 clients logged in %d times", n)
		}
		time.Sleep(time.Hour)
		all()
		if n := w.asked(); n != 2 {
			t.Errorf("after an hour 20 clients had logged in %d times", n)
		}
		w.set(func() { w.good = "Bearer token-3" })
		time.Sleep(10 * time.Minute)
		all()
		if n := w.asked(); n != 3 {
			t.Errorf("after their token was refused 20 clients had logged in %d times", n)
		}
	})
}

func TestRefusedLoginIsPostponed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, login)
		refuse := func(rw http.ResponseWriter, _ *http.Request, _ int) {
			http.Error(rw, "wrong: hunter22", http.StatusForbidden)
		}
		w.answer = refuse
		clients := []*httpclient.Client{w.client(t), w.client(t)}
		const why = "GET http://a.example/x: auth.cloud: POST http://login.example/session: 403 Forbidden: wrong: <secret>"
		n := 0
		for _, pause := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			n++
			for _, client := range clients {
				w.wantError(t, client, why, n)
			}
			time.Sleep(pause * time.Minute)
		}
		w.wantError(t, clients[0], why, 8)
		w.set(func() { w.env["PASSWORD"] = "hunter33" })
		w.wantError(t, clients[0], "403 Forbidden", 9) // a changed password is tried at once
		w.set(func() { w.env["PASSWORD"] = "hunter44"; w.answer = newWorld(t, login).answer })
		w.want(t, clients[1], "Bearer token-10", 10)
	})
}

// TestLoginServerIsDown checks that a login is repeated soon if the server is down. It must not be repeated by each job.
func TestLoginServerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, login)
		good := w.answer
		w.answer = func(rw http.ResponseWriter, _ *http.Request, _ int) { http.Error(rw, "down", http.StatusBadGateway) }
		client := w.client(t)
		n := 0
		for _, pause := range []time.Duration{5, 10, 20, 40, 60, 60} {
			n++
			w.wantError(t, client, "502 Bad Gateway: down", n)
			w.wantError(t, client, "502 Bad Gateway: down (next attempt at 2000-01-01T00:0", n)
			time.Sleep(pause * time.Second)
		}
		w.set(func() { w.answer = good })
		w.want(t, client, "Bearer token-7", 7)
	})
}

// TestCancelledLogin checks that a cancelled request does not postpone the login of the next request.
func TestCancelledLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, login)
		w.answer = func(rw http.ResponseWriter, r *http.Request, n int) {
			io.Copy(io.Discard, r.Body)
			if n == 1 {
				<-r.Context().Done()
			}
			fmt.Fprintf(rw, `{"token": "token-%d", "ttl": 3600}`, n)
		}
		first, second := w.client(t), w.client(t)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := w.get(ctx, first); err == nil || !strings.Contains(err.Error(), "cancelled") {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { w.want(t, second, "Bearer token-2", 2) })
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

func TestChangedPasswordEndsTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, strings.Replace(login, "env:PASSWORD", "file:password", 1))
		file := filepath.Join(w.host.Secrets.Dir, "password")
		client := w.client(t)
		for n, password := range []string{"hunter22", "hunter33"} {
			if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
				t.Fatal(err)
			}
			w.want(t, client, fmt.Sprint("Bearer token-", n+1), n+1)
		}
		os.Remove(file)
		w.wantError(t, client, "GET http://a.example/x: auth.cloud: login.body.password: secret file:password: open", 2)
	})
}

func TestLoginServerIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, strings.Replace(login, "login.example", "closed.example", 1))
		w.wantError(t, w.client(t), "GET http://a.example/x: auth.cloud: POST http://closed.example/session: connection refused by closed.example:80", 0)
	})
}

// TestLoginIsNotCached checks that the response to a login does not come from the cache of the job.
func TestLoginIsNotCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `login: {url: "http://login.example/session", method: GET, token: .token, expires: .ttl}`)
		w.host.Shared = &httpclient.SharedState{}
		w.host = w.host.WithPolicy("job", &url.URL{Scheme: "http", Host: "a.example"}, &httpclient.RequestPolicy{CacheFor: setting.Duration(24 * time.Hour)})
		client := w.client(t)
		w.want(t, client, "Bearer token-1", 1)
		time.Sleep(time.Hour)
		w.want(t, client, "Bearer token-2", 2)
	})
}

func TestLoginRequest(t *testing.T) {
	for text, want := range map[string]string{
		`{body: {a: "env:PASSWORD", b: [1, true, null, 2.5, {c: "env:PASSWORD"}]}}`:  `POST  application/json {"a":"hunter22","b":[1,true,null,2.5,{"c":"hunter22"}]}`,
		`{body: '{"a": 1}', method: PUT}`:                                            `PUT  application/json {"a": 1}`,
		`{body: "env:PASSWORD"}`:                                                     `POST  text/plain; charset=utf-8 hunter22`,
		`{form: {a: "env:PASSWORD", b: "x y"}}`:                                      `POST  application/x-www-form-urlencoded a=hunter22&b=x+y`,
		`{method: GET, query: {key: "env:PASSWORD"}}`:                                `GET key=hunter22  `,
		`{body: {n: 12345678901234567890}, headers: {Content-Type: text/x, A: "b"}}`: `POST  text/x {"n":12345678901234567890}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, `login: {url: "http://login2.example/x", token: .token, `+text[1:])
			got := ""
			w.Serve(t, "login2.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = fmt.Sprintf("%s %s %s %s", r.Method, r.URL.RawQuery, r.Header.Get("Content-Type"), body)
				io.WriteString(rw, `{"token": "token-0"}`)
			}))
			w.want(t, w.client(t), "Bearer token-0", 0)
			if got != want {
				t.Errorf("%s sends\n%s, want\n%s", text, got, want)
			}
			w.leaks(t, "")
		})
	}
}
