package starlark

import (
	"errors"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/collectington/collectington/agent/document"
)

// page is a document as a script sees it, frozen: None, bool, int with all its digits, float, string, list and dict. What
// is not read is not made: a dict is an [object] until somebody wants the whole of it.
type page struct {
	made map[document.Value]starlark.Value // lists and whole dicts, so that each is made once
}

// nodeSize is about how many bytes a value takes once it is read, its place in the document included.
const nodeSize = 100

// ofDocument is a document's value, and about how many bytes it can hold. It is of a copy, since the document goes with
// the next one.
func ofDocument(v document.Value) (starlark.Value, int) {
	p := &page{made: map[document.Value]starlark.Value{}}
	return p.value(v.Clone()), v.Length() + nodeSize*v.Size()
}

func (p *page) value(v document.Value) starlark.Value {
	switch v.Kind() {
	case document.Object:
		return &object{page: p, at: v}
	case document.Array:
		if list, ok := p.made[v]; ok {
			return list
		}
		list := p.list(v)
		list.Freeze()
		p.made[v] = list
		return list
	}
	return scalar(v)
}

// list makes a list, with all lists in it and one piece of memory for the objects.
func (p *page) list(v document.Value) *starlark.List {
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
			slab = append(slab, object{page: p, at: item})
			list = append(list, &slab[len(slab)-1])
		case document.Array:
			list = append(list, p.list(item))
		default:
			list = append(list, scalar(item))
		}
	}
	return starlark.NewList(list)
}

// object is an object of a document as a frozen dict. Its members are looked up where they stand; for all else, and where
// there are many, it becomes a dict of Starlark's own, whose values are objects still.
type object struct {
	page  *page
	at    document.Value
	whole *starlark.Dict // nil until wanted
}

// maxSearched is how many values, keys included, an object is searched through.
const maxSearched = 64

// dict is the whole object. It has the last of several equal keys, as the rest of the agent.
func (o *object) dict() *starlark.Dict {
	if o.whole != nil {
		return o.whole
	}
	if made, ok := o.page.made[o.at]; ok {
		o.whole = made.(*starlark.Dict)
		return o.whole
	}
	n := 0
	for range o.at.Members {
		n++
	}
	d := starlark.NewDict(n)
	for key, member := range o.at.Members {
		_ = d.SetKey(starlark.String(key), o.page.value(member)) // a text can be a key of a dict that is not frozen yet
	}
	d.Freeze()
	o.page.made[o.at], o.whole = d, d
	return d
}

// Get implements starlark.Mapping.
func (o *object) Get(key starlark.Value) (starlark.Value, bool, error) {
	name, ok := key.(starlark.String)
	if !ok || o.whole != nil || o.at.Size() > maxSearched {
		return o.dict().Get(key)
	}
	member := o.at.Get(string(name))
	if member == (document.Value{}) {
		return starlark.None, false, nil
	}
	return o.page.value(member), true, nil
}

// Attr has a method get of its own, which needs no whole dict; all others are those of the dict.
func (o *object) Attr(name string) (starlark.Value, error) {
	if name == "get" {
		return starlark.NewBuiltin("get", getMember).BindReceiver(o), nil
	}
	return o.dict().Attr(name)
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

// SetKey is the error of a frozen dict.
func (o *object) SetKey(k, v starlark.Value) error { return o.dict().SetKey(k, v) }

func (o *object) AttrNames() []string        { return o.dict().AttrNames() }
func (o *object) Items() []starlark.Tuple    { return o.dict().Items() }
func (o *object) Iterate() starlark.Iterator { return o.dict().Iterate() }
func (o *object) Len() int                   { return o.dict().Len() }
func (o *object) String() string             { return o.dict().String() }
func (o *object) Type() string               { return "dict" }
func (o *object) Freeze()                    {}
func (o *object) Truth() starlark.Bool       { return o.at.Size() > 1 }
func (o *object) Hash() (uint32, error)      { return o.dict().Hash() }

// Binary is the union with another dict.
func (o *object) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	other, ok := asDict(y)
	switch {
	case op != syntax.PIPE || !ok:
		return nil, nil
	case side == starlark.Left:
		return o.dict().Union(other), nil
	}
	return other.Union(o.dict()), nil
}

// CompareSameType compares with another object or dict. A dict cannot compare itself with an object: see plain.
func (o *object) CompareSameType(op syntax.Token, y starlark.Value, depth int) (bool, error) {
	other, _ := asDict(y) // what says that it is a dict is one
	return o.dict().CompareSameType(op, other, depth)
}

func asDict(v starlark.Value) (*starlark.Dict, bool) {
	if o, ok := v.(*object); ok {
		return o.dict(), true
	}
	d, ok := v.(*starlark.Dict)
	return d, ok
}
