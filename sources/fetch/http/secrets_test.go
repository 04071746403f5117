package http

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/sources"
)

const longKey = "sk-live-0123456789abcdefghijklmnopqrstuvwxyz"

// TestCutSecret checks that a secret that a server echoes is removed even if the excerpt of a jq error cuts it.
func TestCutSecret(t *testing.T) {
	for name, text := range map[string]string{
		"fail_if error":  "fail_if: .body.echo | tonumber\n",
		"fail_if value":  "fail_if: \"[.body.echo]\"\n",
		"cursor":         "paginate: {cursor: {from: .nested, param: c}, items: .items}\n",
		"cursor error":   "paginate: {cursor: {from: .echo | tonumber, param: c}, items: .items}\n",
		"next_url":       "paginate: {next_url: .nested, items: .items}\n",
		"until":          "paginate: {page: {param: p}, until: .echo | keys, items: .items}\n",
		"for_each items": "for_each: {url: /list, items: '.echo[]'}\nquery: {id: '{{ .Item.id }}'}\n",
		"for_each field": "for_each: {url: /list, items: '.items[]'}\nquery: {id: '{{ .Item.id }}'}\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.web.Secrets.LookupEnv = func(string) (string, bool) { return longKey, true }
			p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				k := r.Header.Get("X-Api-Key")
				fmt.Fprintf(w, `{"items":[{"id":{"k":%q}}],"nested":{"k":%q},"echo":%q}`, k, k, k)
			}))
			_, err := p.fetch(t, address+"headers: {X-Api-Key: \"env:KEY\"}\n"+text)
			if err == nil || strings.Contains(err.Error(), longKey[:12]) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// TestOwnCondition checks jobs that send their own If-None-Match. If the response to such a request is 304, and only another version is in
// the cache, the fetch fails and does not return the cached version.
func TestOwnCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		p.web.Shared = &httpclient.SharedState{}
		version := "2"
		p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"`+version+`"`)
			if r.Header.Get("If-None-Match") == `"`+version+`"` {
				w.WriteHeader(304)
				return
			}
			io.WriteString(w, `{"v":`+version+`}`)
		}))
		f := p.fetcher(t, address+`headers: {If-None-Match: '"1"'}`)
		f.Fetch(t.Context(), tickAt(), sources.Request{})
		version = "1"
		doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{})
		if err == nil {
			t.Errorf("version %s is there, got version %s", version, doc.Root.Get("v").Raw())
		}
	})
}

// TestItemsAreNoSecrets checks that items are not taken for secrets because of a parameter's name. Otherwise a long list would
// displace the real secrets.
func TestItemsAreNoSecrets(t *testing.T) {
	p := newPlace(t)
	p.web.Observe = func(httpclient.Exchange) {}
	p.web.Transport = answers(func(r *http.Request) string {
		if r.URL.Path == "/list" {
			return `[{"id":"PROJECT-00001"}]`
		}
		return "{}"
	})
	f := p.fetcher(t, address+"for_each: {url: /list, items: '.[]'}\nquery: {key: '{{ .Item.id }}'}\n")
	if _, err := f.Fetch(t.Context(), sources.Tick{}, sources.Request{}); err != nil {
		t.Error(err)
	}
	if got := p.web.Secrets.Scrub("PROJECT-00001"); got != "PROJECT-00001" {
		t.Errorf("an item's id is shown as %s", got)
	}
}

type answers func(*http.Request) string

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a(r))), Request: r, ContentLength: -1}, nil
}

var _ = url.Parse

// TestSecretsWithin checks what is sent for secrets within a text. Each secret is escaped as its place in the text needs it. No secret is
// shown anywhere.
func TestSecretsWithin(t *testing.T) {
	const key = `k"<&/ +%é`
	for text, want := range map[string]string{
		"url: 'http://a.example/v/{{ secret \"env:KEY\" }}/x'\n":                                                                       `GET /v/k%22%3C&%2F%20+%25%C3%A9/x  `,
		"url: 'http://a.example/v/{{ secret \"file:keys#KEY\" }}/x'\n":                                                                 `GET /v/k%22%3C&%2F%20+%25%C3%A9/x  `,
		address + "query: {q: '({{ secret \"env:KEY\" }})', w: \"env:KEY\"}\n":                                                         `GET /v1/x?q=%28k%22%3C%26%2F+%2B%25%C3%A9%29&w=k%22%3C%26%2F+%2B%25%C3%A9  `,
		address + "headers: {X-Key: 'key={{ secret \"env:ASCII\" }}'}\n":                                                               `GET /v1/x key=abc123def `,
		address + "method: POST\nbody: '{\"k\": \"{{ secret \"env:KEY\" }}\"}'\n":                                                      `POST /v1/x  {"k": "k\"\u003c\u0026/ +%é"}`,
		address + "method: POST\nbody: '<k>{{ secret \"env:KEY\" }}</k>'\n":                                                            `POST /v1/x  <k>k&#34;&lt;&amp;/ +%é</k>`,
		address + "method: POST\nbody: 'k {{ secret \"env:KEY\" }} {{ \"$A\" }}'\n":                                                    `POST /v1/x  k k"<&/ +%é $A`,
		address + "method: POST\nbody: \"env:KEY\"\n":                                                                                  `POST /v1/x  k"<&/ +%é`,
		address + "method: POST\nheaders: {content-type: application/x-www-form-urlencoded}\nbody: 'a=1&k={{ secret \"env:KEY\" }}'\n": `POST /v1/x  a=1&k=k%22%3C%26%2F+%2B%25%C3%A9`,
		"url: 'http://a.example/{{ .Item }}/{{ secret \"env:ASCII\" }}'\nquery: {i: '{{ .Item }}-{{ secret \"env:ASCII\" }}', s: '{{ secret \"env:ASCII\" }}'}\nfor_each: {items: '\"b\"'}\n": `GET /b/abc123def?i=b-abc123def&s=abc123def  `,
	} {
		t.Run(text, func(t *testing.T) {
			p := newPlace(t)
			if err := os.WriteFile(filepath.Join(p.web.Secrets.Dir, "keys"), []byte("KEY="+key+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p.web.Secrets.LookupEnv = func(name string) (string, bool) {
				return map[string]string{"KEY": key, "ASCII": "abc123def"}[name], true
			}
			got := ""
			p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = fmt.Sprintf("%s %s %s %s", r.Method, r.RequestURI, r.Header.Get("X-Key"), body)
				http.Error(w, got, http.StatusBadRequest)
			}))
			_, err := p.fetch(t, text)
			if got != want {
				t.Errorf("sent %s\nwant %s", got, want)
			}
			if err == nil || !strings.Contains(err.Error(), "<secret>") || strings.Contains(err.Error(), `k"<`) || strings.Contains(err.Error(), "abc123") {
				t.Errorf("shown: %v", err)
			}
		})
	}
}
