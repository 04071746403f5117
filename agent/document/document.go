// Package document is decoded data as JSON (RFC 8259) has it, a flat list of nodes over a text: it is parsed once, checked
// strictly, and costs twelve bytes a value and nothing for the garbage collector to follow. Texts and numbers are read
// from where they stand. A Parser makes documents of JSON, a Builder of anything else.
package document

import (
	"bytes"
	"slices"
)

// Kind is what a value is.
type Kind uint8

// The kinds of JSON values. Null is also what is not there.
const (
	Null Kind = iota
	False
	True
	Number
	String
	Array
	Object
)

func (k Kind) String() string {
	return [...]string{"null", "false", "true", "a number", "a text", "a list", "an object"}[k]
}

// node is one value. Those of a container follow it; an object's are keys and values in turn.
type node struct {
	start, end uint32 // in the text: of a text without its quotes; of a container its brackets included
	rest       uint32 // of bits, from the last: whether it is a text with backslashes, three of its kind, 28 of next
}

// maxNodes is how many places a node can speak of.
const maxNodes = 1 << 28

func newNode(start, end, next int, kind Kind, escaped bool) node {
	n := node{uint32(start), uint32(end), uint32(kind) << 1}
	if escaped {
		n.rest |= 1
	}
	n.lead(next)
	return n
}

func (n *node) kind() Kind    { return Kind(n.rest >> 1 & 7) }
func (n *node) escaped() bool { return n.rest&1 != 0 }

// next is the node after this one and all within it; lead sets it.
func (n *node) next() uint32  { return n.rest >> 4 }
func (n *node) lead(next int) { n.rest = n.rest&15 | uint32(next)<<4 }

// Tree is what the values of one document share.
type Tree struct {
	text    []byte
	nodes   []node
	escapes []byte // texts without their backslashes
	made    bool   // the text holds texts and numbers alone: it is no JSON that could be shown
}

// Value is a value of a document. It is valid until the document's parser is used again. The zero Value is null.
type Value struct {
	tree *Tree
	at   uint32
}

func (v Value) node() *node { return &v.tree.nodes[v.at] }

// Kind is what the value is.
func (v Value) Kind() Kind {
	if v.tree == nil {
		return Null
	}
	return v.node().kind()
}

// maxRaw bounds the JSON of a document that is none, where one long key may stand in any number of objects.
const maxRaw = 16 << 20

// Raw is the JSON text of the value, as it stands in the document where that is JSON; else it breaks off after 16 MiB. A
// text is without its quotes.
func (v Value) Raw() string {
	if v.tree == nil {
		return "null"
	}
	n := v.node()
	if v.tree.made && n.kind() != String && n.kind() != Number {
		return string(v.AppendJSON(nil, maxRaw))
	}
	return view(v.tree.text[n.start:n.end])
}

// Length is how many bytes of its document's text the value takes.
func (v Value) Length() int {
	if v.tree == nil {
		return 0
	}
	n := v.node()
	return int(n.end - n.start)
}

// String is Raw, for messages.
func (v Value) String() string { return v.Raw() }

// Text is the characters of a text, and the raw text of anything else. It may point into the document.
func (v Value) Text() string {
	if v.tree == nil || !v.node().escaped() {
		return v.Raw()
	}
	from := len(v.tree.escapes)
	v.tree.escapes = unescape(v.tree.escapes, v.Raw())
	return view(v.tree.escapes[from:])
}

// AppendText appends what Text returns, and leaves nothing of it in the document.
func (v Value) AppendText(into []byte) []byte {
	if v.tree == nil || !v.node().escaped() {
		return append(into, v.Raw()...)
	}
	return unescape(into, v.Raw())
}

// Size is how many values the value is made of, itself and an object's keys included.
func (v Value) Size() int {
	if v.tree == nil {
		return 1
	}
	return int(v.node().next() - v.at)
}

// Clone is the value in a copy of its document, which stays valid.
func (v Value) Clone() Value {
	if v.tree == nil {
		return v
	}
	return Value{&Tree{text: bytes.Clone(v.tree.text), nodes: slices.Clone(v.tree.nodes), made: v.tree.made}, v.at}
}

// Get is the member of an object with this key, the last of several; null where there is none or v is no object.
func (v Value) Get(key string) Value {
	found := Value{}
	if v.Kind() != Object {
		return found
	}
	nodes, text := v.tree.nodes, v.tree.text
	for at, end := v.at+1, nodes[v.at].next(); at < end; at = nodes[at+1].next() {
		k := &nodes[at]
		if k.escaped() {
			if string((Value{v.tree, at}).AppendText(nil)) == key {
				found = Value{v.tree, at + 1}
			}
		} else if int(k.end-k.start) == len(key) && string(text[k.start:k.end]) == key {
			found = Value{v.tree, at + 1}
		}
	}
	return found
}

// Items yields the values of a list.
func (v Value) Items(yield func(Value) bool) {
	if v.Kind() != Array {
		return
	}
	end := v.node().next()
	for at := v.at + 1; at < end; at = v.tree.nodes[at].next() {
		if !yield(Value{v.tree, at}) {
			return
		}
	}
}

// Len is how many values a list has; 0 where it is none.
func (v Value) Len() int {
	n := 0
	for range v.Items {
		n++
	}
	return n
}

// Members yields the keys and values of an object in their order, equal keys included.
func (v Value) Members(yield func(string, Value) bool) {
	if v.Kind() != Object {
		return
	}
	end := v.node().next()
	for at := v.at + 1; at < end; at = v.tree.nodes[at+1].next() {
		if !yield(Value{v.tree, at}.Text(), Value{v.tree, at + 1}) {
			return
		}
	}
}

// Position is the tree and the number by which Tree.At gives the value again, for who keeps values in little room.
func (v Value) Position() (*Tree, uint32) { return v.tree, v.at }

// At is the value with this number.
func (t *Tree) At(at uint32) Value { return Value{t, at} }
