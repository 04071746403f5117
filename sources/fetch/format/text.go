package format

import (
	"context"
	"fmt"

	"github.com/collectington/collectington/agent/document"
)

// Limits of texts.
const (
	maxText    = 16 << 20 // bytes of a text
	maxMatched = 250_000  // groups of all matches together
)

// text decodes a text to a list with an object for each match of the pattern. The object has the text of each named group, or null if
// the group did not match.
func (d *Decoder) text(ctx context.Context, text []byte) error {
	if len(text) > maxText {
		return fmt.Errorf("exceeds %d MiB, the most that text.pattern can search", maxText>>20)
	}
	pattern := d.set.Text.Pattern
	names := pattern.Regexp().SubexpNames()
	most := maxMatched / len(names)
	var matches [][]int
	err := pattern.Each(ctx, string(text), func(match []int) error {
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
