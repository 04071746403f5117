// Package text prepares texts from outside for error messages and log lines. A response body or the error of a parser may contain
// line breaks, control characters, invalid UTF-8 and megabytes of data.
//
// The text of an error of a plug-in is one line. Limit the length of texts that it quotes:
//
//	return fmt.Errorf("read the queue: %s", text.Cut(text.OneLine(body), 200))
//
// No function removes secrets: call [github.com/collectington/collectington/agent/setting.SecretStore.Scrub] first.
package text

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
)

// OneLine returns s as one printable line of valid UTF-8. Each sequence of white space and control characters becomes one space.
// Spaces at the beginning and the end, other unprintable characters, and invalid bytes are removed.
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

// Cut returns s if its length in bytes is at most the limit. Otherwise it returns as many first bytes as the limit allows, without a
// character that is cut in the middle, followed by an ellipsis.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// List returns the names as one text, separated by commas. If there are more names than the limit, the text ends with how many more there
// are.
func List(names []string, limit int) string {
	if more := len(names) - limit; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:limit], ", "), more)
	}
	return strings.Join(names, ", ")
}

// Count returns the number n with a noun: 1 job, 2 jobs.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Values returns an estimate of the number of values in a document in JSON or YAML, from its punctuation. The estimate is rarely too
// low, and needs no memory, so it can be compared with a limit before the document is decoded.
func Values(document []byte) int {
	n := 0
	for _, mark := range []string{":", ":", ",", "-", "[", "{", "?"} { // the colon is counted twice, since it separates two values
		n += bytes.Count(document, []byte(mark))
	}
	return n
}
