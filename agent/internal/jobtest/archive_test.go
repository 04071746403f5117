package jobtest

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

const config = "-- cton.yaml --\n{}\n"

func parsed(t *testing.T, text string) *Test {
	t.Helper()
	test, err := Parse("a.txtar", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return test
}

func TestMostSpecificResponse(t *testing.T) {
	test := parsed(t, config+`-- 1 GET /x --
any
-- 2 GET /x?b=2&a=1&a=0 --
query
-- 3 GET /x --
later
-- 1 GET https://other.example --
host
-- 3 GET /x? --
no query
`)
	for _, c := range []struct {
		tick    int
		address string
		want    string
	}{
		{1, "https://a.example/x?a=1&b=2&a=0", "any"},
		{2, "https://a.example/x?a=1&b=2&a=0", "query"},
		{2, "https://a.example/x?a=0&b=2&a=1", "any"}, // the order of values of one name matters
		{3, "https://a.example/x?a=1&b=2&a=0", "query"},
		{3, "https://a.example/x?c=1", "later"},
		{3, "https://a.example/x", "no query"},
		{1, "https://other.example/", "host"},
		{1, "http://other.example/", ""},
		{1, "https://a.example/", ""},
		{1, "https://a.example/x/", ""},
	} {
		test.Responses.Begin(c.tick)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if resp, err := test.Responses.RoundTrip(req); err == nil {
			text, _ := io.ReadAll(resp.Body)
			got = strings.TrimSpace(string(text))
		}
		if got != c.want {
			t.Errorf("tick %d, %s: got %q, want %q", c.tick, c.address, got, c.want)
		}
	}
	for left := range test.Responses.Unused() {
		t.Errorf("%s was not used", left.Name)
	}
}

func TestRawResponse(t *testing.T) {
	test := parsed(t, config+"-- 1 GET / --\nHTTP/1.1 418 I'm a teapot\nX-A: 1\n\nshort\nand stout\n")
	test.Responses.Begin(1)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example", http.NoBody)
	resp, err := test.Responses.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 418 || resp.Header.Get("X-A") != "1" || string(body) != "short\nand stout\n" {
		t.Errorf("got %d, %v, %q", resp.StatusCode, resp.Header, body)
	}
}

func TestExtractStaysInFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"../x", "/tmp/x-of-a-test", "a/../../x", "."} {
		if err := parsed(t, config+"-- "+name+" --\n-- 1 metrics --\n").Extract(dir); err == nil {
			t.Errorf("%s is written", name)
		}
	}
	if err := parsed(t, config+"-- a/b --\nc\n-- 1 metrics --\n").Extract(dir); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(dir + "/a/b"); string(text) != "c\n" {
		t.Errorf("got %q, %v", text, err)
	}
}

// FuzzParse checks the line and range of each section: an archive whose sections are rewritten with their own texts is the
// same to the byte.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "a\n" + config + "-- 1 metrics --", config + "-- 2 metrics --\nx 1\n-- 1 GET / --\r\n\r\n{}\n-- 1 errors --\n", "-- --\n",
		"job: a\nenv A=b\n" + config + "-- 1 GET / --\nHTTP/1.1 200 OK\n\nx", "start: 2026-01-01T00:00:00Z\n" + config + "-- 3 errors --\nx",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		test, err := Parse("a.txtar", text)
		if err != nil {
			if test != nil || !strings.HasPrefix(err.Error(), "a.txtar:") {
				t.Errorf("got %v, %v", test, err)
			}
			return
		}
		lines := strings.Split(string(text), "\n")
		same, other := map[*Section]string{}, map[*Section]string{}
		for _, s := range test.sections {
			if !strings.Contains(lines[s.Line-1], s.Name) {
				t.Errorf("line %d is %q, want %s", s.Line, lines[s.Line-1], s.Name)
			}
			same[s], other[s] = string(text[s.from:s.to]), "1\n"
		}
		if got := test.Rewrite(same); !bytes.Equal(got, text) {
			t.Errorf("got %q, want %q", got, text)
		}
		// A rewritten section has its new text when the archive is parsed again.
		for name, s := range test.expected {
			again, err := Parse("a.txtar", test.Rewrite(map[*Section]string{s: other[s]}))
			if err != nil {
				t.Fatal(err)
			}
			if got := again.expected[name]; got == nil || got.Text != "1\n" || len(again.sections) != len(test.sections) {
				t.Errorf("%s: got %+v", name, got)
			}
		}
	})
}
