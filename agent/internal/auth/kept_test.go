package auth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
)

// again simulates a new start: it returns the client of a new process, which knows only what the previous process has kept.
func (w *world) again(t *testing.T) *httpclient.Client {
	t.Helper()
	w.renew()
	return w.client(t)
}

// lasting makes the memories of a world keep what they get.
func (w *world) lasting() *world {
	for _, m := range w.memories {
		m.lasts = true
	}
	return w
}

// TestTokenIsKept checks that a new process uses the token of the previous process, until the token expires or is refused, or the
// password changes.
func TestTokenIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, login).lasting()
		w.want(t, w.client(t), "Bearer token-1", 1)
		time.Sleep(time.Minute)
		w.want(t, w.again(t), "Bearer token-1", 1)
		time.Sleep(time.Hour - 70*time.Second) // ten seconds before it expires
		w.want(t, w.again(t), "Bearer token-2", 2)
		w.set(func() { w.good = "Bearer token-3" })
		w.want(t, w.again(t), "Bearer token-3", 3) // refused, so it logs in and asks again
		w.want(t, w.again(t), "Bearer token-3", 3)
		w.set(func() { w.env["PASSWORD"] = "hunter23"; w.good = "" })
		w.want(t, w.again(t), "Bearer token-4", 4)
		w.leaks(t, "")
		if text := string(w.memories["token"].data); strings.Contains(text, "hunter") {
			t.Errorf("the password is kept: %s", text)
		}
	})
}

// TestRefusedTokenIsNotKept checks that a token that was refused is not used by the next process.
func TestRefusedTokenIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, login).lasting()
		w.want(t, w.client(t), "Bearer token-1", 1)
		w.set(func() { w.good = "Bearer none" })
		w.wantError(t, w.again(t), "401 Unauthorized", 2)
		w.set(func() { w.good = "" })
		w.want(t, w.again(t), "Bearer token-3", 3)
	})
}

// TestMemoryIsLocked checks that a token is stored and removed only while the memory is locked, since other processes may use it.
func TestMemoryIsLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, login).lasting()
		w.want(t, w.client(t), "Bearer token-1", 1)
		w.set(func() { w.good = "Bearer token-2" })
		w.want(t, w.again(t), "Bearer token-2", 2)
		if m := w.memories["token"]; m.unlocked > 0 || m.locked {
			t.Errorf("stored %d times without a lock; locked at the end: %v", m.unlocked, m.locked)
		}
	})
}

// TestKeptTokenIsDoubted checks that a kept token is not used if it is damaged or from the future.
func TestKeptTokenIsDoubted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, login).lasting()
		w.want(t, w.client(t), "Bearer token-1", 1)
		good := string(w.memories["token"].data)
		w.good = "any"
		w.want(t, w.again(t), "Bearer token-1", 1)
		for n, kept := range []string{"", "{", "null", strings.Replace(good, `"got":"2000`, `"got":"2099`, 1), strings.Replace(good, `"key":"`, `"key":"0`, 1)} {
			w.memories["token"].data = []byte(kept)
			w.want(t, w.again(t), fmt.Sprint("Bearer token-", n+2), n+2)
		}
	})
}

// TestRotatedRefreshTokenIsKept checks what is kept in the state file if there is no token file. The newest refresh token must be stored
// before the access token is used, and the access token must be kept beside it.
func TestRotatedRefreshTokenIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, strings.Replace(byRefresh, ", token_file: kept", "", 1)).lasting()
		w.rotating()
		w.want(t, w.client(t), "Bearer token-1", 1)
		w.want(t, w.again(t), "Bearer token-1", 1)
		time.Sleep(time.Hour)
		w.want(t, w.again(t), "Bearer token-2", 2)
		w.set(func() { w.good = "Bearer token-3" })
		w.want(t, w.again(t), "Bearer token-3", 3)
		w.leaks(t, "")
		w.set(func() { w.good = "" })
		w.memories["refresh_token"].err = errors.New("no space left on device")
		time.Sleep(time.Hour)
		w.wantError(t, w.again(t), "oauth2.refresh_token: no space left on device: after a restart there would be no valid refresh token", 4)
		w.memories["refresh_token"].notReady = errors.New("the state file is not open")
		w.wantError(t, w.again(t), "oauth2.refresh_token: the state file is not open; the refresh token was not used, since the server may replace it", 4)
	})
}

// TestFirstRefreshTokenIsNotSpent checks that the refresh token in the settings is not used while a replacement cannot be stored. An
// exception is a server that is known not to replace this token.
func TestFirstRefreshTokenIsNotSpent(t *testing.T) {
	for _, rotates := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, strings.Replace(byRefresh, ", token_file: kept", "", 1)).lasting()
			w.rotating()
			if !rotates {
				w.answer = func(rw http.ResponseWriter, _ *http.Request, n int) {
					rw.Header().Set("Content-Type", "application/json")
					fmt.Fprintf(rw, `{"access_token": "token-%d", "token_type": "bearer", "expires_in": 3600}`, n)
				}
			}
			const why = "oauth2.refresh_token: the state file is not open; the refresh token was not used, since the server may replace it"
			notReady := errors.New("the state file is not open")
			w.memories["refresh_token"].notReady = notReady
			w.wantError(t, w.again(t), why, 0)
			w.memories["refresh_token"].notReady = nil
			w.want(t, w.again(t), "Bearer token-1", 1)
			time.Sleep(time.Hour)
			w.memories["refresh_token"].notReady = notReady
			if rotates {
				w.wantError(t, w.again(t), why, 1)
				return
			}
			w.want(t, w.again(t), "Bearer token-2", 2)
		})
	}
}

const withLogout = `login: {url: "http://login.example/session", token: .token, logout: {url: "http://login.example/out?all=1", method: DELETE, headers: {X-Why: "env:WHY"}}}`

// TestLogout checks that a session is ended once, with its token. If the token is kept for the next start, or if there is no token, no
// session is ended.
func TestLogout(t *testing.T) {
	for _, kept := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withLogout)
			w.env["WHY"] = "hunter-why"
			w.memories["token"].lasts = kept
			give, out := w.answer, []string{}
			status := http.StatusFound
			w.answer = func(rw http.ResponseWriter, r *http.Request, n int) {
				if r.URL.Path != "/out" {
					give(rw, r, n)
					return
				}
				out = append(out, fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Header.Get("Authorization"), " ", r.Header.Get("X-Why")))
				rw.WriteHeader(status)
				io.WriteString(rw, "bye token-3")
			}
			logout := func() error { return w.host.Providers["cloud"].(httpclient.LogoutProvider).Logout(t.Context()) }
			client := w.client(t)
			if err := logout(); err != nil || len(out) > 0 {
				t.Errorf("logged out without a login: %v, %v", out, err)
			}
			w.want(t, client, "Bearer token-1", 1)
			for range 2 {
				if err := logout(); err != nil {
					t.Error(err)
				}
			}
			want := "[DELETE /out?all=1 Bearer token-1 hunter-why]"
			if kept {
				want = "[]"
			}
			if got := fmt.Sprint(out); got != want {
				t.Errorf("kept %v: sent %s, want %s", kept, got, want)
			}
			if kept {
				return
			}
			status = http.StatusForbidden
			w.want(t, client, "Bearer token-3", 3) // the logout counts too
			err := logout()
			if err == nil || !strings.Contains(err.Error(), "DELETE http://login.example/out: 403 Forbidden: bye <secret>") {
				t.Errorf("got %v", err)
			}
			w.leaks(t, fmt.Sprint(err))
		})
	}
}

// TestLastCookie checks that the token of a login is the cookie that a browser would have after the response.
func TestLastCookie(t *testing.T) {
	for _, c := range []struct {
		set  []string
		want string
		err  string // error of the login
	}{
		{[]string{"sid=token-0", "sid=token-1"}, "token-1", ""},
		{[]string{"sid=token-1", "sid=gone; Path=/other; Max-Age=0"}, "token-1", ""},
		{[]string{"sid=gone; Path=/other", "sid=token-1", "sid=; Path=/other; Max-Age=0"}, "token-1", ""},
		{[]string{"sid=token-1", "sid=deleted; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}, "", "the token expired at 1970-01-01T00:00:00Z"},
		{[]string{"sid=token-1", "sid="}, "", "the response sets no cookie sid"},
		{[]string{"sid=", "sid=token-1; Max-Age=60"}, "token-1", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, `login: {url: "http://login.example/", token_cookie: sid, send: {header: "Authorization: Bearer {{ .Token }}"}}`)
			w.answer = func(rw http.ResponseWriter, _ *http.Request, _ int) {
				for _, line := range c.set {
					rw.Header().Add("Set-Cookie", line)
				}
			}
			w.good = "Bearer " + c.want
			if c.want == "" {
				w.wantError(t, w.client(t), c.err, 1)
				return
			}
			w.want(t, w.client(t), w.good, 1)
		})
	}
}

// TestCookieIsSentOnce checks that a cookie of the login replaces the cookies of the same name in a request, and that the other
// cookies stay as they are.
func TestCookieIsSentOnce(t *testing.T) {
	for header, want := range map[string]string{
		"sid=old; a=1; sid=older": "a=1; sid=token-1",
		`a="x y"; b=1`:            `a="x y"; b=1; sid=token-1`,
		"":                        "sid=token-1",
	} {
		req, err := http.NewRequest(http.MethodGet, "http://a.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			req.Header.Set("Cookie", header)
		}
		(&Send{Cookie: "sid"}).setToken(req, "token-1")
		if got := req.Header.Get("Cookie"); got != want {
			t.Errorf("%q becomes %q, want %q", header, got, want)
		}
	}
}
