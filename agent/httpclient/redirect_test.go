package httpclient

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

func TestRedirectsStayOnTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/same":
				http.Redirect(rw, r, "/end", http.StatusFound)
			case "/port":
				http.Redirect(rw, r, "http://a.example:80/end", http.StatusMovedPermanently)
			case "/to":
				rw.Header().Set("Location", r.URL.Query().Get("where"))
				rw.WriteHeader(http.StatusTemporaryRedirect)
			case "/end":
				fmt.Fprint(rw, r.Header.Get("X-Api-Key"))
			}
		}))
		// No other origin may get a request at all.
		for _, address := range []string{"b.example:80", "a.example:8080", "b.a.example:80", "a.example:443", "b.example:443"} {
			w.Serve(t, address, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				t.Errorf("%s got a request for %s", r.Host, r.URL)
			}))
		}
		client := w.client(t, `authorization: {credentials: "env:PASSWORD"}`)
		get := func(path string) (string, error) {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example"+path, nil)
			req.Header.Set("X-Api-Key", "my-api-key")
			resp, err := client.Do(req)
			if err != nil {
				return "", err
			}
			defer resp.Close()
			body, err := resp.ReadBody(nil, maxBody(100))
			return string(body), err
		}
		for _, path := range []string{"/same", "/port"} {
			if got, err := get(path); got != "my-api-key" || err != nil {
				t.Errorf("%s: got %q, %v", path, got, err)
			}
		}
		for where, want := range map[string]string{
			"http://b.example/x?key=value-of-query": "redirected to another host (http://b.example): not followed, since credentials would be sent there; set url to the new address",
			"http://b.a.example/":                   "redirected to another host (http://b.a.example)",
			"//b.example/x":                         "redirected to another host (http://b.example)",
			"http://a.example:8080/":                "redirected to another port (http://a.example:8080)",
			"https://a.example/":                    "redirected to https from http (https://a.example)",
			"http://bob:hunter22@b.example/":        "redirected to another host (http://b.example)",
			"ftp://a.example/":                      "redirected to ftp from http",
			"http://[::1":                           "Location",
		} {
			_, err := get("/to?where=" + strings.ReplaceAll(where, "&", "%26"))
			wantError(t, err, want)
			if !strings.HasPrefix(err.Error(), "GET http://a.example/to: ") {
				t.Errorf("%s: %v", where, err)
			}
		}
	})
}

func TestRedirectsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			left := 0
			fmt.Sscan(strings.TrimPrefix(r.URL.Path, "/"), &left)
			if left > 0 {
				http.Redirect(rw, r, fmt.Sprint("/", left-1), http.StatusFound)
			}
		}))
		client := w.client(t, "")
		w.mustGet(t, client, "http://a.example/5")
		_, _, err := w.get(t.Context(), client, "http://a.example/6")
		wantError(t, err, "GET http://a.example/6: redirected more than 5 times")
	})
}

func TestRedirectFromHTTPSToHTTP(t *testing.T) {
	from, _ := http.NewRequest(http.MethodGet, "https://a.example/x", nil)
	to, _ := http.NewRequest(http.MethodGet, "http://a.example/x", nil)
	wantError(t, redirectPolicy{}.check(to, []*http.Request{from}),
		"GET https://a.example/x: redirected to http from https (http://a.example): not followed")
}

func TestOtherOrigin(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"http://a.example/x", "http://a.example/y?z", ""},
		{"http://a.example", "http://A.EXAMPLE:80", ""},
		{"https://a.example:443", "https://a.example", ""},
		{"http://[::1]:80", "http://[::1]", ""},
		{"http://a.example", "http://b.example", "another host"},
		{"http://a.example", "http://a.example.", "another host"},
		{"http://a.example", "http://a.example.evil.example", "another host"},
		{"http://a.example", "https://a.example", "https from http"},
		{"https://a.example", "http://a.example", "http from https"},
		{"https://a.example", "https://a.example:8443", "another port"},
	} {
		from, err := url.Parse(c.from)
		if err != nil {
			t.Fatal(err)
		}
		to, err := url.Parse(c.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := otherOrigin(from, to); got != c.want {
			t.Errorf("%s to %s: got %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

// TestKeepMethod checks two kinds of redirects. If following a redirect would turn a POST into a GET, the redirect is returned as the
// response. Other redirects are followed.
func TestKeepMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/301":
				http.Redirect(rw, r, "/end", http.StatusMovedPermanently)
			case "/307":
				http.Redirect(rw, r, "/end", http.StatusTemporaryRedirect)
			}
		}))
		client := w.client(t, "")
		client.KeepMethod()
		for _, c := range []struct {
			method, path string
			want         int
		}{{"POST", "/301", 301}, {"POST", "/307", 200}, {"GET", "/301", 200}} {
			if got := w.open(t, client, c.method, "http://a.example"+c.path, strings.NewReader("x")).StatusCode; got != c.want {
				t.Errorf("%s %s: got %d, want %d", c.method, c.path, got, c.want)
			}
		}
		_, err := client.Do(func() *http.Request {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://a.example/301", nil)
			return req
		}())
		wantError(t, err, "POST http://a.example/301: 301 Moved Permanently")
	})
}

// TestRefuseChanges checks that no redirect changes a request silently: only a GET, and the 303 of a POST, are followed with another
// request than the first.
func TestRefuseChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		got := ""
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got += r.Method + " " + r.URL.Path + " " + string(body) + ";"
			switch {
			case r.URL.Path == "/303-301":
				http.Redirect(rw, r, "/301", http.StatusSeeOther)
			case len(r.URL.Path) == len("/301"):
				code, _ := strconv.Atoi(r.URL.Path[1:])
				http.Redirect(rw, r, "/v2/end?key=my-api-key", code)
			}
		}))
		client := w.client(t, "")
		client.RefuseChanges()
		for _, c := range []struct{ method, path, body, got, err string }{
			{"GET", "/301", "", "GET /301 ;GET /v2/end ;", ""},
			{"HEAD", "/302", "", "HEAD /302 ;HEAD /v2/end ;", ""},
			{"POST", "/307", "x", "POST /307 x;POST /v2/end x;", ""},
			{"POST", "/308", "x", "POST /308 x;POST /v2/end x;", ""},
			{"POST", "/303", "x", "POST /303 x;GET /v2/end ;", ""},
			{"POST", "/303-301", "x", "POST /303-301 x;GET /301 ;GET /v2/end ;", ""},
			{"POST", "/301", "x", "POST /301 x;", "POST http://a.example/301: redirected with 301, which makes a GET of the POST: not followed; set url to the new address, http://a.example/v2/end"},
			{"POST", "/302", "x", "POST /302 x;", "POST http://a.example/302: redirected with 302, which makes a GET of the POST: not followed"},
			{"POST", "/302", "", "POST /302 ;", "POST http://a.example/302: redirected with 302, which makes a GET of the POST: not followed"},
			{"PUT", "/303", "x", "PUT /303 x;", "PUT http://a.example/303: redirected with 303, which makes a GET of the PUT: not followed"},
			{"GET", "/302", "x", "GET /302 x;", "GET http://a.example/302: redirected with 302, which drops the body: not followed"},
		} {
			got = ""
			req, _ := http.NewRequestWithContext(t.Context(), c.method, "http://a.example"+c.path, strings.NewReader(c.body))
			resp, err := client.Do(req)
			switch {
			case c.err != "":
				wantError(t, err, c.err)
				if strings.Contains(err.Error(), "my-api-key") {
					t.Errorf("%s %s: %v", c.method, c.path, err)
				}
			case err != nil:
				t.Errorf("%s %s: %v", c.method, c.path, err)
			default:
				resp.Close()
			}
			if got != c.got {
				t.Errorf("%s %s: got requests %s, want %s", c.method, c.path, got, c.got)
			}
		}
	})
}
