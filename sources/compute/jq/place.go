package jq

import (
	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
)

// place is where the expressions of a walk look into objects: at an item itself, or at the end of a path from there. What
// they look up at one place is found by reading each object's keys once. An object that is met elsewhere costs time and
// nothing else. The zero value is where a walk's items are.
type place struct {
	members document.Lookup
	inner   map[string]*place
}

// member is a key at a place.
type member struct {
	of   *document.Lookup
	slot int
}

// path is the members on a path from the place.
func (p *place) path(names []string) []member {
	var all []member
	for _, name := range names {
		all = append(all, member{&p.members, p.members.Slot(name)})
		p = p.at(name)
	}
	return all
}

// at is the place behind a member, or behind an expression's text.
func (p *place) at(name string) *place {
	if p.inner == nil {
		p.inner = map[string]*place{}
	}
	if p.inner[name] == nil {
		p.inner[name] = &place{}
	}
	return p.inner[name]
}

// after is the place of what an expression gives.
func (p *place) after(q *gojq.Query) *place {
	path, each := jq.Path(q)
	if path == nil || each {
		return p.at(q.String())
	}
	for _, name := range path {
		p = p.at(name)
	}
	return p
}

// forget has to be called before a document is parsed in the memory of one that expressions have run on.
func (p *place) forget() {
	p.members.Forget()
	for _, inner := range p.inner {
		inner.forget()
	}
}
