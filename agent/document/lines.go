package document

import (
	"bytes"
	"fmt"
)

// separator is what a text begins with in a JSON text sequence (RFC 7464 section 2.2).
const separator = "\x1e"

// LineError is what is wrong with a line.
type LineError struct {
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// ParseLines decodes JSON texts that stand one on a line, which is called NDJSON or JSON lines, to the list of them. Empty
// lines count for nothing; the separators of RFC 7464 end a line too. The text must not change while the document is in
// use. Its errors are LineErrors, whose places are bytes of the whole text.
func (p *Parser) ParseLines(text []byte) (Value, error) {
	if err := p.begin(text); err != nil {
		return Value{}, err
	}
	p.tree.made = true // the list has no text of its own that is JSON
	p.add(Array, 0, len(text), false)
	ends := "\n"
	if bytes.Contains(text, []byte(separator)) {
		ends += separator
	}
	for line := 1; p.at < len(text); line++ {
		end := len(text)
		if n := bytes.IndexAny(text[p.at:], ends); n >= 0 {
			end = p.at + n
		}
		if err := p.line(text[:end]); err != nil {
			return Value{}, &LineError{line, err}
		}
		if end < len(text) && text[end] == separator[0] {
			line-- // a separator stands in the line of its text
		}
		p.at = end + 1
	}
	p.tree.text = text
	p.tree.nodes[0].lead(len(p.tree.nodes))
	return Value{&p.tree, 0}, nil
}

// line parses what stands from the place to the end of the text, if anything.
func (p *Parser) line(text []byte) error {
	p.tree.text = text
	if p.space(); p.at == len(text) {
		return nil
	}
	if err := p.value(1); err != nil {
		return err
	}
	if p.space(); p.at < len(text) {
		return p.want("the end of the line")
	}
	return nil
}
