package jq

import (
	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
)

// pathNode is a node in the tree of paths that the expressions of a walk share. The root stands for an item, a child for one of
// its members. All members that expressions look up at one node are found by reading each object's keys once.
//
// A node caches the members of the last object only, so an expression at the wrong node costs time and nothing else. The
// zero value is a root.
type pathNode struct {
	members  document.Lookup
	children map[string]*pathNode
}

// member is a key that is looked up at a node.
type member struct {
	of   *document.Lookup
	slot int
}

// lookups returns the members on a path from the node.
func (n *pathNode) lookups(names []string) []member {
	var all []member
	for _, name := range names {
		all = append(all, member{&n.members, n.members.Slot(name)})
		n = n.child(name)
	}
	return all
}

// child returns the node of a member, or of the result of any expression, given its text.
func (n *pathNode) child(name string) *pathNode {
	if n.children == nil {
		n.children = map[string]*pathNode{}
	}
	if n.children[name] == nil {
		n.children[name] = &pathNode{}
	}
	return n.children[name]
}

// nodeAfter returns the node of the result of an expression.
func (n *pathNode) nodeAfter(q *gojq.Query) *pathNode {
	path, each := jq.Path(q)
	if path == nil || each {
		return n.child(q.String())
	}
	for _, name := range path {
		n = n.child(name)
	}
	return n
}

// forget discards the cached members. It must be called before each document: the next one is parsed in the same memory, so
// that another object may have the position of the cached one.
func (n *pathNode) forget() {
	n.members.Forget()
	for _, child := range n.children {
		child.forget()
	}
}
