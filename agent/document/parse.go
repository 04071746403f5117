package document

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// MaxDepth is the maximum depth of nested lists and objects.
const MaxDepth = 300

// The errors for a text that is cut off or exceeds a limit.
var (
	ErrDepth = fmt.Errorf("nested more than %d deep", MaxDepth)
	ErrShort = errors.New("cut short")
	ErrSize  = errors.New("larger than 4 GiB or 268 million values")
)

// SyntaxError is an error in the syntax of a JSON text.
type SyntaxError struct {
	At   int // position in bytes, from 0
	Want string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: want %s", e.At, e.Want) }

// separator precedes each text of a JSON text sequence (RFC 7464 section 2.2).
const separator = 0x1e

// LineError is an error in a line of a text.
type LineError struct {
	Line int // number of the line, from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Parser decodes JSON. It reuses its memory, so a document is valid only until the next call. The zero value is ready to use.
type Parser struct {
	// Lenient allows comments (// and /* */), a comma after the last item, and NaN, Infinity and -Infinity, which become strings.
	Lenient bool

	tree Tree
	at   int
}

// nodeText is the smallest average length of a value in most documents, in bytes. It limits how much memory is allocated for nodes
// in advance.
const nodeText = 8

// values returns the number of values and keys in a text. If strings contain commas, colons or brackets, the result is larger than this
// number.
func values(text []byte) int {
	n := 1
	for _, mark := range []string{",", ":", "{", "["} {
		n += bytes.Count(text, []byte(mark))
	}
	return n
}

// Parse decodes a JSON text. The text must not be changed while the document is in use.
func (p *Parser) Parse(text []byte) (Value, error) {
	if err := p.begin(text); err != nil {
		return Value{}, err
	}
	p.space()
	if err := p.value(0); err != nil {
		return Value{}, err
	}
	p.space()
	if p.at < len(text) {
		return Value{}, p.want("the end")
	}
	return Value{&p.tree, 0}, nil
}

// ParseLines decodes a sequence of JSON texts into a list. Usually there is one JSON text per line (NDJSON, JSON Lines), but a line may
// have several JSON texts, and a JSON text may have several lines. A separator of RFC 7464 may precede each JSON text. The text must not
// change while the document is in use. An error is a *LineError with the line on which the wrong JSON text begins. The position in a
// SyntaxError inside it counts from the start of text.
func (p *Parser) ParseLines(text []byte) (Value, error) {
	if err := p.begin(text); err != nil {
		return Value{}, err
	}
	p.tree.made = true // the text is not the JSON of the list
	list := p.tree.begin(Array, 0)
	for p.gap(); p.at < len(text); p.gap() {
		start := p.at
		if err := p.oneOfMany(); err != nil {
			return Value{}, &LineError{bytes.Count(text[:start], []byte("\n")) + 1, err}
		}
	}
	p.tree.finish(list, len(text))
	return Value{&p.tree, 0}, nil
}

// gap skips what may be between two JSON texts.
func (p *Parser) gap() {
	for p.space(); p.peek() == separator; p.space() {
		p.at++
	}
}

// oneOfMany parses a JSON text after which others may follow. After a number, a string or a word there must be a gap before the next text:
// without a gap, the numbers 1 and 2 would be 12.
func (p *Parser) oneOfMany() error {
	isContainer := p.peek() == '{' || p.peek() == '['
	err := p.value(1)
	if e, ok := errors.AsType[*SyntaxError](err); ok && p.tree.text[e.At] == '\n' {
		return ErrShort // the line was cut off within a string or a number
	}
	if err != nil || isContainer {
		return err
	}
	end := p.at
	if p.gap(); p.at == end && p.at < len(p.tree.text) {
		return p.want("a space or the end of the line")
	}
	return nil
}

func (p *Parser) begin(text []byte) error {
	if uint64(len(text)) > math.MaxUint32 {
		return ErrSize
	}
	t := &p.tree
	t.made, t.text, t.nodes, t.ends, t.escapes, p.at = p.Lenient, text, t.nodes[:0], t.ends[:0], t.escapes[:0], 0
	if p.tree.nodes == nil {
		p.tree.nodes = make([]node, 0, min(values(text), len(text)/nodeText))
	}
	return nil
}

// want returns the error that says what was expected at the current position.
func (p *Parser) want(what string) error {
	if p.at >= len(p.tree.text) {
		return ErrShort
	}
	return &SyntaxError{p.at, what}
}

// space skips white space, and comments if the parser is lenient.
func (p *Parser) space() {
	if c := p.peek(); c <= ' ' || c == '/' { // no call of skipSpace if there is nothing to skip
		p.skipSpace()
	}
}

func (p *Parser) skipSpace() {
	for p.at < len(p.tree.text) {
		switch p.tree.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			if !p.Lenient || !p.comment() {
				return
			}
		}
	}
}

// comment skips a comment. It returns false if there is no comment. A comment that is not closed ends with the text.
func (p *Parser) comment() bool {
	rest := p.tree.text[p.at:]
	end := ""
	switch {
	case bytes.HasPrefix(rest, []byte("//")):
		end = "\n"
	case bytes.HasPrefix(rest, []byte("/*")):
		end = "*/"
	default:
		return false
	}
	n := bytes.Index(rest[2:], []byte(end))
	if n < 0 {
		p.at = len(p.tree.text)
		return true
	}
	p.at += 2 + n + len(end)
	return true
}

// peek returns the current byte, or 0 at the end.
func (p *Parser) peek() byte {
	if p.at < len(p.tree.text) {
		return p.tree.text[p.at]
	}
	return 0
}

func (p *Parser) value(depth int) error {
	if len(p.tree.nodes) >= maxNodes-2 { // one for the value, one for a key
		return ErrSize
	}
	switch c := p.peek(); c {
	case '"':
		return p.string()
	case '{':
		return p.container(Object, '}', depth+1)
	case '[':
		return p.container(Array, ']', depth+1)
	case 't':
		return p.word("true", True)
	case 'f':
		return p.word("false", False)
	case 'n':
		return p.word("null", Null)
	default:
		if p.Lenient && p.notFinite() {
			return nil
		}
		if c == '-' || c >= '0' && c <= '9' {
			return p.number()
		}
	}
	return p.want("a value")
}

// notFinite parses NaN, Infinity or -Infinity as a string. It returns false if the text has none of them at this position.
func (p *Parser) notFinite() bool {
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if bytes.HasPrefix(p.tree.text[p.at:], []byte(word)) {
			p.tree.add(String, p.at, p.at+len(word), false)
			p.at += len(word)
			return true
		}
	}
	return false
}

func (p *Parser) word(word string, kind Kind) error {
	start := p.at
	for i := range len(word) {
		if p.peek() != word[i] {
			return p.want(word)
		}
		p.at++
	}
	p.tree.add(kind, start, p.at, false)
	return nil
}

// container parses a list or an object.
func (p *Parser) container(kind Kind, end byte, depth int) error {
	if depth > MaxDepth {
		return ErrDepth
	}
	opened := p.tree.begin(kind, p.at)
	p.at++
	p.space()
	for first := true; p.peek() != end; first = false {
		if !first {
			if p.peek() != ',' {
				return p.want("a comma or a closing bracket")
			}
			p.at++
			if p.space(); p.Lenient && p.peek() == end {
				break
			}
		}
		if kind == Object {
			if err := p.key(); err != nil {
				return err
			}
		}
		if err := p.value(depth); err != nil {
			return err
		}
		p.space()
	}
	p.at++
	p.tree.finish(opened, p.at)
	return nil
}

func (p *Parser) key() error {
	if p.peek() != '"' {
		return p.want("a key in quotes")
	}
	if err := p.string(); err != nil {
		return err
	}
	p.space()
	if p.peek() != ':' {
		return p.want("a colon")
	}
	p.at++
	p.space()
	return nil
}

// string parses a string. It does not decode the escapes.
func (p *Parser) string() error {
	start := p.at + 1
	end := special(p.tree.text, start)
	if end < len(p.tree.text) && p.tree.text[end] == '"' {
		p.tree.add(String, start, end, false)
		p.at = end + 1
		return nil
	}
	return p.escapedString(start, end)
}

// escapedString parses a string that begins at start. The first character that ends the string or begins an escape is at i.
func (p *Parser) escapedString(start, i int) error {
	text := p.tree.text
	for ; ; i = special(text, i) {
		if i >= len(text) {
			p.at = i
			return ErrShort
		}
		switch c := text[i]; {
		case c == '"':
			p.tree.add(String, start, i, true)
			p.at = i + 1
			return nil
		case c == '\\':
			n := escape(text[i:])
			if n == 0 {
				p.at = i
				if rest := len(text) - i; rest < 2 || text[i+1] == 'u' && rest < 6 {
					return ErrShort
				}
				return p.want(`an escape such as \n or \u00e9`)
			}
			i += n
		default:
			p.at = i
			return p.want("no control character in a text")
		}
	}
}

// number parses a number (RFC 8259 section 6): without leading zeros or a plus sign, and with digits on both sides of the point.
func (p *Parser) number() error {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if !p.digits() {
		return p.want("a digit")
	}
	if p.peek() == '.' {
		p.at++
		if !p.digits() {
			return p.want("a digit")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !p.digits() {
			return p.want("a digit")
		}
	}
	if p.at-start > maxNumber {
		p.at = start
		return p.want("a number of at most 4096 characters")
	}
	p.tree.add(Number, start, p.at, false)
	return nil
}

// maxNumber is the maximum length of a number in characters. It is needed because calculating with a number takes time proportional
// to the square of its length.
const maxNumber = 4096

// digits skips digits, and reports whether there are any.
func (p *Parser) digits() bool {
	text, end := p.tree.text, p.at
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	start := p.at
	p.at = end
	return end > start
}
