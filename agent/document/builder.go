package document

import (
	"bytes"
	"errors"
	"math"
)

// Builder builds a document. Values are added in the order in which JSON would have them; the key of a member is added as a string before
// its value. The Builder reuses its memory, so a document is valid only until the next Reset. The zero Builder is ready to use.
type Builder struct {
	tree Tree
	open []int // the lists and objects that have begun and not ended: the numbers that Tree.begin returned for them
	err  error // the first limit that was exceeded; after that nothing is added
}

// TextRef refers to a string in a Builder. The string can be added several times, but is stored only once.
type TextRef struct{ start, end uint32 }

// Reset begins a new document. The sizes are hints for allocating memory: the number of values, and the bytes of all strings,
// including keys.
func (b *Builder) Reset(values, text int) {
	t := &b.tree
	t.made, t.nodes, t.ends, t.text, b.open, b.err = true, t.nodes[:0], t.ends[:0], t.text[:0], b.open[:0], nil
	if cap(b.tree.nodes) < values {
		b.tree.nodes = make([]node, 0, values)
	}
	if cap(b.tree.text) < text {
		b.tree.text = make([]byte, 0, text)
	}
}

// maxMade is the maximum number of values of a built document. It is needed because formats other than JSON can express many values
// in few bytes.
const maxMade = 8 << 20

// ErrMany is the error for a built document with too many values.
var ErrMany = errors.New("more than 8 million values")

// Value returns the document, or null if no value was added. It returns ErrDepth, ErrSize or ErrMany if a limit was exceeded.
func (b *Builder) Value() (Value, error) {
	if b.err != nil || len(b.tree.nodes) == 0 {
		return Value{}, b.err
	}
	return Value{&b.tree, 0}, nil
}

// Values returns the number of values so far.
func (b *Builder) Values() int { return len(b.tree.nodes) }

// Bytes returns the length of all strings so far. Each TextRef is counted once.
func (b *Builder) Bytes() int { return len(b.tree.text) }

// Begin begins a list or an object. End ends it.
func (b *Builder) Begin(kind Kind) {
	if len(b.open) >= MaxDepth && b.err == nil {
		b.err = ErrDepth
	}
	opened := 0
	if b.fits() {
		opened = b.tree.begin(kind, len(b.tree.text))
	}
	b.open = append(b.open, opened)
}

// End ends the innermost list or object.
func (b *Builder) End() {
	opened := b.open[len(b.open)-1]
	b.open = b.open[:len(b.open)-1]
	if b.err == nil {
		b.tree.finish(opened, len(b.tree.text))
	}
}

// Text adds a string, or the key of a member.
func (b *Builder) Text(text []byte) { b.TextAt(b.Keep(text)) }

// TextAt adds a string, or the key of a member, that Keep has stored.
func (b *Builder) TextAt(p TextRef) { b.add(String, p) }

// Literal adds null, true or false.
func (b *Builder) Literal(kind Kind) { b.add(kind, b.here()) }

// Keep stores a string without adding a value.
func (b *Builder) Keep(text []byte) TextRef {
	if b.err == nil && uint64(len(b.tree.text))+uint64(len(text)) > math.MaxUint32 {
		b.err = ErrSize
	}
	if b.err != nil {
		return TextRef{}
	}
	p := b.here()
	b.tree.text = append(b.tree.text, text...)
	p.end += uint32(len(text))
	return p
}

// Number adds a decimal number with all its digits. It also accepts numbers with a plus sign, with leading zeros, or without digits
// before or after the point, and converts them to the syntax of JSON. If text is not a number, it adds nothing and reports false.
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

func (b *Builder) here() TextRef {
	at := uint32(len(b.tree.text))
	return TextRef{at, at}
}

// fits reports whether one more value may be added.
func (b *Builder) fits() bool {
	if b.err == nil && len(b.tree.nodes) >= maxMade {
		b.err = ErrMany
	}
	return b.err == nil
}

func (b *Builder) add(kind Kind, p TextRef) {
	if b.fits() {
		b.tree.add(kind, int(p.start), int(p.end), false)
	}
}

// At returns a string that Keep has stored. It is valid until the next Keep.
func (b *Builder) At(p TextRef) []byte { return b.tree.text[p.start:p.end] }
