package exec

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/collectington/collectington/sources"
)

const (
	maxStderr = 32 << 10 // bytes that are kept from the beginning of standard error; as many are kept from its end
	maxLine   = 200      // bytes of each line of standard error that are shown
	maxLines  = 10       // lines that are shown from the beginning of standard error; as many are shown from its end
)

// said holds what a command has written to standard error, as lines without secrets.
type said []string

func newSaid(scrub func(string) string, e *edges) said {
	first, last := e.parts()
	lines := linesOf(scrub(first))
	if last != "" {
		lines = append(append(lines, "…"), linesOf(scrub(last))...)
	}
	return lines
}

// linesOf returns the lines of a text, without empty lines at the beginning and the end.
func linesOf(text string) []string {
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// line returns the first and the final line as one line.
func (s said) line() string {
	excerpt := func(line string) string { return sources.Excerpt([]byte(strings.TrimSpace(line)), maxLine) }
	if len(s) == 1 {
		return excerpt(s[0])
	}
	return excerpt(s[0]) + " … " + excerpt(s[len(s)-1])
}

// add adds the first and the last line to the text of an error.
func (s said) add(err error) error {
	if len(s) == 0 {
		return err
	}
	return fmt.Errorf("%w: stderr: %s", err, s.line())
}

// text returns the first maxLines lines and the final maxLines lines. It is for a terminal.
func (s said) text() string {
	lines := s
	if len(s) > 2*maxLines {
		lines = append(append(append(said{}, s[:maxLines]...), "…"), s[len(s)-maxLines:]...)
	}
	shown := make([]string, len(lines))
	for i, line := range lines {
		if len(line) > maxLine {
			line = line[:maxLine] + "…"
		}
		shown[i] = strings.Map(func(r rune) rune {
			if r == '\t' || unicode.IsPrint(r) {
				return r
			}
			return unicode.ReplacementChar
		}, strings.ToValidUTF8(strings.TrimRight(line, "\r"), ""))
	}
	return strings.Join(shown, "\n")
}
