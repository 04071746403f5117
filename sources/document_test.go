package sources

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestJSON(t *testing.T) {
	var p Parser
	for body, want := range map[string]string{
		`{"a": 1}`:              `{"a": 1}`,
		" [1, 2]\n":             `[1, 2]`,
		"\xef\xbb\xbf{\"a\":1}": `{"a":1}`,
		`"text"`:                `text`,
		`null`:                  `null`,
		"12345678901234567890":  "12345678901234567890",
		strings.Repeat("[", 300) + strings.Repeat("]", 300): strings.Repeat("[", 300) + strings.Repeat("]", 300),
	} {
		doc, err := p.JSON("GET http://a.example", []byte(body))
		if err != nil {
			t.Errorf("%.40q: %v", body, err)
			continue
		}
		if got := doc.Root.Raw(); got != want || doc.From != "GET http://a.example" {
			t.Errorf("%.40q: got %.40s from %s", body, got, doc.From)
		}
	}
}

func TestJSONThatIsNone(t *testing.T) {
	for body, want := range map[string]string{
		"":                             "want JSON, got an empty body",
		" \r\n":                        "want JSON, got an empty body",
		"\xef\xbb\xbf":                 "want JSON, got an empty body",
		"\xff\xfe{\x00}\x00":           "want JSON in UTF-8, got UTF-16 or UTF-32",
		"\xfe\xff\x00{\x00}":           "want JSON in UTF-8, got UTF-16 or UTF-32",
		"{\x00}\x00":                   "want JSON in UTF-8, got UTF-16 or UTF-32",
		"\x00\x00\x00{\x00\x00\x00}":   "want JSON in UTF-8, got UTF-16 or UTF-32",
		"<!DOCTYPE html>":              `want JSON, got markup that begins with "<!DOCTYPE html>": is it a login or error page?`,
		"OK":                           `want JSON, got text that begins with "OK"`,
		`{"a": [1, 2`:                  `the JSON is cut short: it ends with "{\"a\": [1, 2" after 11 bytes`,
		`{"a": 1} {`:                   `the JSON has a second document at byte 9, "{": set format: ndjson for a list of them`,
		`{"a": 01}`:                    `the JSON is broken at byte 7, before "1}": want a comma or a closing bracket`,
		strings.Repeat("[", 100000):    "the JSON is nested more than 300 deep",
		strings.Repeat(`{"a":`, 10000): "the JSON is nested more than 300 deep",
	} {
		var p Parser
		doc, err := p.JSON("x", []byte(body))
		if err == nil || err.Error() != want {
			t.Errorf("%.40q: got %v, %v\nwant %s", body, doc, err, want)
		}
	}
}

func TestExcerptKeepsWholeCharacters(t *testing.T) {
	if got := Excerpt([]byte("ééé"), 3); got != `"é"…` {
		t.Errorf("got %s", got)
	}
	if got := Excerpt([]byte("ab"), 2); got != `"ab"` {
		t.Errorf("got %s", got)
	}
	if got := excerptEnd([]byte("ééé"), 3); got != `"é"` {
		t.Errorf("got %s", got)
	}
}

// FuzzJSON checks that, for any text, the parser returns either a document that can be written out or an error of one short line.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a": [1, null, "é\u00e9"]}`, "\xef\xbb\xbf1", "[[", "\xff\xfe", "<html>", `{"a": tru`, "-", `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var p Parser
		doc, err := p.JSON("x", body)
		if err == nil {
			_ = doc.Root.Raw()
			return
		}
		if text := err.Error(); len(text) > 400 || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("got %q", text)
		}
	})
}
