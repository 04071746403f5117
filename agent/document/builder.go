package document

import (
	"bytes"
	"errors"
	"math"
)

// Builder makes a document of what is not JSON: values are added in the order in which they would be written, an object's
// keys as texts before their values. It keeps its memory from one document to the next, so a document is valid until the
// next is begun. The zero value is ready.
type Builder struct {
	tree Tree
	open []uint32 // the lists and objects under way
	err  error    // the first bound that was passed; nothing is added from then on
}

// Place is a text in a builder's memory. It can stand at any number of places in the document and costs its bytes once.
type Place struct{ start, end uint32 }

// Reset begins a document of about so many values and bytes of text, keys included.
func (b *Builder) Reset(values, text int) {
	b.tree.made, b.tree.nodes, b.tree.text, b.open, b.err = true, b.tree.nodes[:0], b.tree.text[:0], b.open[:0], nil
	if cap(b.tree.nodes) < values {
		b.tree.nodes = make([]node, 0, values)
	}
	if cap(b.tree.text) < text {
		b.tree.text = make([]byte, 0, text)
	}
}

// maxMade bounds the values of a document that is built: what is not JSON may have many in few bytes.
const maxMade = 8 << 20

// ErrMany says that a document that is built has too many values.
var ErrMany = errors.New("more than 8 million values")

// Value is the document; without any value in it, null. Its errors are ErrDepth, ErrSize and ErrMany.
func (b *Builder) Value() (Value, error) {
	if b.err != nil || len(b.tree.nodes) == 0 {
		return Value{}, b.err
	}
	return Value{&b.tree, 0}, nil
}

// Values and Bytes are how large the document is by now.
func (b *Builder) Values() int { return len(b.tree.nodes) }

// Bytes is the length of all texts, each place counted once.
func (b *Builder) Bytes() int { return len(b.tree.text) }

// Begin begins a list or an object, which lasts until End.
func (b *Builder) Begin(kind Kind) {
	if len(b.open) >= MaxDepth && b.err == nil {
		b.err = ErrDepth
	}
	b.open = append(b.open, uint32(len(b.tree.nodes)))
	b.add(kind, b.here())
}

// End ends the list or object that was begun last.
func (b *Builder) End() {
	at := b.open[len(b.open)-1]
	b.open = b.open[:len(b.open)-1]
	if b.err == nil {
		n := &b.tree.nodes[at]
		n.end = uint32(len(b.tree.text))
		n.lead(len(b.tree.nodes))
	}
}

// Text adds a text, or an object's key.
func (b *Builder) Text(text []byte) { b.TextAt(b.Keep(text)) }

// TextAt adds a text, or an object's key, that is kept already.
func (b *Builder) TextAt(p Place) { b.add(String, p) }

// Literal adds null, true or false.
func (b *Builder) Literal(kind Kind) { b.add(kind, b.here()) }

// Keep puts a text into the builder's memory without adding a value.
func (b *Builder) Keep(text []byte) Place {
	if b.err == nil && uint64(len(b.tree.text))+uint64(len(text)) > math.MaxUint32 {
		b.err = ErrSize
	}
	if b.err != nil {
		return Place{}
	}
	p := b.here()
	b.tree.text = append(b.tree.text, text...)
	p.end += uint32(len(text))
	return p
}

// Number adds a decimal number with all its digits. It may have a plus sign, zeros in front, and nothing before or after
// its point; what JSON does not know of these is left out. False means that it is none, and nothing was added.
func (b *Builder) Number(text []byte) bool {
	unsigned := bytes.TrimLeft(text, "+-")
	whole, rest := digits(unsigned)
	fraction, point := []byte(nil), bytes.HasPrefix(rest, []byte("."))
	if point {
		fraction, rest = digits(rest[1:])
	}
	if len(text)-len(unsigned) > 1 || len(whole)+len(fraction) == 0 || !isExponent(rest) {
		return false
	}
	if whole = bytes.TrimLeft(whole, "0"); len(whole) == 0 {
		whole = []byte("0")
	}
	p := b.here()
	if text[0] == '-' {
		b.Keep([]byte("-"))
	}
	b.Keep(whole)
	if len(fraction) > 0 {
		b.Keep([]byte("."))
		b.Keep(fraction)
	}
	b.Keep(rest)
	p.end = uint32(len(b.tree.text))
	b.add(Number, p)
	return true
}

func digits(text []byte) (digits, rest []byte) {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return text[:n], text[n:]
}

func isExponent(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	if text[0] != 'e' && text[0] != 'E' {
		return false
	}
	text = text[1:]
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		text = text[1:]
	}
	n, rest := digits(text)
	return len(n) > 0 && len(rest) == 0
}

func (b *Builder) here() Place {
	at := uint32(len(b.tree.text))
	return Place{at, at}
}

func (b *Builder) add(kind Kind, p Place) {
	if b.err == nil && len(b.tree.nodes) >= maxMade {
		b.err = ErrMany
	}
	if b.err == nil {
		b.tree.nodes = append(b.tree.nodes, newNode(int(p.start), int(p.end), len(b.tree.nodes)+1, kind, false))
	}
}

// At is a text that is kept, valid until the next is.
func (b *Builder) At(p Place) []byte { return b.tree.text[p.start:p.end] }
