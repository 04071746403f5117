package http

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// TestRefusal checks which responses with status 200 count as failures, because of fail_if or because of errors of GraphQL. If the wanted
// error is "", the response is not a failure.
func TestRefusal(t *testing.T) {
	const post = "method: POST\nbody: '{\"query\": \"{ a }\"}'\n"
	for _, c := range []struct{ settings, body, want string }{
		{"", `{"error": "x"}`, ""},
		{"fail_if: ''", `{"error": "x"}`, ""},
		{"fail_if: .body.error", `{"error": "quota exceeded"}`, `fail_if: "quota exceeded"`},
		{"fail_if: .body.error", `{"error": ""}`, ""},
		{"fail_if: .body.error", `{"error": null}`, ""},
		{"fail_if: .body.error", `{"error": false}`, ""},
		{"fail_if: .body.error", `{"error": true}`, `fail_if is true: ".body.error"`},
		{"fail_if: .body.error", `{"error": 0}`, `fail_if: want true, false or a string, got "0"`},
		{"fail_if: .body.error", `{"error": {"code": 1}}`, `fail_if: want true, false or a string, got "{\"code\":1}"`},
		{"fail_if: .body.error", `[1]`, `fail_if failed: "expected an object but got: array ([1])"`},
		{"fail_if: .body[].error", `[{}, {}]`, `fail_if failed: "returns more than one value"`},
		{"fail_if: 'empty'", `{}`, ""},
		{"fail_if: .body.error", `{"error": "key hunter/22&key\nis wrong"}`, `fail_if: "key <secret>\nis wrong"`},
		{"fail_if: .body.error", `{"error": "` + strings.Repeat("long ", 1000) + `"}`, `fail_if: "` + strings.Repeat("long ", 40) + `"…`},
		{`fail_if: .headers["x-cache"] == "stale"`, `{}`, `fail_if is true: ".headers[\"x-cache\"] == \"stale\""`},
		{"fail_if: .status != 200", `{}`, ""},
		{"fail_if: .body.n == 12345678901234567890", `{"n": 12345678901234567890}`, `fail_if is true: ".body.n == 12345678901234567890"`},

		{post, `{"errors": [{"message": "no such field hunter/22&key"}, {"message": "y"}], "data": null}`, `GraphQL returned no data: "no such field <secret>"`},
		{post, `{"errors": [{"message": "x"}]}`, `GraphQL returned no data: "x"`},
		{post, `{"errors": [{}]}`, `GraphQL returned no data: "{}"`},
		{post, `{"errors": [{"message": "x"}], "data": {"a": 1}}`, ""},
		{post, `{"errors": [], "data": null}`, ""},
		{post, `{"errors": {"message": "x"}}`, ""},
		{post, `[{"errors": [{"message": "x"}]}]`, ""},
		{"method: POST\nbody: '{\"search\": \"x\"}'", `{"errors": [{"message": "x"}]}`, ""},
		{"method: POST\nbody: 'query'", `{"errors": [{"message": "x"}]}`, ""},
		{"", `{"errors": [{"message": "x"}]}`, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			p.Serve(t, "a.example:80", answer(200, "X-Cache: stale", c.body))
			_, err := p.fetch(t, address+"headers: {X-Api-Key: 'env:KEY'}\n"+c.settings)
			got := ""
			if err != nil {
				_, got, _ = strings.Cut(err.Error(), "http://a.example/v1/x: ")
			}
			if got != c.want {
				t.Errorf("%s of %.80s: got %s\nwant %s", c.settings, c.body, got, c.want)
			}
		})
	}
}

// TestFormats checks that the content type or the settings choose the format, and that the settings set Accept.
func TestFormats(t *testing.T) {
	for _, c := range []struct{ settings, kind, body, want, accept string }{
		{"", "text/csv; charset=iso-8859-1", "name\ncaf\xe9\n", `[{"name":"café"}]`, "application/json"},
		{"format: csv", "application/octet-stream", "a\n007\n", `[{"a":"007"}]`, "text/csv, */*;q=0.1"},
		{"format: xml", "", "<?xml version='1.0' encoding='windows-1252'?><a>\x80</a>", `{"a":"€"}`, "application/xml, text/xml, */*;q=0.1"},
		{"", "application/problem+json", `{"a":1}`, `{"a":1}`, "application/json"},
		{"", "text/plain", "a,b", `want JSON, got text that begins with "a,b"; the server's content type is text/plain, which is read as json: if it is something else, set format`, ""},
		{"", "text/csv", "a,b\nc", `invalid CSV: line 2: has 1 of 2 cells: is it cut short, or csv.delimiter wrong?; the server's content type is text/csv, which is read as csv: if it is something else, set format`, ""},
		{"", "x/" + strings.Repeat("y", 90), "a,b", `want JSON, got text that begins with "a,b"; the server's content type is unknown, which is read as json: if it is something else, set format`, ""},
		{"format: csv", "text/csv", "a,b\nhunter/22&key,ECHO,", `invalid CSV: line 2: has more cells than the 2 columns: a cell that contains the delimiter must be in quotes`, ""},
		{"format: csv", "text/csv", "a,b\nECHO\"", `invalid CSV: line 2: a quote inside the cell "<secret>`, ""},
		{"format: csv", "text/html", "\n<!doctype HTML><p>", `want CSV, got an HTML page that begins with "<!doctype HTML><p>": is it a login or error page?`, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			accept := ""
			p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				accept = r.Header.Get("Accept")
				answer(200, "Content-Type: "+c.kind, c.body)(w, r)
			}))
			doc, err := p.fetch(t, address+"headers: {X-Api-Key: 'env:KEY'}\n"+c.settings)
			if err != nil {
				if text := err.Error(); !strings.HasPrefix(text, "GET http://a.example/v1/x: "+c.want) || strings.Contains(text, "hunter") {
					t.Errorf("%s: got %v\nwant %s", c.kind, err, c.want)
				}
				return
			}
			if got := doc.Root.Raw(); got != c.want || accept != c.accept {
				t.Errorf("%s: got %s, want %s; Accept is %s", c.kind, got, c.want, accept)
			}
		})
	}
}
