package exposition

import (
	"errors"
	"strings"
	"unicode"
)

// oneLine returns an error whose text is printable. A parser's text may quote the page.
func oneLine(err error) error { return errors.New(printable(err.Error())) }

// printable returns at most 200 bytes of the text, in one line.
func printable(text string) string {
	const most = 200
	cut := text
	if len(cut) > most {
		cut = cut[:most] + "…"
	}
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(cut, "?"))
}
