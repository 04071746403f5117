// Package document holds decoded data with the types of JSON (RFC 8259). A [Parser] decodes JSON, a [Builder] makes a
// document of anything else, and a [Value] reads it:
//
//	var p document.Parser
//	root, err := p.Parse(body)
//	for item := range root.Get("queues").Items {
//		waiting, ok := item.Get("waiting").Number()
//	}
//
// A document is a flat list of nodes over its text. It takes twelve bytes a value, and the garbage collector has no pointers
// to follow. Strings and numbers point into the text: a document is valid until its Parser or Builder is used again, and
// [Value.Clone] copies it. Numbers keep all their digits.
package document

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Kind is the type of a value.
type Kind uint8

// The kinds of values. A missing value is Null too.
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

// node is one value. The values of a list or object follow it; those of an object are keys and values in turn.
type node struct {
	start, end uint32 // in the text; a string without its quotes, a list or object with its brackets
	rest       uint32 // from the lowest bit: one for a string with escapes, three for the kind, 28 for next
}

// maxNodes is the number of nodes that next can address.
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

// next returns the node after this one and all within it. lead sets it.
func (n *node) next() uint32  { return n.rest >> 4 }
func (n *node) lead(next int) { n.rest = n.rest&15 | uint32(next)<<4 }

// Tree is the text and the nodes of a document.
type Tree struct {
	text    []byte
	nodes   []node
	escapes []byte // strings whose escapes were decoded
	made    bool   // the text holds only strings and numbers: it is not the JSON of the document
}

// Value is a value of a document. It is valid until the document's Parser or Builder is used again. The zero Value is null.
type Value struct {
	tree *Tree
	at   uint32
}

func (v Value) node() *node { return &v.tree.nodes[v.at] }

// Kind returns the type of the value.
func (v Value) Kind() Kind {
	if v.tree == nil {
		return Null
	}
	return v.node().kind()
}

// maxRaw is the maximum length of the JSON of a built document, where many objects may share one long key.
const maxRaw = 16 << 20

// Raw returns the JSON of the value, a string without its quotes. For a parsed document it is the original text. For a
// built document it is cut off after 16 MiB.
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

// Length returns the number of bytes that the value takes in the text of its document.
func (v Value) Length() int {
	if v.tree == nil {
		return 0
	}
	n := v.node()
	return int(n.end - n.start)
}

// String returns Raw, for messages.
func (v Value) String() string { return v.Raw() }

// Text returns the characters of a string, and Raw of any other value. The result may point into the document.
func (v Value) Text() string {
	if v.tree == nil || !v.node().escaped() {
		return v.Raw()
	}
	from := len(v.tree.escapes)
	v.tree.escapes = unescape(v.tree.escapes, v.Raw())
	return view(v.tree.escapes[from:])
}

// AppendText appends what Text returns, without memory of the document.
func (v Value) AppendText(into []byte) []byte {
	if v.tree == nil || !v.node().escaped() {
		return append(into, v.Raw()...)
	}
	return unescape(into, v.Raw())
}

// Size returns the number of values in the value, including itself and the keys of objects.
func (v Value) Size() int {
	if v.tree == nil {
		return 1
	}
	return int(v.node().next() - v.at)
}

// Clone returns the value in a copy of its document, which stays valid.
func (v Value) Clone() Value {
	if v.tree == nil {
		return v
	}
	return Value{&Tree{text: bytes.Clone(v.tree.text), nodes: slices.Clone(v.tree.nodes), made: v.tree.made}, v.at}
}

// Get returns the member of an object with this key, the last one if there are several. It returns null if there is none, or
// if v is not an object.
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

// Len returns the number of values of a list, or 0 for any other value.
func (v Value) Len() int {
	n := 0
	for range v.Items {
		n++
	}
	return n
}

// Members yields the keys and values of an object in their order, including equal keys.
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

// Position returns the tree and the number for which Tree.At returns the value. They take less memory than values.
func (v Value) Position() (*Tree, uint32) { return v.tree, v.at }

// At returns the value with this number.
func (t *Tree) At(at uint32) Value { return Value{t, at} }

// Number returns the value of a number, of true (1) and false (0), and of a string that is a decimal number. It reports false
// for any other value.
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

// Label returns the value as the value of a label or the id of an event: a string, the digits of a number, true or false. It
// reports false for any other value. The result may point into the document.
func (v Value) Label() (string, bool) {
	switch v.Kind() {
	case String, Number, True, False:
		return v.Text(), true
	}
	return "", false
}

// JQ returns the value in the types of gojq: nil, bool, json.Number (which keeps the digits), string, []any and
// map[string]any. Strings may point into the document.
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

// AppendJSON appends the value as JSON without white space. Invalid UTF-8 in strings becomes U+FFFD. When the result is
// longer than max bytes, AppendJSON stops, and the result is not valid JSON.
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
