package document

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// MaxDepth is how deep lists and objects may be nested.
const MaxDepth = 300

// What keeps a text from being a document.
var (
	ErrDepth = fmt.Errorf("nested more than %d deep", MaxDepth)
	ErrShort = errors.New("cut short")
	ErrSize  = errors.New("larger than 4 GiB or 268 million values")
)

// SyntaxError is where a text stops being JSON.
type SyntaxError struct {
	At   int // byte, from 0
	Want string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: want %s", e.At, e.Want) }

// Parser decodes documents. It keeps its memory from one to the next, so a document is valid until the next is parsed.
// The zero value is ready.
type Parser struct {
	tree Tree
	at   int
}

// nodeText is how much text a value takes at least, in most documents. It bounds what is made ahead for the nodes.
const nodeText = 8

// values is how many values and keys a text has, or more where its texts have commas, colons and brackets.
func values(text []byte) int {
	n := 1
	for _, mark := range []string{",", ":", "{", "["} {
		n += bytes.Count(text, []byte(mark))
	}
	return n
}

// Parse decodes a JSON text, which must not change while the document is in use.
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

func (p *Parser) begin(text []byte) error {
	if uint64(len(text)) > math.MaxUint32 {
		return ErrSize
	}
	p.tree.made, p.tree.text, p.tree.nodes, p.tree.escapes, p.at = false, text, p.tree.nodes[:0], p.tree.escapes[:0], 0
	if p.tree.nodes == nil {
		p.tree.nodes = make([]node, 0, min(values(text), len(text)/nodeText))
	}
	return nil
}

// want is the error of what stands at the place.
func (p *Parser) want(what string) error {
	if p.at >= len(p.tree.text) {
		return ErrShort
	}
	return &SyntaxError{p.at, what}
}

func (p *Parser) space() {
	for p.at < len(p.tree.text) {
		switch p.tree.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek is the byte at the place, 0 at the end.
func (p *Parser) peek() byte {
	if p.at < len(p.tree.text) {
		return p.tree.text[p.at]
	}
	return 0
}

// add appends a node that ends at the place and has nothing within it.
func (p *Parser) add(kind Kind, start, end int, escaped bool) {
	p.tree.nodes = append(p.tree.nodes, newNode(start, end, len(p.tree.nodes)+1, kind, escaped))
}

func (p *Parser) value(depth int) error {
	if len(p.tree.nodes) >= maxNodes-2 { // and a key behind it
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
		if c == '-' || c >= '0' && c <= '9' {
			return p.number()
		}
	}
	return p.want("a value")
}

func (p *Parser) word(word string, kind Kind) error {
	start := p.at
	for i := range len(word) {
		if p.peek() != word[i] {
			return p.want(word)
		}
		p.at++
	}
	p.add(kind, start, p.at, false)
	return nil
}

// container reads a list or an object, whose node is finished when its end is known.
func (p *Parser) container(kind Kind, end byte, depth int) error {
	if depth > MaxDepth {
		return ErrDepth
	}
	self, start := len(p.tree.nodes), p.at
	p.add(kind, start, start, false)
	p.at++
	p.space()
	for first := true; p.peek() != end; first = false {
		if !first {
			if p.peek() != ',' {
				return p.want("a comma or a closing bracket")
			}
			p.at++
			p.space()
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
	n := &p.tree.nodes[self]
	n.end = uint32(p.at)
	n.lead(len(p.tree.nodes))
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

// number reads a number by the grammar of RFC 8259 section 6: no leading zeros or plus, digits around the point.
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
	p.add(Number, start, p.at, false)
	return nil
}

// maxNumber bounds the characters of a number. To calculate with more takes time in proportion to the square of their number.
const maxNumber = 4096

func (p *Parser) digits() bool {
	start := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > start
}
