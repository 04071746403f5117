package http

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/collectington/collectington/sources"
)

const asking = address + `
headers: {X-Api-Key: "env:KEY", X-Team: ops}
query: {since: yesterday, key: "env:KEY"}
`

// TestAsk checks which parts of a request replace the settings, and what is sent to which origin.
func TestAsk(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		name    string
		request sources.Request
		want    string // method, address, key, team, body
	}{
		{"the settings", sources.Request{}, "GET a.example/v1/x?key=hunter%2F22%26key&since=yesterday hunter/22&key ops "},
		{"other parameters, the key stays", sources.Request{Query: []sources.Parameter{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}}, "GET a.example/v1/x?a=1&a=2&key=hunter%2F22%26key hunter/22&key ops "},
		{"no parameters", sources.Request{Query: []sources.Parameter{}}, "GET a.example/v1/x?key=hunter%2F22%26key hunter/22&key ops "},
		{"relative", sources.Request{URL: "y?page=2"}, "GET a.example/v1/y?page=2&key=hunter%2F22%26key hunter/22&key ops "},
		{"a link with the key in it", sources.Request{URL: "/z?key=theirs"}, "GET a.example/z?key=theirs hunter/22&key ops "},
		{"headers", sources.Request{Headers: []sources.Parameter{{Name: "x-team", Value: "dev"}}}, "GET a.example/v1/x?key=hunter%2F22%26key&since=yesterday hunter/22&key dev "},
		{"a body", sources.Request{URL: "/q", Body: text(`{"a":1}`)}, `POST a.example/q?key=hunter%2F22%26key hunter/22&key ops {"a":1}`},
		{"another host", sources.Request{URL: "http://b.example/v1/x", Headers: []sources.Parameter{{Name: "X-Team", Value: "b"}}}, "GET b.example/v1/x  b "},
		{"another port", sources.Request{URL: "http://a.example:81/v1/x"}, "GET a.example:81/v1/x   "},
		{"//host", sources.Request{URL: "//b.example/v1/x"}, "GET b.example/v1/x   "},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			var got string
			for _, host := range []string{"a.example:80", "a.example:81", "b.example:80"} {
				p.Serve(t, host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					got = r.Method + " " + r.Host + r.URL.String() + " " + r.Header.Get("X-Api-Key") + " " + r.Header.Get("X-Team") + " " + string(body)
					if r.Header.Get("Authorization") != "" && r.Host != "a.example" {
						t.Errorf("%s: the login goes to %s", c.name, r.Host)
					}
					_, _ = io.WriteString(w, `{}`)
				}))
			}
			f := p.fetcher(t, asking+"basic_auth: {username: ops, password: \"env:KEY\"}\n")
			_, err := f.Fetch(t.Context(), tickAt(), c.request)
			if f.other != nil {
				f.other.CloseIdleConnections()
			}
			if err != nil || got != c.want {
				t.Errorf("%s: got\n%s, %v\nwant\n%s", c.name, got, err, c.want)
			}
		})
	}
}

func TestAskRefuses(t *testing.T) {
	text := "x"
	for want, r := range map[string]sources.Request{
		"url: want a URL that starts with http:// or https://":                                                                            {URL: "file:///etc/passwd"},
		"url: not a valid URL":                                                                                                            {URL: "http://[::1"},
		"url: a URL must not contain a user or password: use basic_auth":                                                                  {URL: "http://a:b@c.example/"},
		`method: want a method in upper case, such as GET, POST, PUT or PROPFIND, got "A B"`:                                              {Method: "A B", Body: &text},
		`GET http://a.example/v1/x: headers: Trailer is set by the agent`:                                                                 {Headers: []sources.Parameter{{Name: "Trailer", Value: "b"}}},
		`GET http://a.example/v1/x: headers: "a b" is not a valid header name`:                                                            {Headers: []sources.Parameter{{Name: "a b", Value: "b"}}},
		`GET http://a.example/v1/x: headers: the value of A has a line break or control character, which a header cannot have: remove it`: {Headers: []sources.Parameter{{Name: "A", Value: "b\nc"}}},
	} {
		_, err := newPlace(t).fetcher(t, asking).Fetch(t.Context(), tickAt(), r)
		if err == nil || err.Error() != want || strings.Contains(err.Error(), "hunter") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestAskRedirects checks that headers of a request follow a redirect only within its origin.
func TestAskRedirects(t *testing.T) {
	for _, from := range []string{"http://a.example/v1/x", "http://b.example/v1/x"} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			for _, host := range []string{"a.example:80", "b.example:80", "c.example:80"} {
				p.Serve(t, host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case r.Host == "c.example":
						t.Errorf("c.example got a request with %v", r.Header)
					case r.URL.Path == "/v1/x":
						http.Redirect(w, r, "/y", http.StatusFound)
					case r.Header.Get("X-Token") != "own-token":
						t.Errorf("%s has no token", r.URL)
					default:
						http.Redirect(w, r, "http://c.example/z", http.StatusFound)
					}
				}))
			}
			f := p.fetcher(t, address)
			_, err := f.Fetch(t.Context(), tickAt(), sources.Request{URL: from, Headers: []sources.Parameter{{Name: "X-Token", Value: "own-token"}}})
			if f.other != nil {
				f.other.CloseIdleConnections()
			}
			if err == nil || !strings.Contains(err.Error(), "redirected to another host (http://c.example): not followed") {
				t.Errorf("%s: got %v", from, err)
			}
		})
	}
}
