package http

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/sources"
)

// tick runs a tick now, with a time-out.
func (p *place) tick(t *testing.T, f *fetcher) (*sources.Document, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return f.Fetch(ctx, sources.Tick{Time: time.Now(), Start: time.Now(), End: time.Now()}, sources.Request{})
}

// TestRetryAfterOverTicks checks that a job sends no requests for as long as Retry-After says, over several ticks.
func TestRetryAfterOverTicks(t *testing.T) {
	for path, refusal := range map[string]string{
		"retry-seconds": "429 Too Many Requests: slow down (the server asks to retry after 1m30s)",
		"retry-date":    "503 Service Unavailable: slow down (the server asks to retry after 1m30s)",
		"limit-epoch":   "403 Forbidden: slow down",
		"limit-seconds": "429 Too Many Requests: slow down",
	} {
		synctest.Test(t, func(t *testing.T) {
			p, api := fakePlace(t)
			p.web.Shared = &httpclient.SharedState{}
			f := p.fetcher(t, "url: http://a.example/"+path)
			from := "GET http://a.example/" + path + ": "
			begin := time.Now()
			for _, want := range []string{refusal, "not sent: no requests are allowed before ", "not sent: no requests are allowed before ", ""} {
				_, err := p.tick(t, f)
				if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), from+want)) {
					t.Errorf("after %s: got %v, want %s", time.Since(begin), err, want)
				}
				time.Sleep(30 * time.Second)
			}
			if n := len(api.Asked()); n != 2 {
				t.Errorf("%s: %d requests", path, n)
			}
		})
	}
}

// TestUnchangedDocument checks that a response 304, which has no body, gives the same document as before, also after a failure.
func TestUnchangedDocument(t *testing.T) {
	for _, path := range []string{"kept", "dated"} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Date(2026, 3, 2, 13, 0, 0, 0, time.UTC)))
			p, _ := fakePlace(t)
			p.web.Shared = &httpclient.SharedState{}
			f := p.fetcher(t, "url: http://a.example/"+path)
			for n := range 3 {
				doc, err := p.tick(t, f)
				if err != nil || ids(doc, "items") != "9 8 7 6 5 4 3" || doc.Root.Get("total").Raw() != "3" {
					t.Fatalf("tick %d: %v, %v", n, doc, err)
				}
				if x := p.seen[len(p.seen)-1]; (x.Code == 304) != (n > 0) || x.Revalidated != (n > 0) {
					t.Errorf("tick %d: observed %+v", n, x)
				}
			}
		})
	}
}

// TestQuotaIsUsedUp checks that the last request of a quota succeeds, and that the next one waits until the quota is reset.
func TestQuotaIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, api := fakePlace(t)
		p.web.Shared = &httpclient.SharedState{}
		f := p.fetcher(t, "url: http://a.example/quota-pages\npaginate: {page: {param: page}}")
		_, err := p.tick(t, f)
		if err == nil || !strings.HasSuffix(err.Error(), "(the server's quota is used up)") || !strings.HasPrefix(err.Error(), "page 4: ") {
			t.Errorf("got %v", err)
		}
		if n := len(api.Asked()); n != 3 || p.seen[0].Quota.Left != 2 {
			t.Errorf("%d requests, quota %+v", n, p.seen[0].Quota)
		}
	})
}

// TestAnswers checks which ticks have the answer of an earlier tick: those for which the cache is used. A 304 is a new answer, since
// it says only that the bytes are the same: an API that counts since the last request can count the same twice.
func TestAnswers(t *testing.T) {
	for settings, want := range map[string]string{
		"url: http://a.example/kept":                                                                 "abcde",
		"url: http://a.example/dated":                                                                "abcde",
		"url: http://a.example/kept\ndocument: response":                                             "abcde",
		"url: http://a.example/kept\ncache_for: 50s\ndocument: response":                             "aabbc",
		"url: http://a.example/kept\ncache_for: 50s":                                                 "aabbc",
		"url: http://a.example/slow\ncache_for: 50s":                                                 "aabbc",
		"url: http://a.example/slow":                                                                 "-----",
		"url: http://a.example/plain\npaginate: {page: {param: page}}\ncache_for: 50s":               "aabbc",
		"url: http://a.example/plain\npaginate: {page: {param: page}}":                               "-----",
		"url: http://a.example/{{ .Item }}\nfor_each: {items: '\"kept\", \"dated\"'}":                "abcde",
		"url: http://a.example/{{ .Item }}\nfor_each: {items: '\"kept\", \"slow\"'}":                 "-----",
		"url: http://a.example/{{ .Item }}\nfor_each: {items: '\"kept\", \"slow\"'}\ncache_for: 50s": "aabbc",
		"url: http://a.example/{{ .Item }}\nfor_each: {items: '\"kept\", \"none\"', on_error: skip}": "-----",
		"url: http://a.example/kept\nheaders: {Cookie: '{{ unix .Window.Start }}'}":                  "abcde",
		"url: http://a.example/kept\nmethod: POST":                                                   "-----",
	} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Date(2026, 3, 2, 13, 0, 0, 0, time.UTC)))
			p, _ := fakePlace(t)
			p.web.Shared = &httpclient.SharedState{}
			f := p.fetcher(t, settings)
			names, got := map[uint64]string{0: "-"}, ""
			for range 5 {
				doc, err := p.tick(t, f)
				if err != nil {
					t.Fatalf("%s: %v", settings, err)
				}
				if names[doc.Answer] == "" {
					names[doc.Answer] = string(rune('a' + len(names) - 1))
				}
				got += names[doc.Answer]
				time.Sleep(30 * time.Second)
			}
			if got != want {
				t.Errorf("%s: answers %s, want %s", settings, got, want)
			}
		})
	}
}
