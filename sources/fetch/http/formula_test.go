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

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/sources"
)

// TestFormulas checks what is sent for computed values, and that values computed from secrets are not shown.
func TestFormulas(t *testing.T) {
	for text, want := range map[string]string{
		// echo -n 1782900000 | openssl dgst -sha256 -hmac abc123def
		address + `headers: {X-Key: '{{ hmac "sha256" (secret "env:ASCII") (unix .Window.End) }}'}`:                                `GET /v1/x 3d8ea548775b8d1da9ad921f719c55dca896f70d1b8def213b45026aedd09254 `,
		address + `headers: {X-Key: 'Basic {{ base64 "ops:" (secret "env:ASCII") }}'}`:                                             `GET /v1/x Basic b3BzOmFiYzEyM2RlZg== `,
		address + `query: {a: 'x{{ base64 (secret "env:ASCII") }}-{{ md5 "a" }}'}`:                                                 `GET /v1/x?a=xYWJjMTIzZGVm-0cc175b9c0f1b6a831c399e269772661  `,
		address + `body: '{"k": "{{ unhex "22" }}", "s": "{{ sha1 (date "2006" .Now) (secret "env:ASCII") }}"}'`:                   `POST /v1/x  {"k": "\"", "s": "aa650f7d740158d32d677621e91fb666e23f5ada"}`,
		"url: 'http://a.example/{{ base64 (unhex \"fbff\") }}{{ base64 (secret \"env:ASCII\") }}/{{ urlquery \"a b\" }}'":          `GET /+%2F8=YWJjMTIzZGVm/a%2520b  `,
		address + `form: {a: '{{ base64 (secret "env:ASCII") }}'}`:                                                                 `POST /v1/x  a=YWJjMTIzZGVm`,
		address + `query: {q: '{{ sha1 .Item.id (secret "env:ASCII") }}', i: '{{ .Item.id }}'}` + "\nfor_each: {items: '{id: 7}'}": `GET /v1/x?i=7&q=2cfd05846db305b9e73d1a683cc7cfdd68ec7ecf  `,
	} {
		t.Run(text, func(t *testing.T) {
			p := newPlace(t)
			p.web.Secrets.LookupEnv = func(string) (string, bool) { return "abc123def", true }
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
			if err == nil || !strings.Contains(err.Error(), "<secret>") || strings.Contains(err.Error(), "YWJj") {
				t.Errorf("shown: %v", err)
			}
		})
	}
}

// TestRandomFormula checks that random bytes are new in each request.
func TestRandomFormula(t *testing.T) {
	p := newPlace(t)
	seen := map[string]bool{}
	p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen[r.Header.Get("X-Nonce")] = true
		_, _ = io.WriteString(w, `{}`)
	}))
	f := p.fetcher(t, address+`headers: {X-Nonce: "{{ random 16 }}"}`)
	for range 2 {
		if _, err := f.Fetch(t.Context(), tickAt(), sources.Request{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 2 || seen[""] {
		t.Errorf("sent %v", seen)
	}
}

// TestFormulaProblems checks the errors of formulas, when the configuration is checked.
func TestFormulaProblems(t *testing.T) {
	for text, want := range map[string]string{
		`query: {a: "{{ sha256 .Now }}"}`:                                               `query.a: a function gets a time, but wants a text: write (unix .Now), (rfc3339 .Now) or (date "2006-01-02" .Now)`,
		`query: {a: "{{ sha256 .Item.id }}"}`:                                           `query.a: no value .Item.id: there are .Window.Start, .Window.End and .Now`,
		`query: {a: '{{ hmac "md5" }}'}`:                                                `query.a: wrong number of args for hmac: want at least 2 got 1`,
		`query: {a: '{{ md5 (secret .Now) }}'}`:                                         `query.a: want (secret "env:NAME"), (secret "file:/path") or (secret "file:/path#KEY")`,
		`query: {a: '{{ md5 (secret "KEY") }}'}`:                                        `query.a: want (secret "env:NAME")`,
		`query: {a: '{{ md5 (printf "x") }}'}`:                                          `query.a: function "printf" is not allowed: there are base64, base64url, before, date, hex,`,
		`query: {a: '{{ md5 (iso .Now) }}'}`:                                            `query.a: function "iso" not defined: there are base64, base64url, before, date, hex,`,
		`query: {a: '{{ hmac "sha9" "a" .Item.k }}'}` + "\nfor_each: {items: '{k: 7}'}": `query.a: hmac: want md5, sha1, sha256 or sha512, got "sha9"`,
		`query: {a: '{{ pbkdf2 "sha9" "a" "b" 1 }}'}`:                                   `query.a: pbkdf2: want md5, sha1, sha256 or sha512, got "sha9"`,
		`query: {a: '{{ define "x" }}y{{ end }}{{ md5 "a" }}'}`:                         `query.a: a template is text with values in {{ }}: no define or block`,
		`query: {a: '{{ block "x" . }}y{{ end }}{{ md5 "a" }}'}`:                        `query.a: a template is text with values in {{ }}: no define or block`,
		`query: {a: '{{ secret "env:KEY" | base64 }}'}`:                                 `is not filled in`,
		`body: '` + strings.Repeat(`{{ pbkdf2 "md5" "a" "b" 1 }}`, 5) + `'`:             `body: more than 4 calls of pbkdf2`,
		`body: '{{ md5 "` + strings.Repeat(`a`, 5000) + `" }}'`:                         `body: want at most 4 KiB`,
	} {
		c := Kind.Defaults().(*Config)
		err := yaml.Load([]byte(address+text), c, yaml.WithKnownFields())
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 500 {
			t.Errorf("%.80s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestDatedFormulas checks that a request is dated if a formula has a time of the tick.
func TestDatedFormulas(t *testing.T) {
	for text, want := range map[string]bool{
		`query: {a: '{{ md5 (unix .Window.Start) }}'}`: true, `query: {a: '{{ md5 "a" }}'}`: false, `query: {a: '{{ random 4 }}'}`: false,
		"query: {a: '{{ md5 .Item.id .Item.id }}'}\nfor_each: {items: '{id: 7}'}": false,
	} {
		if c := config(t, address+text); c.Dated() != want {
			t.Errorf("%s: dated %t", text, !want)
		}
	}
}

// TestOneTimePerRequest checks that all parts of a request contain the same time.
func TestOneTimePerRequest(t *testing.T) {
	f := newPlace(t).fetcher(t, address+`query: {at: "{{ now }}"}`+"\n"+`headers: {X-At: "{{ now }}"}`+"\n"+`body: '{"at": {{ now }}}'`)
	b := f.requestBuilder.at(time.Unix(1782900000, 0))
	query, err := b.queryOf(tickAt(), false)
	if err != nil || query.Get("at") != "1782900000" {
		t.Errorf("query %v, %v", query, err)
	}
	req := &http.Request{Header: http.Header{}}
	if err := b.setHeaders(req, tickAt()); err != nil || req.Header.Get("X-At") != "1782900000" {
		t.Errorf("headers %v, %v", req.Header, err)
	}
	if body, err := b.bodyFor(tickAt(), nil); err != nil || body.text != `{"at": 1782900000}` {
		t.Errorf("body %v, %v", body, err)
	}
}

// TestOneTimePerItem checks that on each page, all parts of a request contain the same time, whether or not they name the item.
func TestOneTimePerItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		var got []string
		p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = append(got, r.URL.Query().Get("at")+" "+r.Header.Get("X-At"))
			time.Sleep(1500 * time.Millisecond)
			fmt.Fprint(w, map[string]string{"1": "[1]", "2": "[2]", "3": "[]"}[r.URL.Query().Get("page")])
		}))
		began := time.Now()
		f := p.fetcher(t, `url: http://a.example/{{ .Item }}`+"\n"+`query: {at: "{{ now }}"}`+"\n"+`headers: {X-At: "{{ now }}"}`+"\n"+
			`paginate: {page: {param: page}}`+"\n"+`for_each: {items: '7'}`)
		if _, err := f.Fetch(t.Context(), tickAt(), sources.Request{}); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, after := range []time.Duration{0, 1500 * time.Millisecond, 3 * time.Second} {
			at := fmt.Sprint(began.Add(after).Unix())
			want = append(want, at+" "+at)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the query and the header have the times %v, want %v", got, want)
		}
	})
}
