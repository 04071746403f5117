package jq

import (
	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
)

// pathNode is a node in the tree of paths that expressions share. The root stands for an item, and a child for a member of the item, and so
// on. If expressions look up several members at one node, the keys of the object are read only once.
//
// A node only caches the members of the newest object. An expression that uses the wrong node is slower, but its result is still right. The
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

// lookups returns the members on a path that begins at the node.
func (n *pathNode) lookups(names []string) []member {
	var all []member
	for _, name := range names {
		all = append(all, member{&n.members, n.members.Slot(name)})
		n = n.child(name)
	}
	return all
}

// child returns the node for the member with this name. A node can also stand for the result of an expression that is not a path. Then the
// name is the text of the expression.
func (n *pathNode) child(name string) *pathNode {
	if n.children == nil {
		n.children = map[string]*pathNode{}
	}
	if n.children[name] == nil {
		n.children[name] = &pathNode{}
	}
	return n.children[name]
}

// nodeAfter returns the node for the result of an expression.
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

// forget discards the cached members. It must be called before each document: the next document is parsed into the same memory, so
// another object may be at the position of a cached one.
func (n *pathNode) forget() {
	n.members.Forget()
	for _, child := range n.children {
		child.forget()
	}
}
