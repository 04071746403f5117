// Package text makes text from outside fit for an error message or a log line. A response body, a receiver's answer or
// a parser's error may hold line breaks, control characters, invalid UTF-8 and megabytes of data.
//
// An error of a plug-in is one line. Bound what it quotes:
//
//	return fmt.Errorf("read the queue: %s", text.Cut(text.OneLine(body), 200))
//
// No function removes secrets: use [github.com/collectington/collectington/agent/setting.SecretStore.Scrub] first.
package text

import (
	"fmt"
	"strings"
	"unicode"
)

// OneLine returns s as one printable line of valid UTF-8. Each run of white space and control characters becomes one
// space. Leading and trailing spaces, other characters that cannot be printed, and invalid bytes are removed.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}

// Cut returns s if it has at most limit bytes. Otherwise it returns the first limit bytes, less a character that does not
// fit whole, and an ellipsis.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// Count returns a number of things in words: 1 job, 2 jobs.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
