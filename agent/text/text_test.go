package text

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestOneLine(t *testing.T) {
	for s, want := range map[string]string{
		"":                          "",
		"503 Service Unavailable":   "503 Service Unavailable",
		" two\r\n\tlines \n":        "two lines",
		"a\x00b\x1b[31mc\x7f":       "a b [31mc",
		"no\u00a0break\u2028line":   "no break line",
		"zero\u200bwidth, \u202eon": "zerowidth, on",
		"Gr\xfc\xdfe, Grüße 東":      "Gre, Grüße 東",
		"\x85\xff":                  "",
	} {
		if got := OneLine(s); got != want {
			t.Errorf("OneLine(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		s     string
		limit int
		want  string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc…"},
		{"aéb", 2, "a…"},
		{"aéb", 3, "aé…"},
		{"東京", 0, "…"},
	} {
		if got := Cut(c.s, c.limit); got != c.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.s, c.limit, got, c.want)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	f.Add("a\r\n\x1b[0m\xff\u2028b", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = min(max(limit, 0), 1<<20)
		line := Cut(OneLine(s), limit)
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("OneLine(%q) = %q", s, line)
		}
		if len(line) > limit+len("…") {
			t.Errorf("Cut(%q, %d) has %d bytes", s, limit, len(line))
		}
	})
}

func ExampleCut() {
	body := "<html>\n  <h1>Service Unavailable</h1>\n</html>"
	fmt.Println(Cut(OneLine(body), 20))
	// Output: <html> <h1>Service U…
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 jobs", 1: "1 job", 2: "2 jobs"} {
		if got := Count(n, "job"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestValues(t *testing.T) {
	for document, least := range map[string]int{"": 0, "[]": 0, "[1, 2]": 2, `{"a": 1, "b": [2, 3]}`: 7, "a: 1\nb:\n- 2\n- 3\n": 6, "? a\n: b": 2} {
		if got := Values([]byte(document)); got < least || got > 2*least+1 {
			t.Errorf("Values(%q) = %d, want at least %d", document, got, least)
		}
	}
}
