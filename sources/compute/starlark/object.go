package starlark

import (
	"errors"
	"math/big"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/collectington/collectington/agent/document"
)

// tree makes Starlark values from a document: None, bool, int with all digits, float, string, list and dict. The values are
// frozen. A value is only made when a script reads it. A dict is an [object] until the script needs the whole dict.
type tree struct {
	made map[document.Value]starlark.Value // lists and complete dicts that were made, so that each is made only once
}

// nodeSize is the approximate size of a value after it was read, in bytes.
const nodeSize = 100

// ofDocument converts a document to a Starlark value. It also returns the approximate number of bytes that the value can take. It
// copies the document, since the memory of the document is reused for the next one.
func ofDocument(v document.Value) (starlark.Value, int) {
	t := &tree{made: map[document.Value]starlark.Value{}}
	return t.value(v.Clone()), v.Length() + nodeSize*v.Size()
}

func (t *tree) value(v document.Value) starlark.Value {
	switch v.Kind() {
	case document.Object:
		return &object{tree: t, at: v}
	case document.Array:
		if list, ok := t.made[v]; ok {
			return list
		}
		list := t.list(v)
		list.Freeze()
		t.made[v] = list
		return list
	}
	return scalar(v)
}

// list returns a list, including nested lists. It allocates all objects of a list together.
func (t *tree) list(v document.Value) *starlark.List {
	n, objects := 0, 0
	for item := range v.Items {
		n++
		if item.Kind() == document.Object {
			objects++
		}
	}
	list, slab := make([]starlark.Value, 0, n), make([]object, 0, objects)
	for item := range v.Items {
		switch item.Kind() {
		case document.Object:
			slab = append(slab, object{tree: t, at: item})
			list = append(list, &slab[len(slab)-1])
		case document.Array:
			list = append(list, t.list(item))
		default:
			list = append(list, scalar(item))
		}
	}
	return starlark.NewList(list)
}

// object is an object of a document, as a frozen dict. It looks up members directly in the document. For other operations, and if
// the object has many members, it makes a real Starlark dict, in which nested objects are again of this type. It implements
// [sandbox.Object].
type object struct {
	tree  *tree
	at    document.Value
	whole *starlark.Dict // the dict; nil until it is needed
}

// maxSearched is the size, in keys and values, up to which an object is searched in the document.
const maxSearched = 64

// Dict returns the object as a dict. If several members have the same key, the dict contains the value of the final one.
func (o *object) Dict() *starlark.Dict {
	if o.whole != nil {
		return o.whole
	}
	if made, ok := o.tree.made[o.at]; ok {
		o.whole = made.(*starlark.Dict)
		return o.whole
	}
	n := 0
	for range o.at.Members {
		n++
	}
	d := starlark.NewDict(n)
	for key, member := range o.at.Members {
		_ = d.SetKey(starlark.String(key), o.tree.value(member)) // no error: a string is hashable, the dict not frozen yet
	}
	d.Freeze()
	o.tree.made[o.at], o.whole = d, d
	return d
}

// JSONSize returns the length of the object's JSON text in bytes.
func (o *object) JSONSize() int { return len(o.at.Raw()) }

// Get returns the value of a key.
func (o *object) Get(key starlark.Value) (starlark.Value, bool, error) {
	name, ok := key.(starlark.String)
	if !ok || o.whole != nil || o.at.Size() > maxSearched {
		return o.Dict().Get(key)
	}
	member := o.at.Get(string(name))
	if member == (document.Value{}) {
		return starlark.None, false, nil
	}
	return o.tree.value(member), true, nil
}

// Attr returns a method of a dict. Only the method "get" works without making the whole dict.
func (o *object) Attr(name string) (starlark.Value, error) {
	if name == "get" {
		return starlark.NewBuiltin("get", getMember).BindReceiver(o), nil
	}
	return o.Dict().Attr(name)
}

func getMember(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key, other starlark.Value = nil, starlark.None
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &key, &other); err != nil {
		return nil, err
	}
	switch v, found, err := b.Receiver().(*object).Get(key); {
	case err != nil:
		return nil, errors.New("get: " + err.Error())
	case found:
		return v, nil
	}
	return other, nil
}

// SetKey returns the error that a frozen dict returns.
func (o *object) SetKey(k, v starlark.Value) error { return o.Dict().SetKey(k, v) }

func (o *object) AttrNames() []string        { return o.Dict().AttrNames() }
func (o *object) Items() []starlark.Tuple    { return o.Dict().Items() }
func (o *object) Iterate() starlark.Iterator { return o.Dict().Iterate() }
func (o *object) Len() int                   { return o.Dict().Len() }
func (o *object) String() string             { return o.Dict().String() }
func (o *object) Type() string               { return "dict" }
func (o *object) Freeze()                    {}
func (o *object) Truth() starlark.Bool       { return o.at.Size() > 1 }
func (o *object) Hash() (uint32, error)      { return o.Dict().Hash() }

// Binary implements the operator |, the union with another dict.
func (o *object) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	other, ok := asDict(y)
	switch {
	case op != syntax.PIPE || !ok:
		return nil, nil
	case side == starlark.Left:
		return o.Dict().Union(other), nil
	}
	return other.Union(o.Dict()), nil
}

// CompareSameType compares the object with another object or dict. A dict cannot compare itself with an object: see
// [sandbox.Object].
func (o *object) CompareSameType(op syntax.Token, y starlark.Value, depth int) (bool, error) {
	other, _ := asDict(y) // always a dict, since y has the type dict
	return o.Dict().CompareSameType(op, other, depth)
}

// asDict converts a dict or an object to a dict.
func asDict(v starlark.Value) (*starlark.Dict, bool) {
	if o, ok := v.(*object); ok {
		return o.Dict(), true
	}
	d, ok := v.(*starlark.Dict)
	return d, ok
}

// scalar converts a value of a document that is not a list or an object.
func scalar(v document.Value) starlark.Value {
	switch v.Kind() {
	case document.String:
		if raw := v.Raw(); strings.IndexByte(raw, '\\') < 0 {
			return starlark.String(raw)
		}
		return starlark.String(v.AppendText(nil))
	case document.Number:
		return number(v.Raw())
	case document.True:
		return starlark.True
	case document.False:
		return starlark.False
	}
	return starlark.None
}

// maxDigits is the maximum number of digits of an int. It is needed because the time for parsing grows faster than the number of
// digits.
const maxDigits = 4000

// number returns an int if the text has no fraction and no exponent, and otherwise a float.
func number(text string) starlark.Value {
	if !strings.ContainsAny(text, ".eE") && len(text) <= maxDigits {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return starlark.MakeInt64(n)
		}
		if n, ok := new(big.Int).SetString(text, 10); ok {
			return starlark.MakeBigInt(n)
		}
	}
	f, _ := strconv.ParseFloat(text, 64) // numbers outside the range of floats become infinite; readings do not accept them
	return starlark.Float(f)
}
