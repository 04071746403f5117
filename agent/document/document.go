// Package document holds decoded data with the types of JSON (RFC 8259). A [Parser] decodes JSON, a [Builder] makes a document from
// other data, and a [Value] reads a document:
//
//	var p document.Parser
//	root, err := p.Parse(body)
//	for item := range root.Get("queues").Items {
//		waiting, ok := item.Get("waiting").Number()
//	}
//
// A document is a flat list of nodes that refer to its text. A node takes eight bytes and has no pointers for the garbage collector to
// follow. Strings and numbers point into the text, so a document is valid only until its Parser or Builder is used again; [Value.Clone]
// copies it. Numbers keep all their digits.
package document

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
)

// Kind is the type of a value.
type Kind uint8

// The kinds of values. A missing value is also Null.
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

// node is one value. After the node of a list or object come the nodes of its values. In an object, keys and values alternate.
type node struct {
	start uint32 // position in the text; of a string after its quote, of a list or object before its bracket
	rest  uint32 // from the lowest bit: one bit is set if a string has escapes, three bits are the kind, 28 bits are the extent
}

// maxNodes is the largest number of nodes, limited by the bits of the extent.
const maxNodes = 1 << 28

// longText is stored as the extent of a text that has this length or more. The ends of such texts are in Tree.ends.
const longText = 1<<28 - 1

func newNode(start, extent int, kind Kind, escaped bool) node {
	n := node{uint32(start), uint32(kind)<<1 | uint32(extent)<<4}
	if escaped {
		n.rest |= 1
	}
	return n
}

func (n node) kind() Kind    { return Kind(n.rest >> 1 & 7) }
func (n node) escaped() bool { return n.rest&1 != 0 }

// holds reports whether the node is a list or an object.
func (n node) holds() bool { return n.kind() >= Array }

// extent returns the extent of a value, which depends on the kind of the value. For a list or object it is the index of the first node that
// follows the value and everything inside it. For another value it is the value's length in the text, or longText if that length is not
// smaller than longText.
func (n node) extent() uint32 { return n.rest >> 4 }

// end holds the position after a value. It is needed for values whose nodes do not contain this position: lists, objects and long texts.
type end struct{ node, at uint32 }

// Tree is the text and the nodes of a document.
type Tree struct {
	text    []byte
	nodes   []node
	ends    []end  // in the order of their nodes
	escapes []byte // strings after decoding their escapes
	made    bool   // the text contains only strings and numbers, so it is not the JSON of the document
}

// add appends the node of a value that is neither a list nor an object.
func (t *Tree) add(kind Kind, start, stop int, escaped bool) {
	if stop-start >= longText {
		t.ends = append(t.ends, end{uint32(len(t.nodes)), uint32(stop)})
	}
	t.nodes = append(t.nodes, newNode(start, min(stop-start, longText), kind, escaped))
}

// begin appends the node of a list or an object. It returns a number for the method finish.
func (t *Tree) begin(kind Kind, start int) (opened int) {
	t.ends = append(t.ends, end{uint32(len(t.nodes)), uint32(start)})
	t.nodes = append(t.nodes, newNode(start, len(t.nodes)+1, kind, false))
	return len(t.ends) - 1
}

// finish ends a list or an object. The parameter stop is the position after its end. All nodes inside it must have been added.
func (t *Tree) finish(opened, stop int) {
	e := &t.ends[opened]
	e.at = uint32(stop)
	n := &t.nodes[e.node]
	*n = newNode(int(n.start), len(t.nodes), n.kind(), false)
}

// next returns the index of the first node that follows a value and everything inside it.
func (t *Tree) next(at uint32) uint32 {
	if n := t.nodes[at]; n.holds() {
		return n.extent()
	}
	return at + 1
}

// raw returns the text of a value: a string without its quotes, a list or object with its brackets.
func (t *Tree) raw(at uint32) []byte {
	n := t.nodes[at]
	if n.holds() || n.extent() == longText {
		i, _ := slices.BinarySearchFunc(t.ends, at, func(e end, at uint32) int { return cmp.Compare(e.node, at) })
		return t.text[n.start:t.ends[i].at]
	}
	return t.text[n.start : n.start+n.extent()]
}

// Value is a value of a document. It is valid until the document's Parser or Builder is used again. The zero Value is null.
type Value struct {
	tree *Tree
	at   uint32
}

func (v Value) node() node { return v.tree.nodes[v.at] }

// Kind returns the type of the value.
func (v Value) Kind() Kind {
	if v.tree == nil {
		return Null
	}
	return v.node().kind()
}

// maxRaw is the maximum length of the JSON of a built document. It is needed because many objects may share one long key.
const maxRaw = 16 << 20

// Raw returns the JSON of the value. If the value is a string, the result is without quotes. For a parsed document, the result is the
// original text. For a built document, the result is cut off after maxRaw bytes.
func (v Value) Raw() string {
	if v.tree == nil {
		return "null"
	}
	n := v.node()
	if v.tree.made && n.kind() != String && n.kind() != Number {
		return string(v.AppendJSON(nil, maxRaw))
	}
	return view(v.tree.raw(v.at))
}

// Length returns the length of the value in the text of its document, in bytes.
func (v Value) Length() int {
	if v.tree == nil {
		return 0
	}
	return len(v.tree.raw(v.at))
}

// String returns Raw. It is for messages.
func (v Value) String() string { return v.Raw() }

// Text returns the characters of a string, or Raw for any other value. The result may point into the document.
func (v Value) Text() string {
	if v.tree == nil || !v.node().escaped() {
		return v.Raw()
	}
	from := len(v.tree.escapes)
	v.tree.escapes = unescape(v.tree.escapes, v.Raw())
	return view(v.tree.escapes[from:])
}

// AppendText appends the result of Text. It does not share memory with the document.
func (v Value) AppendText(into []byte) []byte {
	if v.tree == nil || !v.node().escaped() {
		return append(into, v.Raw()...)
	}
	return unescape(into, v.Raw())
}

// Size returns the number of values within the value, including the value itself and the keys of objects.
func (v Value) Size() int {
	if v.tree == nil {
		return 1
	}
	return int(v.tree.next(v.at) - v.at)
}

// Clone copies the document of the value, and returns the value in the copy. The copy stays valid.
func (v Value) Clone() Value {
	if v.tree == nil {
		return v
	}
	return Value{&Tree{text: bytes.Clone(v.tree.text), nodes: slices.Clone(v.tree.nodes), ends: slices.Clone(v.tree.ends), made: v.tree.made}, v.at}
}

// Get returns the member of an object with this key. If there are several, it returns the last one. It returns null if there is
// none, or if v is not an object.
func (v Value) Get(key string) Value {
	found := Value{}
	if v.Kind() != Object {
		return found
	}
	t := v.tree
	for at, end := v.at+1, t.next(v.at); at < end; at = t.next(at + 1) {
		if t.nodes[at].escaped() {
			if string((Value{t, at}).AppendText(nil)) == key {
				found = Value{t, at + 1}
			}
		} else if string(t.raw(at)) == key {
			found = Value{t, at + 1}
		}
	}
	return found
}

// Items yields the values of a list.
func (v Value) Items(yield func(Value) bool) {
	if v.Kind() != Array {
		return
	}
	end := v.tree.next(v.at)
	for at := v.at + 1; at < end; at = v.tree.next(at) {
		if !yield(Value{v.tree, at}) {
			return
		}
	}
}

// Len returns the number of values of a list, or 0 for any other value.
func (v Value) Len() int {
	n := 0
	for range v.Items {
		n++
	}
	return n
}

// Members yields the keys and values of an object in their order. Members with equal keys are all yielded.
func (v Value) Members(yield func(string, Value) bool) {
	if v.Kind() != Object {
		return
	}
	end := v.tree.next(v.at)
	for at := v.at + 1; at < end; at = v.tree.next(at + 1) {
		if !yield(Value{v.tree, at}.Text(), Value{v.tree, at + 1}) {
			return
		}
	}
}

// Position returns a tree and a number. Tree.At returns the value for the number. A list of numbers takes less memory than a list of
// values.
func (v Value) Position() (*Tree, uint32) { return v.tree, v.at }

// At returns the value for a number that Position has returned.
func (t *Tree) At(at uint32) Value { return Value{t, at} }

// Number returns the number that the value stands for: a number, true (1), false (0), or a string that is a decimal number. It
// reports false for any other value.
func (v Value) Number() (float64, bool) {
	switch v.Kind() {
	case Number, String:
		return ParseNumber(v.Text())
	case True:
		return 1, true
	case False:
		return 0, true
	}
	return 0, false
}

// Label returns the value as a label value or an event ID: the text of a string, the digits of a number, true or false. It reports
// false for any other value. The result may point into the document.
func (v Value) Label() (string, bool) {
	switch v.Kind() {
	case String, Number, True, False:
		return v.Text(), true
	}
	return "", false
}

// JQ returns the value as gojq represents it: nil, bool, json.Number (which keeps all digits), string, []any or map[string]any.
// Strings may point into the document.
func (v Value) JQ() any {
	switch v.Kind() {
	case Object:
		m := map[string]any{}
		for key, member := range v.Members {
			m[key] = member.JQ()
		}
		return m
	case Array:
		list := []any{}
		for item := range v.Items {
			list = append(list, item.JQ())
		}
		return list
	case String:
		return v.Text()
	case Number:
		return json.Number(v.Raw())
	case True:
		return true
	case False:
		return false
	}
	return nil
}

// AppendJSON appends the value as JSON without white space. Invalid UTF-8 in strings becomes U+FFFD. AppendJSON stops when the
// result is longer than max bytes; the result is then not valid JSON.
func (v Value) AppendJSON(into []byte, max int) []byte {
	comma := false
	separate := func() {
		if comma {
			into = append(into, ',')
		}
		comma = true
	}
	switch v.Kind() {
	case Object:
		into = append(into, '{')
		for key, member := range v.Members {
			if len(into) > max {
				return into
			}
			separate()
			into = append(AppendQuoted(into, key), ':')
			into = member.AppendJSON(into, max)
		}
		return append(into, '}')
	case Array:
		into = append(into, '[')
		for item := range v.Items {
			if len(into) > max {
				return into
			}
			separate()
			into = item.AppendJSON(into, max)
		}
		return append(into, ']')
	case String:
		return AppendQuoted(into, v.Text())
	case Number:
		return append(into, v.Raw()...)
	case True:
		return append(into, "true"...)
	case False:
		return append(into, "false"...)
	}
	return append(into, "null"...)
}
