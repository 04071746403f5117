package auth

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
)

const withSwitch = `login: {url: "http://login.example/session", token_cookie: sid, after: [{url: "http://login.example/switch", body: {tenant: blue}}, {url: "http://login.example/open"}]}`

// TestSessionIsRenewedAfterTheLogin checks that a step after the login sends the session cookie once. If its response sets a new session
// cookie, the following steps and all other requests use the new one.
func TestSessionIsRenewedAfterTheLogin(t *testing.T) {
	for _, c := range []struct {
		set  []string // cookies of the response to the first step
		open string   // cookies of the second step
		job  string   // cookies of other requests
	}{
		{nil, "sid=token-1", "sid=token-1"},
		{[]string{"sid=token-2; Path=/"}, "sid=token-2", "sid=token-2"},
		{[]string{"sid=token-2; Path=/", "sid=token-3; Path=/"}, "sid=token-3", "sid=token-3"},
		{[]string{"sid=token-2; Path=/; Max-Age=0"}, "sid=token-1", "sid=token-1"},
		{[]string{"other=2; Path=/"}, "sid=token-1; other=2", "sid=token-1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, withSwitch)
			sent := map[string]string{}
			w.answer = func(rw http.ResponseWriter, r *http.Request, _ int) {
				sent[r.URL.Path] = r.Header.Get("Cookie")
				switch r.URL.Path {
				case "/session":
					rw.Header().Add("Set-Cookie", "sid=token-1; Path=/")
				case "/switch":
					for _, line := range c.set {
						rw.Header().Add("Set-Cookie", line)
					}
				}
			}
			w.Serve(t, "b.example:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent["job"] = r.Header.Get("Cookie") }))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://b.example/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := w.client(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Close()
			for from, want := range map[string]string{"/session": "", "/switch": "sid=token-1", "/open": c.open, "job": c.job} {
				if sent[from] != want {
					t.Errorf("%q: %s has the cookies %q, want %q", c.set, from, sent[from], want)
				}
			}
			w.leaks(t, "")
		})
	}
}

func TestCookieIsSharedWith(t *testing.T) {
	for _, c := range []struct {
		host, domain, setBy string
		want                bool
	}{
		{"a.example", "", "A.example", true},
		{"a.example", "", "b.example", false},
		{"a.example", ".Example", "b.example", true},
		{"a.example", "b.example", "b.example", false},
		{"a.example", "example", "b.test", false},
		{"aexample", "example", "b.example", false},
	} {
		if got := isSharedWith(c.host, &http.Cookie{Domain: c.domain}, c.setBy); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

// TestValuesInPaths checks that a value is filled into the path of later requests and of the logout as one segment.
func TestValuesInPaths(t *testing.T) {
	for value, want := range map[string]string{
		"a1b2c3d4e": "a1b2c3d4e", "token-/../x?y#z": "token-%2F..%2Fx%3Fy%23z", "..": "", "": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, `login: {before: [{url: "http://login.example/first", format: json, take: {id: .body.id}}], url: "http://login.example/x y/a%2Fb!/{{ .id }}/c%2fd?v=1", token: .token,
				logout: {url: "http://login.example/out/%7B%7B/{{ .id }}", headers: {X-Id: "{{ .id }}"}}}`)
			var paths []string
			w.answer = func(rw http.ResponseWriter, r *http.Request, _ int) {
				paths = append(paths, r.RequestURI)
				if r.URL.Path == "/first" {
					_ = json.NewEncoder(rw).Encode(map[string]string{"id": value})
					return
				}
				if id := r.Header.Get("X-Id"); strings.HasPrefix(r.URL.Path, "/out/") && id != value {
					t.Errorf("the header of the logout is %q", id)
				}
				_, _ = io.WriteString(rw, `{"token": "token-0"}`)
			}
			w.good = "any"
			client := w.client(t)
			if want == "" {
				w.wantError(t, client, "auth.cloud: login.url: the value .id is empty, . or .., which is not a valid path segment", 1)
				return
			}
			w.want(t, client, "Bearer token-0", 2)
			if err := w.host.Providers["cloud"].(httpclient.LogoutProvider).Logout(t.Context()); err != nil {
				t.Error(err)
			}
			if got, all := strings.Join(paths, " "), "/first /x%20y/a%2Fb!/"+want+"/c%2fd?v=1 /out/%7B%7B/"+want; got != all {
				t.Errorf("the requests are %s, want %s", got, all)
			}
			w.leaks(t, "")
		})
	}
}

// TestPathsHaveOnlyNames checks that a path is refused if its {{ }} contain anything but names of values. Anything else would be sent
// literally.
func TestPathsHaveOnlyNames(t *testing.T) {
	for path, good := range map[string]bool{
		"/{{ .id }}/x": true, "/{{.id}}-{{- .id -}}": true, "/%7B%7B": true,
		`/{{ secret "env:K" }}/x`: false, `/{{ secret "file:/k#K" }}/x`: false, "/{{ md5 .id }}": false, "/{{ .id }}/{{ .id.x }}": false, `/{{ "x" }}`: false, "/{{": false,
	} {
		for _, format := range []string{
			`login: {before: [{url: "http://h/", take: {id: .body.id}}], url: 'http://h%s', token: .token}`,
			`login: {before: [{url: "http://h/", take: {id: .body.id}}], url: "http://h/", token: .token, logout: {url: 'http://h%s'}}`,
		} {
			var s Settings
			if err := yaml.Load(fmt.Appendf(nil, format, path), &s, yaml.WithKnownFields()); err != nil {
				t.Fatal(err)
			}
			err := s.Validate()
			if good && err != nil || !good && (err == nil || !strings.Contains(err.Error(), "a path can have only {{ .name }}")) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}
