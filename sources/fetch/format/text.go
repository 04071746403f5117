package format

import (
	"fmt"

	"github.com/collectington/collectington/agent/document"
)

// Bounds on texts. A regular expression takes time in proportion to its length times the text's, and cannot be stopped.
const (
	maxText    = 16 << 20 // bytes
	maxMatched = 250_000  // groups of all matches
)

// text finds every match of the pattern, an object of its named groups each; a group that took no part is null.
func (d *Decoder) text(text []byte) error {
	if len(text) > maxText {
		return fmt.Errorf("longer than %d MiB, which is too much to search by a pattern", maxText>>20)
	}
	pattern := d.set.Text.Pattern
	most := maxMatched / (1 + pattern.NumSubexp())
	matches := pattern.FindAllSubmatchIndex(text, most+1)
	if len(matches) > most {
		return fmt.Errorf("more than %d matches", most)
	}
	d.built.Reset(len(matches)*(1+2*pattern.NumSubexp()), len(text))
	names := pattern.SubexpNames()
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
