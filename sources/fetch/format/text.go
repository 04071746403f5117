package format

import (
	"fmt"

	"github.com/collectington/collectington/agent/document"
)

// Bounds on texts. A search takes time in proportion to the length of the pattern times that of the text, and cannot be
// interrupted.
const (
	maxText    = 16 << 20 // bytes
	maxMatched = 250_000  // groups of all matches
)

// text returns a list with an object of the named groups for each match. A group that did not match is null.
func (d *Decoder) text(text []byte) error {
	if len(text) > maxText {
		return fmt.Errorf("exceeds %d MiB, the most that text.pattern can search", maxText>>20)
	}
	pattern := d.set.Text.Pattern
	most := maxMatched / (1 + pattern.NumSubexp())
	matches := pattern.FindAllSubmatchIndex(text, most+1)
	if len(matches) > most {
		return fmt.Errorf("more than %d matches of text.pattern", most)
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
