package jq

import (
	"strings"
	"testing"
	"time"

	"github.com/itchyny/gojq"
)

func TestCompile(t *testing.T) {
	for text, want := range map[string]string{
		".a.b[]":                         "",
		".a[":                            "not a jq expression: unexpected EOF, after 3 characters",
		"body":                           `jq: function not defined: body/0; write .body for a field, .["a-b"] for a field with a dash, and "quotes" around a string`,
		"$.a":                            "not a jq expression: unexpected token \"$\", after 0 characters; this is jq, not JSONPath: write .a.b for a field, and .a[] for all items of a list",
		`.a | test("(x")`:                "jq: the regular expression of test: error parsing regexp: missing closing ): `(x`",
		`map(sub("[a"; "b"; "g"))`:       "jq: the regular expression of sub: error parsing regexp: missing closing ]: `[a`",
		`.a | test("(x" + .b)`:           "",
		`def test(a): 1; test("(x")`:     "",
		"." + strings.Repeat(" ", 16000): "",
		strings.Repeat(".", 17<<10):      "the expression exceeds 16384 bytes: use a script for logic of this size",
	} {
		at := func(text string) (*gojq.Query, *Code, error) { return CompileAt(text, "$start") }
		for name, compile := range map[string]func(string) (*gojq.Query, *Code, error){"Compile": Compile, "CompileAt": at} {
			query, code, err := compile(text)
			if err == nil && (query == nil || code == nil || want != "") || err != nil && err.Error() != want {
				t.Errorf("%s of %.20s: got %v, want %s", name, text, err, want)
			}
		}
	}
}

func TestNowIsTheTimeOfTheRun(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 500_000_000, time.UTC)
	for text, want := range map[string]any{
		"now":                    1772366400.5,
		"[1, 2 | now - .] | add": 2*1772366400.5 - 3,
		"now | todate":           "2026-03-01T12:00:00Z",
		"def f(x): now - x; f(.5) | gmtime | mktime": 1772366400.0,
		"def now: 3; now": 3,
	} {
		_, code, err := CompileAt(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := code.One(t.Context(), nil, Epoch(at)); got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
}
