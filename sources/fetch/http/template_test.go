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

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/http/fakeapi"
)

// TestTemplates checks that templates are filled in, and that the rest of the URL stays as it is written.
func TestTemplates(t *testing.T) {
	for settings, want := range map[string]string{
		"url: 'http://a.example/x/{{ date \"2006/01/02\" .Window.Start }}/a%2Fb.json?x=a%20b'": "GET /x/2026/07/01/a%2Fb.json?x=a%20b",
		"url: http://a.example/{{ .Window.End }}/{{ unix .Now }}":                              "GET /2026-07-01T10:00:00Z/1782900001",
		"url: http://a.example/x\nheaders: {X-Span: '{{ .Window.Start }}, now'}":               "GET /x 2026-07-01T09:59:00Z, now",
		"url: http://a.example/x\nheaders: {X-Span: 'env:KEY'}":                                "GET /x hunter/22&key",
		"url: http://a.example/x\nmethod: POST\nbody: '{{ .Window.Start }}'":                   "POST /x 2026-07-01T09:59:00Z",
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			got := ""
			p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = strings.Join(strings.Fields(strings.Join([]string{r.Method, r.RequestURI, r.Header.Get("X-Span"), string(body)}, " ")), " ")
				_, _ = io.WriteString(w, "1")
			}))
			if _, err := p.fetch(t, settings); err != nil || got != want {
				t.Errorf("%s: requested %s, %v\nwant %s", settings, got, err, want)
			}
		})
	}
}

// TestTemplatesOfDays checks that a date in a path is in the job's time zone, and that relative URLs are resolved against the
// filled-in path.
func TestTemplatesOfDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, api := fakePlace(t)
		f := p.fetcher(t, "url: 'http://a.example/days/{{ date \"2006-01-02\" .Window.Start }}'")
		tick := tickAt()
		tick.Zone = time.FixedZone("NZST", 12*60*60)
		tick.Start = time.Date(2026, 7, 1, 0, 0, 0, 0, tick.Zone)
		doc, err := f.Fetch(t.Context(), tick, sources.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if doc.From != "GET http://a.example/days/2026-07-01" || doc.Root.Get("events").Raw() != "1" || !slices.Equal(api.Asked(), []string{"/days/2026-07-01"}) {
			t.Errorf("got %s from %s, requested %s", doc.Root, doc.From, api.Asked())
		}
	})
}

// TestForEachHeaders checks that item fields are filled into headers and bodies, and that invalid header values are refused.
func TestForEachHeaders(t *testing.T) {
	const own = "url: http://a.example/own\nmethod: POST\nheaders: {X-User: '{{ .Item.id }}', X-Span: '{{ .Now }}'}\nbody: '{\"name\": \"{{ .Item.name }}\"}'\n"
	for settings, want := range map[string]string{
		own + "for_each: {url: /users, items: '.users[]'}":                                                                  `"body":{"as":"9007199254740993","of":"ann"}`,
		own + "for_each: {url: /users, items: '{id: \"a\\nb\", name: 1}'}":                                                  "headers: the value of X-User has a line break or control character, which a header cannot have: remove it",
		own + "for_each: {url: /users, items: '{name: 1}'}":                                                                 "headers.X-User: .Item.id is empty or missing",
		"url: http://a.example/own\nheaders: {X-User: 'u {{ .Item.id }}'}\nfor_each: {url: /users, items: '.users[1:2][]'}": `"body":{"as":"u 2","of":""}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			p, _ := fakePlace(t)
			p.web.Observe = nil
			doc, err := p.fetch(t, settings)
			got := fmt.Sprint(err)
			if err == nil {
				got = doc.Root.Raw()
			}
			if !strings.Contains(got, want) {
				t.Errorf("%s:\ngot  %s\nwant %s", settings, got, want)
			}
		})
	}
}

// TestPagesInBody checks that a page can be selected in the body. With a cursor, the body for the first page is unchanged.
func TestPagesInBody(t *testing.T) {
	const (
		post    = "method: POST\n"
		graphql = post + "url: http://a.example/graphql\nbody: '{\"query\": \"{ incidents }\", \"variables\": {\"team\": \"ops\"}}'\n"
		search  = post + "url: http://a.example/search\nbody: '{\"page\": {\"size\": 3}, \"big\": 12345678901234567890}'\n"
	)
	for settings, want := range map[string][]string{
		graphql + "paginate: {cursor: {from: .data.incidents.pageInfo | select(.hasNextPage).endCursor, body: .variables.after}, items: .data.incidents.nodes}": {
			`{"query": "{ incidents }", "variables": {"team": "ops"}}`,
			`{"query":"{ incidents }","variables":{"team":"ops","after":"c3"}}`,
			`{"query":"{ incidents }","variables":{"team":"ops","after":"c6"}}`,
		},
		search + "paginate: {page: {body: .page.number}, items: .hits}": {
			`{"big":12345678901234567890,"page":{"size":3,"number":1}}`, `{"big":12345678901234567890,"page":{"size":3,"number":2}}`,
			`{"big":12345678901234567890,"page":{"size":3,"number":3}}`, `{"big":12345678901234567890,"page":{"size":3,"number":4}}`,
		},
		search + "paginate: {cursor: {from: .next, body: .page.from}, items: .hits, until: .next == 7}": {
			`{"page": {"size": 3}, "big": 12345678901234567890}`,
			`{"big":12345678901234567890,"page":{"size":3,"from":3}}`, `{"big":12345678901234567890,"page":{"size":3,"from":6}}`,
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, api := newPlace(t), fakeapi.New("http://b.example")
			var bodies []string
			p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				bodies = append(bodies, string(body))
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				api.ServeHTTP(w, r)
			}))
			doc, err := p.fetch(t, settings)
			if err != nil {
				t.Fatalf("%s: %v", settings, err)
			}
			got := ids(doc, "hits") + ids(doc, "data", "incidents", "nodes")
			if got != "9 8 7 6 5 4 3" || !slices.Equal(bodies, want) {
				t.Errorf("%s: got %s by\n%s\nwant\n%s", settings, got, strings.Join(bodies, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestPagesInBodyFail checks that an error of a page names the page.
func TestPagesInBodyFail(t *testing.T) {
	const graphql = "method: POST\nurl: http://a.example/graphql\n"
	for settings, want := range map[string]string{
		graphql + "fail_if: .body.errors[0].message\nbody: '{\"query\": \"x\", \"variables\": {\"team\": \"slow\"}}'\n" +
			"paginate: {cursor: {from: .data.incidents.pageInfo.endCursor, body: .variables.after}, items: .data.incidents.nodes}": `page 2: POST http://a.example/graphql: fail_if: "team slow: timed out"`,
		graphql + "body: '{\"query\": \"x\", \"variables\": {\"after\": \"\"}}'": `POST http://a.example/graphql: GraphQL returned no data: "no such cursor: "`,
		"method: POST\nurl: http://a.example/own\nbody: '{\"name\": \"{{ .Item.name }}\", \"v\": \"x\"}'\n" +
			"for_each: {url: /users, items: '.users[]'}\npaginate: {page: {body: .v.page}}": `.page cannot be set: want an object, got`,
	} {
		synctest.Test(t, func(t *testing.T) {
			p, _ := fakePlace(t)
			p.web.Observe = nil
			if _, err := p.fetch(t, settings); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s:\ngot  %v\nwant %s", settings, err, want)
			}
		})
	}
}

// FuzzBodyPath checks that a value is set at its path, and that the rest of the body is unchanged.
func FuzzBodyPath(f *testing.F) {
	f.Add(`{"a": {"b": 1, "c": [1, {"x": "é"}]}}`, ".a.b")
	f.Add(`{"a": null, "a": {"b": 2}}`, ".a.b.c")
	f.Add(`{}`, `.variables["after"]`)
	f.Fuzz(func(t *testing.T, body, path string) {
		var at bodyPath
		if at.UnmarshalText([]byte(path)) != nil {
			return
		}
		text, err := at.set(body, `"new"`)
		if err != nil {
			return
		}
		again, err := at.set(text, `"new"`)
		if err != nil || again == "" || len(again) != len(text) {
			t.Errorf("%s of %q became %q, and then %q, %v", path, body, text, again, err)
		}
	})
}
