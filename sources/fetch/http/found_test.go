package http

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/collectington/collectington/sources"
)

// threePages serves three pages of one item, selected by the query parameter p. As in many APIs, the last page lacks what leads to a next
// one, and only the last page has the member last.
func threePages(w http.ResponseWriter, r *http.Request) {
	n := 1
	if p := r.URL.Query().Get("p"); p != "" {
		n = int(p[0] - '0')
	}
	members := `"last": true, `
	if n < 3 {
		members = fmt.Sprintf(`"more": true, "next": %d, "links": {"url": "/x?p=%d"}, `, n+1, n+1)
		w.Header().Set("X-More", fmt.Sprint(n+1))
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{%s"page": %d, "total": null, "data": [{"id": "%d"}]}`, members, n, n)
}

// TestPagesThatLackAMember checks that paging does not end silently at a member that is missing because its path is wrong, and that an API
// may leave out a member on the last page.
func TestPagesThatLackAMember(t *testing.T) {
	const page, there = "page: {param: p}, until: ", "; at . there are more, next, links, page, total, data"
	for _, c := range []struct{ paginate, ids, err, warning string }{
		{page + "'.more | not'", "1 2 3", "", ""},
		{page + ".last", "1 2 3", "", ""},
		{page + ".page >= 3", "1 2 3", "", ""},
		{page + "(.pages // 3) <= .page", "1 2 3", "", ""},
		{"cursor: {from: .next, param: p}", "1 2 3", "", ""},
		{"cursor: {from: 'if .more then .page + 1 else null end', param: p}", "1 2 3", "", ""},
		{"cursor: {header: x-more, param: p}", "1 2 3", "", ""},
		{"next_url: .links.url", "1 2 3", "", ""},

		{page + ".page == .pages", "", "paginate.until: .pages is missing in the page, so the last page cannot be told" + there +
			"; if the API leaves it out when it is 0, write (.pages // 0)", ""},
		{page + ".Page == .pages", "", "paginate.until: .Page is missing in the page", ""},
		{page + ".page >= .pages", "", "paginate.until: .pages is missing in the page", ""},
		{page + ".page * 1 >= .meta.pages", "", "paginate.until: .meta.pages is missing in the page", ""},
		{page + "(.items | length) < 100", "", "paginate.until: .items is missing in the page", ""},
		{page + ".page >= .total", "", "paginate.until: .total is null in the page, so the last page cannot be told; for what holds then write (.total // VALUE)", ""},

		{page + "'.has_more | not'", "1", "", "paginate.until: .has_more is missing" + there + "; if the API leaves it out when there is one page, write (.has_more // null)"},
		{page + ".more != true or .x", "1 2 3", "", "paginate.until: .x is missing"},
		{page + ".next_page == null", "1", "", "paginate.until: .next_page is missing" + there},
		{"cursor: {from: .nextToken, param: p}", "1", "", "paginate.cursor.from: .nextToken is missing" + there},
		{"cursor: {from: 'if .has_more then .page + 1 else null end', param: p}", "1", "", "paginate.cursor.from: .has_more is missing" + there},
		{"cursor: {from: '.nextToken // null', param: p}", "1", "", ""},
		{"cursor: {header: X-Next, param: p}", "1", "", "paginate.cursor.header: X-Next is missing in the response"},
		{"next_url: .links.next", "1", "", "paginate.next_url: .links.next is missing; at .links there are url; if"},
		{"next_url: .data.next.url", "", "paginate.next_url: \"expected an object but got: array", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			p.Serve(t, "a.example:80", http.HandlerFunc(threePages))
			f := p.fetcher(t, "url: http://a.example/x\npaginate: {items: .data, "+c.paginate+"}")
			var log bytes.Buffer
			f.found.log = slog.New(slog.NewTextHandler(&log, nil))
			for range 2 { // a warning is logged once
				doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{})
				switch {
				case c.err != "":
					if err == nil || !strings.HasPrefix(err.Error(), "GET http://a.example/x: "+c.err) {
						t.Errorf("%s:\ngot  %v, %v\nwant %s", c.paginate, doc, err, c.err)
					}
				case err != nil || ids(doc, "data") != c.ids:
					t.Errorf("%s: got %v, %v", c.paginate, doc, err)
				}
			}
			want := 1
			if c.warning == "" {
				want = 0
			}
			if got := log.String(); strings.Count(got, "\n") != want || !strings.Contains(got, c.warning) {
				t.Errorf("%s: got the log %s\nwant %s", c.paginate, got, c.warning)
			}
		})
	}
}

// TestEmptyPageLacksNothing checks that there is no warning as long as an API has no items, and that a member that was found once is not
// missed later.
func TestEmptyPageLacksNothing(t *testing.T) {
	for _, c := range []struct {
		bodies   []string
		warnings int
	}{
		{[]string{`{"data": []}`, `{"data": []}`}, 0},
		{[]string{`{"data": []}`, `{"data": [{"id": "1"}]}`}, 1},
		{[]string{`{"data": [{"id": "1"}], "next": null}`, `{"data": [{"id": "1"}]}`}, 0},
		{[]string{`{"data": [{"id": "1"}], "next": ""}`, `{"data": [{"id": "1"}]}`}, 0},
		{[]string{`{"data": [{"id": "1"}], "next": false}`}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			body := ""
			p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
			f := p.fetcher(t, "url: http://a.example/x\npaginate: {items: .data, cursor: {from: .next, param: p}}")
			var log bytes.Buffer
			f.found.log = slog.New(slog.NewTextHandler(&log, nil))
			for _, body = range c.bodies {
				if _, err := f.Fetch(t.Context(), tickAt(), sources.Request{}); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Count(log.String(), "\n"); got != c.warnings {
				t.Errorf("%q: got %s", c.bodies, log.String())
			}
		})
	}
}

// TestLeftOutZeros checks that an API may leave out members that are 0 where they are added, and what is said where they are compared.
func TestLeftOutZeros(t *testing.T) {
	const first, second = `{"items": [{"id": "1"}, {"id": "2"}], "total": 3, "pages": 2}`, `{"items": [{"id": "3"}], "offset": 2, "page": 1, "total": 3, "pages": 2}`
	for paginate, want := range map[string]string{
		"offset: {param: at}, until: .offset + (.items | length) >= .total": "",
		"page: {param: at, start: 0}, until: .page + 1 >= .pages":           "",
		"page: {param: at, start: 0}, until: .page > .pages - 2": "GET http://a.example/x: paginate.until: .page is missing in the page, so the last page " +
			"cannot be told; at . there are items, total, pages; if the API leaves it out when it is 0, write (.page // 0)",
		"page: {param: at, start: 0}, until: (.page // 0) > .pages - 2": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body := second
				if r.URL.Query().Get("at") == "0" {
					body = first
				}
				_, _ = io.WriteString(w, body)
			}))
			f := p.fetcher(t, "url: http://a.example/x\npaginate: {items: .items, "+paginate+"}")
			var log bytes.Buffer
			f.found.log = slog.New(slog.NewTextHandler(&log, nil))
			doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{})
			switch {
			case want != "":
				if err == nil || err.Error() != want {
					t.Errorf("%s:\ngot  %v\nwant %s", paginate, err, want)
				}
			case err != nil || ids(doc, "items") != "1 2 3" || log.Len() > 0:
				t.Errorf("%s: got %v, %v, log %s", paginate, doc, err, log.String())
			}
		})
	}
}

// TestEmptyFirstPage checks that a first page without items may lack what until compares, or have null there, and that a page with items may
// not.
func TestEmptyFirstPage(t *testing.T) {
	const missing = "GET http://a.example/x: paginate.until: .pages is missing in the page, so the last page cannot be told; at . there are items, page; " +
		"if the API leaves it out when it is 0, write (.pages // 0)"
	for _, c := range []struct{ paginate, body, err string }{
		{"page: {param: p}, until: .page >= .pages", `{"items": []}`, ""},
		{"page: {param: p}, until: .page >= .pages", `{"items": [], "page": 1, "pages": null}`, ""},
		{"page: {param: p}, until: .page == .meta.pages", `{"items": [], "page": 1}`, ""},
		{"cursor: {from: 'if .page < .pages then .page + 1 else null end', param: p}", `{"items": []}`, ""},
		{"page: {param: p}, until: .page >= .pages", `{"items": [{"id": "1"}], "page": 1}`, missing},
		{"page: {param: p}, until: '.errors == [] or .meta.next == null'", `{"items": [{"id": "1"}], "errors": [], "meta": {"next": null}}`, ""},
		{"page: {param: p}, until: '.errors == {} or .meta.next == null'", `{"items": [{"id": "1"}], "meta": {"next": null}}`, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			requests := 0
			p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				requests++
				_, _ = io.WriteString(w, c.body)
			}))
			f := p.fetcher(t, "url: http://a.example/x\npaginate: {items: .items, "+c.paginate+"}")
			doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{})
			switch {
			case c.err != "":
				if err == nil || err.Error() != c.err {
					t.Errorf("%s of %s:\ngot  %v\nwant %s", c.paginate, c.body, err, c.err)
				}
			case err != nil || requests != 1:
				t.Errorf("%s of %s: got %v, %v after %d requests", c.paginate, c.body, doc, err, requests)
			}
		})
	}
}
