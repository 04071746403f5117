package pattern

import (
	"context"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// all returns the matches of Each.
func all(t *testing.T, p *Pattern, text string) [][]int {
	t.Helper()
	var got [][]int
	if err := p.Each(t.Context(), text, func(m []int) error { got = append(got, m); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func same(t *testing.T, pattern, text string) {
	t.Helper()
	re, wantErr := regexp.Compile(pattern)
	p, err := Compile(pattern)
	if wantErr != nil || err != nil {
		if (wantErr == nil) != (err == nil) {
			t.Errorf("%q: %v, regexp has %v", pattern, err, wantErr)
		}
		return
	}
	want := re.FindAllStringSubmatchIndex(text, -1)
	for _, plain := range []int{p.maxPlain, 0} { // search strings directly, then through the reader
		p.maxPlain = plain
		if got := all(t, p, text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q in %q: %v, regexp has %v", pattern, text, got, want)
		}
		first, err := p.Find(t.Context(), text)
		if want := re.FindStringSubmatchIndex(text); err != nil || !reflect.DeepEqual(first, want) {
			t.Errorf("%q in %q: first %v, %v, regexp has %v", pattern, text, first, err, want)
		}
	}
}

func seeds() map[string]string {
	return map[string]string{
		`,`: "a,b,,c", ``: "aé\xffb", `a*`: "baaac", `^a`: "aaa", `(?m)^a?`: "a\nab\n\na", `\ba|a\b`: "aa a ab ba",
		`\B`: "abc d", `(a)|(b)?`: "acb", `$`: "ab\n", `(?m)$`: "ab\n\n", `\A|b`: "abb", `(?i)(?P<x>É)`: "éÉe", `a+$|(?P<x>a)`: "aaab",
		`x*?`: "xx", `(?s).`: "a\xe2\x82b", `\z`: "a", `(|a)*`: "aa", `[^a]`: "\xffa\xfe", `a{2,3}?`: "aaaaa", `(`: "", `(?:^|,)([^,]*)`: "a,,b,",
	}
}

func TestMatchesAreThoseOfRegexp(t *testing.T) {
	for pattern, text := range seeds() {
		same(t, pattern, text)
	}
}

func FuzzMatches(f *testing.F) {
	for pattern, text := range seeds() {
		f.Add(pattern, text)
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 60 || len(text) > 200 {
			t.Skip()
		}
		same(t, pattern, text)
	})
}

// endsAfter is a context that ends after a number of calls of Err.
type endsAfter struct {
	context.Context
	looks int
}

var errEnded = errors.New("ended")

func (c *endsAfter) Err() error {
	if c.looks--; c.looks < 0 {
		return errEnded
	}
	return nil
}

// TestSearchesEnd checks that a search ends soon after its context, for long texts and patterns for which package regexp takes seconds to
// hours.
func TestSearchesEnd(t *testing.T) {
	for pattern, text := range map[string]string{
		`(a+)+$|(?P<x>a)`:  strings.Repeat("a", 5<<20) + "b",
		`a.*b|a`:           strings.Repeat("a", 5<<20),
		`(x{100}y?){9}|a+`: strings.Repeat("ax", 5<<19),
	} {
		p, err := Compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		from := time.Now()
		err = p.Each(&endsAfter{t.Context(), 3}, text, func([]int) error { return nil })
		if took := time.Since(from); !errors.Is(err, errEnded) || took > 10*time.Second {
			t.Errorf("%q: %v after %v", pattern, err, took)
		}
	}
}

func TestPatternsAreBounded(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("a", 5000):                             "the pattern exceeds 4096 bytes",
		strings.Repeat(`(\pL{100}){9}`, 280):                  "too large",
		strings.Repeat("(", 1001) + strings.Repeat(")", 1001): "nests too deeply",
	} {
		if _, err := Compile(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s…: %v, want %s", text, err, want)
		}
	}
}
