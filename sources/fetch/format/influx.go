package format

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
)

// Bounds of a document in line protocol.
const (
	maxPoints  = 500_000 // points of a document
	maxMembers = 1000    // tags of a point, and fields of a point
)

// influx decodes the line protocol of InfluxDB (https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/) to a list
// of {measurement, tags, fields, timestamp}. The timestamp is null if the line has none.
func (d *Decoder) influx(text []byte) error {
	lines := min(bytes.Count(text, []byte("\n"))+1, len(text)/len("m f=1"), maxPoints)
	d.built.Reset(10*lines+2*bytes.Count(text, []byte("=")), len(text))
	p := &points{text: text, line: 1, built: &d.built, seen: map[string]bool{}}
	for _, key := range []string{"measurement", "tags", "fields", "timestamp"} {
		p.keys = append(p.keys, d.built.Keep([]byte(key)))
	}
	d.built.Begin(document.Array)
	for n := 0; p.next(); n++ {
		if n == maxPoints {
			return fmt.Errorf("has more than %d points", maxPoints)
		}
		if err := p.point(); err != nil {
			return inLine(p.line, "%w", err)
		}
	}
	d.built.End()
	return nil
}

// points reads the points of a document in line protocol.
type points struct {
	text  []byte
	at    int                // index of the next byte in text
	line  int                // number of the current line, from 1
	keys  []document.TextRef // measurement, tags, fields, timestamp
	built *document.Builder
	plain []byte          // buffer for a name or string without its escapes
	seen  map[string]bool // keys of the current tags or fields
}

// peek returns the next byte, or a line break at the end of the text.
func (p *points) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return '\n'
}

func (p *points) spaces() {
	for c := p.peek(); c == ' ' || c == '\t' || c == '\r'; c = p.peek() {
		p.at++
	}
}

// next skips empty lines and comments. It reports whether another point follows.
func (p *points) next() bool {
	for p.at < len(p.text) {
		switch p.spaces(); {
		case p.peek() == '#':
			if n := bytes.IndexByte(p.text[p.at:], '\n'); n >= 0 {
				p.at += n
			} else {
				p.at = len(p.text)
			}
		case p.peek() != '\n':
			return true
		}
		if p.at < len(p.text) {
			p.at++
			p.line++
		}
	}
	return false
}

// point reads a line with a point.
func (p *points) point() error {
	p.built.Begin(document.Object)
	p.built.TextAt(p.keys[0])
	name, err := p.name(", ")
	if err != nil {
		return err
	}
	p.built.Text(name)
	p.built.TextAt(p.keys[1])
	p.built.Begin(document.Object)
	clear(p.seen)
	for p.peek() == ',' {
		p.at++
		if err := p.tag(); err != nil {
			return err
		}
	}
	p.built.End()
	if err := p.fields(); err != nil {
		return err
	}
	return p.timestamp()
}

// tag reads a tag: key=value.
func (p *points) tag() error {
	if err := p.key(); err != nil {
		return err
	}
	value, err := p.name(", ")
	p.built.Text(value)
	return err
}

// key reads a key and the = after it.
func (p *points) key() error {
	key, err := p.name("=, ")
	switch {
	case err != nil:
		return err
	case p.peek() != '=':
		return fmt.Errorf("want = after %s", sources.Excerpt(key, 40))
	case p.seen[string(key)]:
		return fmt.Errorf("duplicate key %s", sources.Excerpt(key, 40))
	case len(p.seen) == maxMembers:
		return fmt.Errorf("has more than %d tags or fields", maxMembers)
	}
	p.seen[string(key)] = true
	p.built.Text(key)
	p.at++
	return nil
}

// name reads a name. The argument "ends" is a list of bytes. The name ends before the first of these bytes that is not escaped with a
// backslash, or at the end of the line. The name must not be empty.
func (p *points) name(ends string) ([]byte, error) {
	p.plain = p.plain[:0]
	start := p.at
	for ; p.peek() != '\n'; p.at++ {
		c := p.text[p.at]
		if c == '\\' && p.at+1 < len(p.text) && bytes.IndexByte([]byte(",= "), p.text[p.at+1]) >= 0 {
			p.at++
			c = p.text[p.at]
		} else if bytes.IndexByte([]byte(ends), c) >= 0 {
			break
		}
		p.plain = append(p.plain, c)
	}
	if len(p.plain) == 0 {
		return nil, fmt.Errorf("want a name, got %s", sources.Excerpt(p.rest(start), 40))
	}
	return p.plain, nil
}

// rest returns the text from an index to the end of its line.
func (p *points) rest(from int) []byte {
	rest, _, _ := bytes.Cut(p.text[min(from, len(p.text)):], []byte("\n"))
	return rest
}

// fields reads the fields of a point. A point must have at least one field.
func (p *points) fields() error {
	if p.peek() != ' ' {
		return fmt.Errorf("want a space and the fields, got %s", sources.Excerpt(p.rest(p.at), 40))
	}
	p.spaces()
	p.built.TextAt(p.keys[2])
	p.built.Begin(document.Object)
	clear(p.seen)
	for first := true; first || p.peek() == ','; first = false {
		if !first {
			p.at++
		}
		if err := p.key(); err != nil {
			return err
		}
		if err := p.value(); err != nil {
			return err
		}
	}
	p.built.End()
	return nil
}

// value reads the value of a field: a string in quotes, a number, or a truth value.
func (p *points) value() error {
	if p.peek() == '"' {
		return p.quoted()
	}
	start := p.at
	for c := p.peek(); c != ',' && c != ' ' && c != '\n' && c != '\r'; c = p.peek() {
		p.at++
	}
	word := p.text[start:p.at]
	switch string(word) {
	case "t", "T", "true", "True", "TRUE":
		p.built.Literal(document.True)
		return nil
	case "f", "F", "false", "False", "FALSE":
		p.built.Literal(document.False)
		return nil
	}
	number := word
	if n := len(word); n > 0 && (word[n-1] == 'i' || word[n-1] == 'u') && !bytes.ContainsAny(word, ".eE") {
		number = word[:n-1]
	}
	if len(number) > maxDigits || !p.built.Number(number) {
		return fmt.Errorf("want a number, a string in quotes, true or false, got %s", sources.Excerpt(p.rest(start), 40))
	}
	return nil
}

// maxDigits is the maximum length of a number, in bytes.
const maxDigits = 1000

// quoted reads a string in double quotes. In it, \" and \\ are escapes, and line breaks are allowed.
func (p *points) quoted() error {
	p.plain = p.plain[:0]
	for p.at++; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == '"':
			p.at++
			p.built.Text(p.plain)
			return nil
		case c == '\\' && p.at+1 < len(p.text) && (p.text[p.at+1] == '"' || p.text[p.at+1] == '\\'):
			p.at++
			c = p.text[p.at]
		case c == '\n':
			p.line++
		}
		p.plain = append(p.plain, c)
	}
	return errors.New("a string in quotes has no closing quote")
}

// timestamp reads an optional timestamp, which is an integer in a unit that the line does not name, and the rest of the line.
func (p *points) timestamp() error {
	p.built.TextAt(p.keys[3])
	start := p.at
	p.spaces()
	apart := p.at > start
	rest := p.rest(p.at)
	p.at += len(rest)
	word := bytes.TrimRight(rest, " \t\r")
	switch digits := bytes.TrimPrefix(word, []byte("-")); {
	case len(word) == 0:
		p.built.Literal(document.Null)
	case !apart, len(digits) > 19, len(bytes.Trim(digits, "0123456789")) > 0, !p.built.Number(word):
		return fmt.Errorf("want a space and an integer as the timestamp, got %s", sources.Excerpt(word, 40))
	}
	p.built.End()
	return nil
}
