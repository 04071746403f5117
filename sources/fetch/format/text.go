package format

import (
	"bytes"
	"context"
	"fmt"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/pattern"
)

// Limits of texts.
const (
	maxText    = 16 << 20 // bytes of a text
	maxMatched = 250_000  // groups of all matches together
)

// namesReturn matches a pattern that searches for carriage returns. The lines of its text keep them.
var namesReturn = pattern.OnUse(`\r|\\(?:r|x0[dD]|x\{0*[dD]\}|015)`)

// text decodes a text to a list with an object for each match of the pattern. A carriage return at the end of a line is not part of it, unless
// the pattern searches for carriage returns. The object has the text of each named group, or null if
// the group did not match.
func (d *Decoder) text(ctx context.Context, text []byte) error {
	if len(text) > maxText {
		return fmt.Errorf("exceeds %d MiB, the most that text.pattern can search", maxText>>20)
	}
	searched := d.set.Text.Pattern
	if !namesReturn().MatchString(searched.Regexp().String()) { // $ matches before \n, but not before \r\n
		text = bytes.ReplaceAll(withNewlines(text), []byte("\r\n"), []byte("\n"))
	}
	names := searched.Regexp().SubexpNames()
	most := maxMatched / len(names)
	var matches [][]int
	err := searched.Each(ctx, string(text), func(match []int) error {
		if len(matches) == most {
			return fmt.Errorf("more than %d matches of text.pattern: write a pattern that matches less", most)
		}
		matches = append(matches, match)
		return nil
	})
	if ctx.Err() != nil {
		return fmt.Errorf("search for text.pattern: %w", context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	d.built.Reset(len(matches)*(2*len(names)-1), len(text))
	places := make([]document.TextRef, len(names))
	for i, name := range names {
		places[i] = d.built.Keep([]byte(name))
	}
	d.built.Begin(document.Array)
	for _, match := range matches {
		d.built.Begin(document.Object)
		for i, name := range names {
			if name == "" {
				continue
			}
			d.built.TextAt(places[i])
			if start, end := match[2*i], match[2*i+1]; start >= 0 {
				d.built.Text(text[start:end])
			} else {
				d.built.Literal(document.Null)
			}
		}
		d.built.End()
	}
	d.built.End()
	return nil
}
