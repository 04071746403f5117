package convert

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Limits for a file of another tool.
const (
	maxNodes = 200_000 // values, including those that aliases repeat
	maxDepth = 100
)

// kind is the kind of a value.
type kind uint8

const (
	null kind = iota
	scalarString
	scalarNumber
	scalarBool
	list
	mapping
)

// node is a value of a YAML or TOML file. It has the line where the value begins.
type node struct {
	kind    kind
	line    int
	text    string // for a scalar
	items   []*node
	members []member
	index   map[string]int // index of each member, by key
}

// member is a key of a mapping, with its line and its value.
type member struct {
	key   string
	line  int
	value *node
	read  bool // the conversion has read the value
}

// get returns the value at a path of keys. It returns nil if there is none.
func (n *node) get(path ...string) *node {
	for _, key := range path {
		if n == nil || n.kind != mapping {
			return nil
		}
		i, ok := n.index[key]
		if !ok {
			return nil
		}
		n.members[i].read = true
		n = n.members[i].value
	}
	return n
}

func (n *node) has(key string) bool { return n.get(key) != nil }

// str returns the text of the scalar at a path, or "".
func (n *node) str(path ...string) string {
	if n = n.get(path...); n != nil && n.kind != list && n.kind != mapping {
		return n.text
	}
	return ""
}

// is reports whether the value at a path is true.
func (n *node) is(path ...string) bool { return n.str(path...) == "true" }

// strs returns the texts in the list at a path. A scalar is treated as a list of one item.
func (n *node) strs(path ...string) []string {
	n = n.get(path...)
	switch {
	case n == nil || n.kind == null || n.kind == mapping:
		return nil
	case n.kind != list:
		return []string{n.text}
	}
	all := []string{}
	for _, item := range n.items {
		all = append(all, item.str())
	}
	return all
}

// list returns the items of the list at a path. A mapping is treated as a list of one item.
func (n *node) list(path ...string) []*node {
	n = n.get(path...)
	switch {
	case n == nil:
		return nil
	case n.kind == mapping:
		return []*node{n}
	}
	return n.items
}

// pairs returns the members of the mapping at a path.
func (n *node) pairs(path ...string) []member {
	if n = n.get(path...); n == nil {
		return nil
	}
	for i := range n.members {
		n.members[i].read = true
	}
	return n.members
}

// readAll marks all members of the tree as read.
func (n *node) readAll() {
	for _, item := range n.items {
		item.readAll()
	}
	for _, m := range n.pairs() {
		m.value.readAll()
	}
}

// empty reports whether the value is missing, null or empty.
func (n *node) empty() bool {
	return n == nil || n.kind == null || n.kind == list && len(n.items) == 0 || n.kind == mapping && len(n.members) == 0 || n.kind == scalarString && n.text == ""
}

// set sets a member of a mapping.
func (n *node) set(key string, line int, value *node) {
	if i, ok := n.index[key]; ok {
		n.members[i].value = value
		return
	}
	if n.index == nil {
		n.index = map[string]int{}
	}
	n.index[key] = len(n.members)
	n.members = append(n.members, member{key: key, line: line, value: value})
}

// yamlReader builds the tree of a YAML document. Aliases and merge keys are written out.
type yamlReader struct{ left int }

var errTooBig = errors.New("the file has too many values, or they are nested too deep")

// readYAML returns the content of a YAML document as a tree.
func readYAML(root *yaml.Node) (*node, error) {
	r := yamlReader{left: maxNodes}
	return r.read(root, 0)
}

func (r *yamlReader) read(y *yaml.Node, depth int) (*node, error) {
	for hops := 0; y.Kind == yaml.AliasNode; hops++ {
		if y.Alias == nil || hops > maxDepth {
			return nil, errTooBig
		}
		y = y.Alias
	}
	if r.left--; r.left < 0 || depth > maxDepth {
		return nil, errTooBig
	}
	n := &node{line: y.Line}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mapping
		return n, r.members(n, y, depth)
	case yaml.SequenceNode:
		n.kind = list
		for _, item := range y.Content {
			one, err := r.read(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, one)
		}
	default:
		n.text, n.kind = y.Value, scalarString
		switch y.ShortTag() {
		case "!!null":
			n.kind, n.text = null, ""
		case "!!int", "!!float":
			n.kind = scalarNumber
		case "!!bool":
			n.kind, n.text = scalarBool, strings.ToLower(y.Value)
		}
	}
	return n, nil
}

// members reads the members of a mapping. Members from merge keys come after its own members.
func (r *yamlReader) members(n *node, y *yaml.Node, depth int) error {
	var merged []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		value, err := r.read(y.Content[i+1], depth+1)
		switch {
		case err != nil:
			return err
		case key.Value == "<<" && key.Style == 0:
			merged = append(merged, value.list()...)
		case key.Kind == yaml.ScalarNode:
			n.set(key.Value, key.Line, value)
		}
	}
	for _, m := range merged {
		for _, p := range m.members {
			if n.has(p.key) {
				continue
			}
			if r.left--; r.left < 0 {
				return errTooBig
			}
			n.set(p.key, p.line, p.value)
		}
	}
	return nil
}

// unwrapped returns the configuration inside a Kubernetes ConfigMap or inside the values of a Helm chart. Its lines are
// those of the outer file. Other files are returned unchanged.
func unwrapped(n *node) (*node, error) {
	var texts []*node
	switch {
	case n.str("kind") == "ConfigMap":
		for _, m := range n.pairs("data") {
			texts = append(texts, m.value)
		}
	case n.get("config", "modules") != nil || n.get("config", "metrics") != nil:
		return n.get("config"), nil
	default:
		for _, key := range []string{"configMap", "configuration"} {
			if inner := n.get(key); inner != nil && n.get(key, "config") != nil {
				texts = append(texts, n.get(key, "config"))
			}
		}
	}
	for _, t := range texts {
		if t.kind == mapping {
			return t, nil
		}
		var doc yaml.Node
		if err := yaml.Load([]byte(t.text), &doc); err != nil || len(doc.Content) == 0 {
			continue
		}
		inner, err := readYAML(doc.Content[0])
		if err != nil {
			return nil, err
		}
		if inner.kind == mapping || inner.kind == list {
			inner.shift(t.line)
			return inner, nil
		}
	}
	if len(texts) > 0 {
		return nil, fmt.Errorf("the ConfigMap has no configuration in data")
	}
	return n, nil
}

// shift adds a number to all line numbers in the tree.
func (n *node) shift(lines int) {
	n.line += lines
	for _, item := range n.items {
		item.shift(lines)
	}
	for i := range n.members {
		n.members[i].line += lines
		n.members[i].value.shift(lines)
	}
}
