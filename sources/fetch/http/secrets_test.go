package http

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/sources"
)

const longKey = "sk-live-0123456789abcdefghijklmnopqrstuvwxyz"

// TestCutSecret holds that a secret that a server echoes is removed even if the excerpt of a jq error cuts it.
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

// TestOwnCondition holds that a 304 to a job's own If-None-Match does not give the cached response of another version.
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

// TestItemsAreNoSecrets holds that items are not taken for secrets because of a parameter's name: a long list would displace
// the real secrets.
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
