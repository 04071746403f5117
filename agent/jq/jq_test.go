package jq

import (
	"strings"
	"testing"
)

func TestCompile(t *testing.T) {
	for text, want := range map[string]string{
		".a.b[]":                         "",
		".a[":                            "not a jq expression: unexpected EOF, after 3 characters",
		"body":                           `jq: function not defined: body/0; a field is written .body, a field with a dash .["a-b"], and a text "in quotes"`,
		"$.a":                            "not a jq expression: unexpected token \"$\", after 0 characters; this is jq, not JSONPath: a field is .a.b, all items of a list .a[]",
		"." + strings.Repeat(" ", 16000): "",
		strings.Repeat(".", 17<<10):      "the expression exceeds 16384 bytes; a script is the place for that much",
	} {
		query, code, err := Compile(text)
		if err == nil && (query == nil || code == nil || want != "") || err != nil && err.Error() != want {
			t.Errorf("%.20s: got %v, want %s", text, err, want)
		}
	}
}
