package auth

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestHostileResponses checks that a login with an unusable response fails with an error of one line that shows no token.
func TestHostileResponses(t *testing.T) {
	for answer, want := range map[string]string{
		`<html>token-1</html>`: "want JSON, got HTML or XML",
		``:                     "want JSON, got an empty body",
		`token-1`:              "want JSON, got other text",
		`"token-1"`:            "token: the expression .token does not fit the response",
		`{}`:                   "token: .token gives nothing, want a string",
		`{"token": ""}`:        "the token is empty",
		`{"token": null, "tokne": "token-1", "x": 1}`:             "token: .token gives nothing, want a string; the response has token, tokne, x",
		`{"token": {"token-1": 1}}`:                               "token: .token gives an object, want a string; the response has token",
		`{"token": "token-1\r\nX: y"}`:                            "the token contains characters that are not valid in a header: does the expression of token select the right value?",
		`{"token": " token-1"}`:                                   "the token contains characters that are not valid in a header: does the expression of token select the right value?",
		`{"token": "tökén-1"}`:                                    "the token contains characters that are not valid in a header: does the expression of token select the right value?",
		`{"token": "` + strings.Repeat("token-", 1<<17) + `"}`:    "the token exceeds 16KiB",
		`{"token": "` + strings.Repeat("token-", 1<<18) + `"}`:    "the body exceeds 1MiB",
		strings.Repeat("[", 100_000):                              "want JSON, got other text",
		`{"token": "token-1"}`:                                    "expires: .ttl gives no value: correct the expression, or leave out expires",
		`{"token": "token-1", "ttl": 0}`:                          "expires: .ttl gives a time in the past",
		`{"token": "token-1", "ttl": -3600}`:                      "expires: .ttl gives a time in the past",
		`{"token": "token-1", "ttl": "NaN"}`:                      "expires: .ttl gives too large a number",
		`{"token": "token-1", "ttl": "-Inf"}`:                     "expires: .ttl gives a time in the past",
		`{"token": "token-1", "ttl": 1e400}`:                      "expires: .ttl gives",
		`{"token": "token-1", "ttl": 946684800000}`:               "expires: .ttl gives too large a number: want seconds, so divide milliseconds by 1000",
		`{"token": "token-1", "ttl": [3600]}`:                     "expires: .ttl gives neither seconds nor a time",
		`{"token": "token-1", "ttl": "soon"}`:                     "expires: .ttl gives neither seconds nor a time",
		`{"token": "token-1", "ttl": "1999-12-31T23:59:59Z"}`:     "the token expired at 1999-12-31T23:59:59Z, before it was received: check the clocks",
		`{"token": "token-1", "ttl": "0001-01-01T00:00:00Z"}`:     "expires: .ttl gives a time in the past",
		`{"token": "token-1", "ttl": "1999-12-31T23:59:59.5ZZZ"}`: "expires: .ttl gives neither seconds nor a time",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, login)
			w.answer = func(rw http.ResponseWriter, _ *http.Request, _ int) { io.WriteString(rw, answer) }
			client := w.client(t)
			w.wantError(t, client, "GET http://a.example/x: auth.cloud: ", 1)
			w.wantError(t, client, want, 1) // without another login
			_, err := w.get(t.Context(), client)
			if text := fmt.Sprint(err); len(text) > 400 {
				t.Errorf("the error has %d bytes: %s …", len(text), text[:400])
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		given any
		want  time.Duration
	}{
		{60, time.Minute},
		{60.5, 60500 * time.Millisecond},
		{"60", time.Minute},
		{0.001, time.Millisecond},
		{int(now.Unix()) + 60, time.Minute},
		{float64(now.Unix()) + 0.5, 500 * time.Millisecond},
		{"2026-11-22T14:01:00+02:00", time.Minute},
		{"2026-11-22T11:59:00Z", -time.Minute},
		{999_999_999, 999_999_999 * time.Second},
	} {
		if got, err := expiry(c.given, now); err != nil || got.Sub(now) != c.want {
			t.Errorf("%v: in %s, %v, want %s", c.given, got.Sub(now), err, c.want)
		}
	}
	for _, given := range []any{nil, true, "", "x", 0, -1, math.NaN(), math.Inf(1), math.Inf(-1), 1e11, []any{}, map[string]any{}} {
		if got, err := expiry(given, now); err == nil {
			t.Errorf("%v is taken for %s", given, got)
		}
	}
}

func TestTokenPlaces(t *testing.T) {
	for text, want := range map[string]string{
		`{token: .token}`:  "Bearer token-1;;;",
		`{token: .number}`: "Bearer 12345678901234567890;;;",
		`{token: .token, send: {header: "x-key: a {{.Token}} b"}}`:             ";a token-1 b;;",
		`{token: .token, send: {cookie: sid}}`:                                 ";;sid=token-1;",
		`{token: .token, send: {query: "a b"}}`:                                ";;;k=v&a+b=token-1",
		`{token_header: X-Key}`:                                                ";token-2;;",
		`{token_header: X-Key, send: {header: "Authorization: {{ .Token }}"}}`: "token-2;;;",
		`{token_cookie: sid}`:                                                  ";;sid=token-3;",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, `login: {url: "http://login.example/", `+text[1:])
			w.answer = func(rw http.ResponseWriter, _ *http.Request, _ int) {
				rw.Header().Set("X-Key", "token-2")
				rw.Header().Add("Set-Cookie", "other=1")
				rw.Header().Add("Set-Cookie", "sid=token-3; Max-Age=60")
				io.WriteString(rw, `{"token": "token-1", "number": 12345678901234567890}`)
			}
			got := ""
			w.Serve(t, "b.example:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = fmt.Sprint(r.Header.Get("Authorization"), ";", r.Header.Get("X-Key"), ";", r.Header.Get("Cookie"), ";", r.URL.RawQuery)
			}))
			client := w.client(t)
			target := "http://b.example/"
			if strings.Contains(text, "query") {
				target += "?k=v"
			}
			req, err := http.NewRequest(http.MethodGet, target, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Close()
			if got != want {
				t.Errorf("%s sends %s, want %s", text, got, want)
			}
			if strings.Contains(resp.Request.URL.String(), "token-") {
				t.Error("the response's request shows the token")
			}
			w.leaks(t, "")
		})
	}
}

func TestCookieExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `login: {url: "http://login.example/", token_cookie: sid, send: {header: "Authorization: Bearer {{ .Token }}"}}`)
		w.answer = func(rw http.ResponseWriter, _ *http.Request, n int) {
			rw.Header().Set("Location", "/page")
			rw.Header().Set("Set-Cookie", fmt.Sprintf("sid=token-%d; Max-Age=100", n))
			rw.WriteHeader(http.StatusFound)
		}
		client := w.client(t)
		w.want(t, client, "Bearer token-1", 1)
		time.Sleep(89 * time.Second)
		w.want(t, client, "Bearer token-1", 1)
		time.Sleep(time.Second)
		w.want(t, client, "Bearer token-2", 2)
		w.set(func() {
			w.answer = func(rw http.ResponseWriter, _ *http.Request, n int) {
				rw.Header().Set("Set-Cookie", "sid=gone; Max-Age=0")
			}
		})
		time.Sleep(time.Hour)
		w.wantError(t, client, "auth.cloud: the token expired at", 3)
	})
}

func FuzzPlacedHeader(f *testing.F) {
	f.Add("Authorization: Bearer {{ .Token }}")
	f.Add("a:{{.Token}}{{.Token}}")
	f.Fuzz(func(t *testing.T, text string) {
		var p placedHeader
		if p.UnmarshalText([]byte(text)) != nil {
			return
		}
		req, err := http.NewRequest(http.MethodGet, "http://a.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		(&Send{Header: p}).setToken(req, "t")
		var line strings.Builder
		if err := req.Header.Write(&line); err != nil || strings.Count(line.String(), "\n") != 1 || !strings.Contains(line.String(), "t") {
			t.Errorf("%q makes %q, %v", text, line.String(), err)
		}
	})
}
