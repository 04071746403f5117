package http

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/sources"
)

const users = `
url: http://a.example/users/{{ .Item.id }}/jobs?x=a%20b
query: {since: "{{ .Now }}", name: "{{ .Item.name }}", all: "yes", key: "env:KEY"}
headers: {X-Api-Key: "env:KEY"}
for_each: {url: /users, items: ".users[]"}
`

// TestForEach checks that each item is requested with its fields, and that the bodies come in the order of the items.
func TestForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, api := fakePlace(t)
		p.web.Observe = nil
		f := p.fetcher(t, users)
		for range 2 {
			doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{})
			if err != nil {
				t.Fatal(err)
			}
			want := `[{"item":{"id":9007199254740993,"name":"ann"},"body":{"of":"9007199254740993","open":16}},` +
				`{"item":{"id":2,"name":"bob/../x"},"body":{"of":"2","open":1}},{"item":{"id":3,"name":"cy"},"body":{"of":"3","open":1}}]`
			if got := doc.Root.Raw(); got != want || doc.From != "GET http://a.example/users" {
				t.Errorf("got  %s from %s\nwant %s", got, doc.From, want)
			}
		}
		asked := api.Asked()[:4]
		slices.Sort(asked[1:])
		const rest = "&since=2026-07-01T10%3A00%3A01Z"
		if want := []string{
			"/users?key=hunter%2F22%26key", "/users/2/jobs?x=a%20b&all=yes&key=hunter%2F22%26key&name=bob%2F..%2Fx" + rest,
			"/users/3/jobs?x=a%20b&all=yes&key=hunter%2F22%26key&name=cy" + rest,
			"/users/9007199254740993/jobs?x=a%20b&all=yes&key=hunter%2F22%26key&name=ann" + rest,
		}; !slices.Equal(asked, want) {
			t.Errorf("requested\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestForEachHostileItems checks that a field stays within its path segment, parameter or string, and is never a template.
func TestForEachHostileItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		var got []string
		p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/list" {
				io.WriteString(w, `["a/b?c=d&e#f", "\"}, {{ .Now }} %2e", "x\ny"]`)
				return
			}
			body, _ := io.ReadAll(r.Body)
			got = append(got, r.RequestURI+" "+string(body))
			io.WriteString(w, "1")
		}))
		if _, err := p.fetch(t, `
url: "http://a.example/x y/ü/{{ .Item }}"
method: POST
body: '{"id": "{{ .Item }}", "at": "{{ .Now }}"}'
query: {id: "{{.Item}}"}
for_each: {url: /list, items: ".[]", concurrency: 1}
`); err != nil {
			t.Fatal(err)
		}
		const at = `", "at": "2026-07-01T10:00:01Z"}`
		want := []string{
			`/x%20y/%C3%BC/a%2Fb%3Fc=d&e%23f?id=a%2Fb%3Fc%3Dd%26e%23f {"id": "a/b?c=d\u0026e#f` + at,
			`/x%20y/%C3%BC/%22%7D%2C%20%7B%7B%20.Now%20%7D%7D%20%252e?id=%22%7D%2C+%7B%7B+.Now+%7D%7D+%252e {"id": "\"}, {{ .Now }} %2e` + at,
			`/x%20y/%C3%BC/x%0Ay?id=x%0Ay {"id": "x\ny` + at,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestForEachErrors checks that a failed item fails the tick, or is left out with on_error: skip.
func TestForEachErrors(t *testing.T) {
	const jobs = "url: http://a.example/users/{{ .Item.id }}/jobs\nfor_each: {url: /users, items: '.users[]'"
	for settings, want := range map[string]string{
		jobs + "}":                 "GET http://a.example/users/3/jobs: 404 Not Found: no such user",
		jobs + ", on_error: skip}": `"body":{"of":"2","open":1}}] lacks 1: GET http://a.example/users/3/jobs: 404 Not Found: no such user`,
		jobs + ", max: 2}":         `GET http://a.example/users: for_each.items: "more than 2 items: raise for_each.max, or select fewer in for_each.items"`,
		"url: http://a.example/users/{{ .Item }}/jobs?all=1\nmax_body: 128\nfor_each: {url: /users, items: 'range(2;12)'}": "the bodies of all items together exceed max_body (128)",
		"url: http://a.example/nosuch/{{ .Item.name }}\nfor_each: {url: /users, items: '.users[]', on_error: skip}":        "all items of for_each failed: GET http://a.example/nosuch/",
		"url: http://a.example/x/{{ .Item.uid }}\nfor_each: {url: /users, items: '.users[]'}":                              `}": url: .Item.uid is empty or missing`,
		"url: http://a.example/x/{{ .Item }}\nfor_each: {url: /users, items: '.users[]'}":                                  `url: .Item: want a string or a number, got {`,
		"url: http://a.example/x/{{ .Item }}\nfor_each: {url: /users, items: '\"..\"'}":                                    `for_each, "\"..\"": url: the item's field is . or ..`,
		"url: http://a.example/x/{{ .Item }}\nfor_each: {url: /long-cursor, items: .next}":                                 `url: .Item has 1048576 bytes, more than 8192`,
		"url: http://a.example/x/{{ .Item }}\nfor_each: {url: /nosuch, items: .next}":                                      "for_each: GET http://a.example/nosuch: 404 Not Found",
		"url: http://a.example/x/{{ .Item }}\nfor_each: {url: /users, items: .users.x}":                                    `GET http://a.example/users: for_each.items: "expected an object but got: array`,
	} {
		synctest.Test(t, func(t *testing.T) {
			p, _ := fakePlace(t)
			p.web.Observe = nil
			doc, err := p.fetch(t, settings)
			got := fmt.Sprint(err)
			if err == nil {
				got = fmt.Sprintf("%s lacks %d: %v", doc.Root.Raw(), doc.Skipped.Items, doc.Skipped.First)
			}
			if !strings.Contains(got, want) {
				t.Errorf("%s:\ngot  %s\nwant %s", settings, got, want)
			}
		})
	}
}

// TestForEachWrittenList checks that a list in the settings needs no request.
func TestForEachWrittenList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, api := fakePlace(t)
		p.web.Observe = nil
		doc, err := p.fetch(t, "url: http://a.example/users/{{ .Item.id }}/jobs\nfor_each: {items: '{id: 2, name: \"b\"}, {id: \"9007199254740993\"}'}")
		if err != nil {
			t.Fatal(err)
		}
		const want = `[{"item":{"id":2,"name":"b"},"body":{"of":"2","open":1}},{"item":{"id":"9007199254740993"},"body":{"of":"9007199254740993","open":16}}]`
		if got := doc.Root.Raw(); got != want || doc.From != "GET http://a.example/users/%7B%7B%20.Item.id%20%7D%7D/jobs" {
			t.Errorf("got %s from %s\nwant %s", got, doc.From, want)
		}
		if asked := api.Asked(); len(asked) != 2 {
			t.Errorf("asked for %s", asked)
		}
	})
}

// TestForEachPages checks that the list and the items can have pages, and that the list can be empty.
func TestForEachPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, api := fakePlace(t)
		p.web.Observe = nil
		doc, err := p.fetch(t, `
url: http://a.example/plain
query: {team: "{{ .Item.team }}"}
paginate: {page: {param: page}}
for_each: {url: "cursor?all=1", items: ".data[]", paginate: {cursor: {from: .next, param: cursor}, items: .data}}
`)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for each := range doc.Root.Items {
			for range each.Get("body").Items {
				n++
			}
		}
		if asked := api.Asked(); n != 7*7 || len(asked) != 3+7*4 || asked[1] != "/cursor?all=1&cursor=3" {
			t.Errorf("%d rows, asked for %s", n, asked)
		}
		if doc, err := p.fetch(t, "url: http://a.example/x\nquery: {id: '{{ .Item }}'}\nfor_each: {url: /users, items: empty}"); err != nil || doc.Root.Raw() != "[]" {
			t.Errorf("no items: %v, %v", doc, err)
		}
	})
}

// TestForEachConcurrency checks that as many requests as allowed run at once, and that a rate limit is not an error of one item.
func TestForEachConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		p.web.Observe, p.web.Shared = nil, &httpclient.SharedState{}
		p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/list" {
				io.WriteString(w, "[1,2,3,4,5,6,7,8,9,10]")
				return
			}
			time.Sleep(time.Second)
			io.WriteString(w, r.URL.RawQuery[3:])
		}))
		const settings = "url: http://a.example/x\nquery: {id: '{{ .Item }}'}\nfor_each: {url: /list, items: '.[]', concurrency: 5, on_error: skip}\n"
		begin := time.Now()
		doc, err := p.fetch(t, settings)
		if err != nil || time.Since(begin) != 2*time.Second || !strings.HasSuffix(doc.Root.Raw(), `{"item":9,"body":9},{"item":10,"body":10}]`) {
			t.Errorf("after %s: %v, %v", time.Since(begin), doc, err)
		}
		f := p.fetcher(t, settings+"rate_limit: {requests: 5, per: 1h}")
		if _, err := p.tick(t, f); err == nil || !strings.Contains(err.Error(), "(rate_limit)") {
			t.Errorf("got %v", err)
		}
	})
}

// TestForEachAsked checks that a script's request for another URL is sent once, and not for each item.
func TestForEachAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fakePlace(t)
		p.web.Observe = nil
		f := p.fetcher(t, users)
		doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{URL: "/users/2/jobs"})
		if err != nil || doc.Root.Raw() != `{"of": "2", "open": 1}` {
			t.Errorf("got %v, %v", doc, err)
		}
	})
}
