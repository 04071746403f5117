package scrape

import (
	"errors"
	"strings"
	"unicode"
)

// short is an error in one line of bounded length: a parser's may quote the page.
func short(err error) error { return errors.New(printable(err.Error())) }

// printable is at most 200 bytes of a text in one line.
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
