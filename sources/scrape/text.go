package scrape

import (
	"errors"

	"github.com/collectington/collectington/agent/text"
)

// short returns an error in one line of bounded length: a parser's error may quote the page.
func short(err error) error { return errors.New(printable(err.Error())) }

// printable returns s as one line of at most 200 bytes.
func printable(s string) string { return text.Cut(text.OneLine(s), 200) }
