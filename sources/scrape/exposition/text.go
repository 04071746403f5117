package exposition

import (
	"errors"

	"github.com/collectington/collectington/agent/text"
)

// oneLine returns an error whose text is printable. A parser's text may quote the page.
func oneLine(err error) error { return errors.New(printable(err.Error())) }

// printable returns s as one line of at most 200 bytes.
func printable(s string) string { return text.Cut(text.OneLine(s), 200) }
