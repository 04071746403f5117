package format

import (
	"bytes"

	"github.com/collectington/collectington/agent/document"
)

// value adds an element or attribute.
func (x *elements) value(at uint32) {
	e := &x.all[at]
	switch {
	case x.isAttribute(at):
		x.built.TextAt(e.value)
	case x.hasMembers(at):
		x.children(at)
	default:
		if p, some := x.textOf(at); some {
			x.built.TextAt(p)
		} else {
			x.built.Literal(document.Null)
		}
	}
}

func (x *elements) isAttribute(at uint32) bool { return x.names[x.all[at].name].Local[0] == '@' }

func (x *elements) hasMembers(at uint32) bool {
	for c := x.all[at].first; c != 0; c = x.all[c].next {
		if x.all[c].name != noName {
			return true
		}
	}
	return false
}

// children adds the object of an element's children.
func (x *elements) children(at uint32) {
	for c := x.all[at].first; c != 0; c = x.all[c].next {
		name := x.all[c].name
		if name == noName {
			continue
		}
		if x.parent[name] == at {
			x.all[x.last[name]].twin = c
			x.all[c].isTwin = true
		}
		x.parent[name], x.last[name] = at, c
	}
	x.built.Begin(document.Object)
	for c := x.all[at].first; c != 0; c = x.all[c].next {
		if x.all[c].name != noName && !x.all[c].isTwin {
			x.member(c)
		}
	}
	if p, some := x.textOf(at); some {
		x.built.Text([]byte("#text"))
		x.built.TextAt(p)
	}
	x.built.End()
}

// member adds a key and the child that has it, or the list of those that have.
func (x *elements) member(c uint32) {
	name := x.all[c].name
	x.built.TextAt(x.keys[name])
	if x.all[c].twin == 0 && !x.listed[name] {
		x.value(c)
		return
	}
	x.built.Begin(document.Array)
	for ; c != 0; c = x.all[c].twin {
		x.value(c)
	}
	x.built.End()
}

// textOf is the text of an element, its pieces put together.
func (x *elements) textOf(at uint32) (document.TextRef, bool) {
	x.spare = x.spare[:0]
	for c := x.all[at].first; c != 0; c = x.all[c].next {
		if x.all[c].name == noName {
			x.spare = append(x.spare, x.built.At(x.all[c].value)...)
		}
	}
	trimmed := bytes.TrimSpace(x.spare)
	if len(trimmed) == 0 {
		return document.TextRef{}, false
	}
	return x.built.Keep(trimmed), true
}
