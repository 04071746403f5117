package http

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/http/fakeapi"
)

// fakePlace returns a place with the fake API.
func fakePlace(t *testing.T) (*place, *fakeapi.API) {
	p := newPlace(t)
	api := fakeapi.New("http://b.example")
	p.Serve(t, "a.example:80", api)
	return p, api
}

// ids returns the ids in the list at a path, without their common prefix.
func ids(doc *sources.Document, path ...string) string {
	v := doc.Root
	for _, name := range path {
		v = v.Get(name)
	}
	var all []string
	for item := range v.Items {
		all = append(all, strings.TrimPrefix(item.Get("id").Raw(), "900719925474099"))
	}
	return strings.Join(all, " ")
}

// TestPages checks that every way of paging gives the whole list, in order, with all digits.
func TestPages(t *testing.T) {
	const whole = "9 8 7 6 5 4 3"
	for _, c := range []struct {
		name, settings string
		path           []string
		asked          string
	}{
		{"page", "url: http://a.example/plain\npaginate: {page: {param: page}}", nil, "/plain?page=1 /plain?page=2 /plain?page=3 /plain?page=4"},
		{
			"page from 0 until", "url: http://a.example/page\npaginate: {page: {param: page, start: 1}, items: .data.items, until: .page == .pages}",
			[]string{"data", "items"},
			"/page?page=1 /page?page=2 /page?page=3",
		},
		{
			"offset by what came", "url: http://a.example/offset\nquery: {limit: 5}\npaginate: {offset: {param: offset}, items: .data}",
			[]string{"data"},
			"/offset?limit=5&offset=0 /offset?limit=5&offset=3 /offset?limit=5&offset=6 /offset?limit=5&offset=7",
		},
		{
			"cursor", "url: http://a.example/cursor\npaginate: {cursor: {from: .next, param: cursor}, items: .data}",
			[]string{"data"},
			"/cursor /cursor?cursor=3 /cursor?cursor=6",
		},
		{
			"computed cursor", "url: http://a.example/cursor\npaginate: {cursor: {from: 'if .next then (.next | tonumber) else false end', param: cursor}, items: .data}",
			[]string{"data"},
			"/cursor /cursor?cursor=3 /cursor?cursor=6",
		},
		{
			"cursor in a header", "url: http://a.example/cursor\nquery: {since: yesterday}\npaginate: {cursor: {header: x-next, param: cursor}, items: .data}",
			[]string{"data"},
			"/cursor?since=yesterday /cursor?cursor=3&since=yesterday /cursor?cursor=6&since=yesterday",
		},
		{"link", "url: http://a.example/link\npaginate: {link: true}", nil, "/link /link?from=3 /link?from=6"},
		{
			"next_url", "url: http://a.example/next\nquery: {since: yesterday, key: 'env:KEY'}\npaginate: {next_url: .links.next, items: .data}",
			[]string{"data"},
			"/next?key=hunter%2F22%26key&since=yesterday /next?from=3&page_token=t&key=hunter%2F22%26key /next?from=6&page_token=t&key=hunter%2F22%26key",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, api := fakePlace(t)
			f := p.fetcher(t, c.settings)
			for range 2 { // the second fetch starts at the first page
				doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{})
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				if got := ids(doc, c.path...); got != whole {
					t.Errorf("%s: got %s\n%s", c.name, got, doc.Root)
				}
			}
			if got := strings.Join(api.Asked(), " "); got != c.asked+" "+c.asked {
				t.Errorf("%s: asked for\n%s\nwant twice\n%s", c.name, got, c.asked)
			}
		})
	}
}

// TestPagesKeepTheShape checks that members beside the list are those of the first page.
func TestPagesKeepTheShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fakePlace(t)
		doc, err := p.fetch(t, "url: http://a.example/page\npaginate: {page: {param: page}, items: .data.items}")
		if err != nil {
			t.Fatal(err)
		}
		text := doc.Root.Raw()
		if !strings.HasPrefix(text, `{"page":1,"pages":3,"total":7,"data":{"items":[{"id":9007199254740999,`) || !strings.HasSuffix(text, `]},"ok":true}`) {
			t.Errorf("got %s", text)
		}
	})
}

// TestPageProblems checks that the fetch fails if a page cannot be fetched, and that the error says which page and why.
func TestPageProblems(t *testing.T) {
	const cursor = "\npaginate: {cursor: {from: .next, param: cursor}, items: .data}"
	for settings, want := range map[string]string{
		"/circle" + cursor: "page 3: GET http://a.example/circle: the cursor of the next page is that of an earlier page: " +
			"set paginate.until to recognise the last page",
		"/circle-url\npaginate: {next_url: .next, items: .data}": "page 2: GET http://a.example/circle-url: the URL of the next page is that of an earlier page: set paginate.until to recognise the last page",
		"/same\npaginate: {page: {param: seite}}": "page 2: GET http://a.example/same: " +
			"the page is the same as an earlier one: does the API use the parameter seite?",
		"/endless" + cursor: "GET http://a.example/endless: more than 100 pages: " +
			"request less data, or raise paginate.max_pages",
		"/endless\npaginate: {cursor: {from: .next, param: cursor}, items: .data, max_pages: 2}": "GET http://a.example/endless: " +
			"more than 2 pages: request less data, or raise paginate.max_pages",
		"/huge\nmax_body: 4KiB" + cursor: "page 4: GET http://a.example/huge: the pages together exceed max_body (4KiB)",
		"/long-cursor" + cursor:          "GET http://a.example/long-cursor: the cursor of the next page has 1048576 bytes, more than 8192",
		"/long-cursor\npaginate: {next_url: .next, items: .data}": "GET http://a.example/long-cursor: " +
			"the URL of the next page has 1048576 bytes, more than 8192",
		"/elsewhere\npaginate: {link: true, items: .data}": "GET http://a.example/elsewhere: " +
			"the next page has another origin, \"http://b.example\": not fetched, since credentials would be sent there",
		"/elsewhere\npaginate: {next_url: .next, items: .data}": "GET http://a.example/elsewhere: " +
			"the next page has another origin, \"http://b.example\": not fetched, since credentials would be sent there",
		"/fails-once\npaginate: {page: {param: page}}":                 "page 2: GET http://a.example/fails-once: 502 Bad Gateway: page 2 is not to be had",
		"/error-inside\npaginate: {page: {param: page}, items: .data}": "page 2: GET http://a.example/error-inside: want a list at .data, got null: set paginate.items to the path of the list",
		"/page\npaginate: {page: {param: page}}":                       "GET http://a.example/page: want a list at ., got an object: set paginate.items to the path of the list",
		"/plain\npaginate: {page: {param: page}, items: .data}":        "GET http://a.example/plain: want a list at .data, got a list: set paginate.items to the path of the list",
		"/cursor\npaginate: {cursor: {from: .data, param: cursor}, items: .data}": "GET http://a.example/cursor: " +
			"paginate.cursor.from: \"want a string or a number, got [{\\\"id\\\":9007199254740999",
		"/cursor\npaginate: {cursor: {from: .data.x, param: cursor}, items: .data}": "GET http://a.example/cursor: paginate.cursor.from: \"expected an object but got: array",
		"/plain\npaginate: {page: {param: page}, until: error(\"no\")}":             "GET http://a.example/plain: paginate.until: \"error: no\"",
	} {
		synctest.Test(t, func(t *testing.T) {
			p, _ := fakePlace(t)
			p.Serve(t, "b.example:80", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another host got a request") }))
			doc, err := p.fetch(t, "url: http://a.example"+settings)
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s:\ngot  %v, %v\nwant %s", settings, doc, err, want)
			}
		})
	}
}

// TestPagesAfterAFailure checks that the fetch after a failed one has the whole list.
func TestPagesAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fakePlace(t)
		f := p.fetcher(t, "url: http://a.example/fails-once\npaginate: {page: {param: page}}")
		if _, err := f.Fetch(t.Context(), tickAt(), sources.Request{}); err == nil {
			t.Fatal("page 2 did not fail")
		}
		doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{})
		if err != nil || ids(doc) != "9 8 7 6 5 4 3" {
			t.Errorf("got %v, %v", doc, err)
		}
	})
}

// TestPagesAsked checks that a request for another URL fetches only one page, and that a request for the settings' URL fetches all
// pages.
func TestPagesAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, api := fakePlace(t)
		f := p.fetcher(t, "url: http://a.example/plain\nquery: {team: a}\npaginate: {page: {param: page}}")
		if doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{Query: []sources.Parameter{{Name: "team", Value: "b"}}}); err != nil || ids(doc) != "9 8 7 6 5 4 3" {
			t.Errorf("got %v, %v", doc, err)
		}
		if doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{URL: "/plain?page=2"}); err != nil || ids(doc) != "6 5 4" {
			t.Errorf("got %v, %v", doc, err)
		}
		want := []string{"/plain?page=1&team=b", "/plain?page=2&team=b", "/plain?page=3&team=b", "/plain?page=4&team=b", "/plain?page=2"}
		if got := api.Asked(); !reflect.DeepEqual(got, want) {
			t.Errorf("got requests %s", got)
		}
	})
}

// TestPagesAskedByLink checks that the query is not added to the URL of a next page, which has it already.
func TestPagesAskedByLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, api := fakePlace(t)
		f := p.fetcher(t, "url: http://a.example/link\npaginate: {link: true}")
		if doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{Query: []sources.Parameter{{Name: "team", Value: "b"}}}); err != nil || ids(doc) != "9 8 7 6 5 4 3" {
			t.Errorf("got %v, %v", doc, err)
		}
		if got := strings.Join(api.Asked(), " "); got != "/link?team=b /link?from=3 /link?from=6" {
			t.Errorf("got requests %s", got)
		}
	})
}

func TestNextLink(t *testing.T) {
	for header, want := range map[string]string{
		``:                                       ``,
		`<a>; rel=next`:                          `a`,
		`<a>;rel="next"`:                         `a`,
		`< a >; REL = "Last NEXT"`:               `a`,
		`<a>; rel=prev, <b>; rel=next`:           `b`,
		`<a?x=1,2;3>; rel=next`:                  `a?x=1,2;3`,
		`<a>; title="x, <y>; rel=next"; rel=up`:  ``,
		`<a>; title="\", <y>"; rel=next`:         `a`,
		`<a>; rel=next; anchor="/other"`:         ``,
		`<a>; rel=prev; rel=next`:                ``,
		`<a>; rel`:                               ``,
		`<a`:                                     ``,
		`rel=next`:                               ``,
		`<a>, <b>;;;rel=next;`:                   `b`,
		`<a>; rel="next`:                         `a`,
		`<a>; rel=nextpage, <b>; rel="x-next"`:   ``,
		`<a>; title*=UTF-8''%e2%82%ac; rel=next`: `a`,
	} {
		if got := nextLink(http.Header{"Link": {header}}); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
	if got := nextLink(http.Header{"Link": {"<a>; rel=first", "<b>; rel=next"}}); got != "b" {
		t.Errorf("the second header: got %q", got)
	}
}

func FuzzNextLink(f *testing.F) {
	f.Add(`<a>; rel="next", <b>; title="x\"`)
	f.Fuzz(func(t *testing.T, header string) {
		got := nextLink(http.Header{"Link": {header}})
		if !strings.Contains(header, got) {
			t.Errorf("%q: %q is not in it", header, got)
		}
	})
}
