package httpclient

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWebPage(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"", "", ""},
		{"text/html", "", ""},
		{"text/html", " \n", ""},
		{"text/plain; charset=utf-8", "OK", ""},
		{"application/json", `{"title":"<html>"}`, ""},
		{"text/html; charset=utf-8", "OK", `a web page: "OK"`},
		{"text/plain", "<html>", `a web page: "<html>"`},
		{"", "\ufeff\n<!doctype html><TITLE lang=en>\nSign \x00in</Title>", `a web page with the title "Sign in"`},
		{"", "<p><title>no end", `a web page: "<p><title>no end"`},
		{"nonsense;;;", "x", ""},
	} {
		if got := webPage(c.kind, c.body, -1); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.kind, c.body, got, c.want)
		}
	}
	if got := webPage("text/plain", "<secret> is not a tenant", -1); got != "" {
		t.Errorf("a text that begins with a hidden secret is %s", got)
	}
	if got := webPage("text/html", "", 100); got != "a web page that was cut short" {
		t.Error(got)
	}
}

func FuzzWebPage(f *testing.F) {
	f.Add("text/html", "<TITLE>x</TITLE>")
	f.Add("", "<title ÄÖ>\xff</title>")
	f.Fuzz(func(t *testing.T, kind, body string) {
		got := webPage(kind, body, int64(len(body)))
		if len(got) > 4*maxPageText+100 || strings.ContainsAny(got, "\n\r") || !utf8.ValidString(got) {
			t.Errorf("%q", got)
		}
	})
}
