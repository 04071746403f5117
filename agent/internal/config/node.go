package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// child returns the value of a key in a mapping, or an item of a list by its index. The result "key" is the node at which a problem with
// the name is shown. For a list, this is the item.
func child(n *yaml.Node, name string) (key, value *yaml.Node) {
	n = resolve(n)
	if n == nil {
		return nil, nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	}
	return nil, nil
}

// resolve returns the node that an alias refers to. It returns any other node unchanged.
func resolve(n *yaml.Node) *yaml.Node {
	for hops := 0; n != nil && n.Kind == yaml.AliasNode && hops < 100; hops++ {
		n = n.Alias
	}
	return n
}

// find returns the node at which a problem with a setting is shown. It is the value of the setting, or its key if the value
// is a mapping or a list. If the setting does not exist, it is the node of the nearest existing setting above it. Names can
// contain dots, so find tries the longest name first.
func find(n *yaml.Node, path string) *yaml.Node {
	at := n
	for path != "" {
		key, value, rest := next(n, path)
		if key == nil {
			break
		}
		at, n, path = value, value, rest
		if resolved := resolve(value); resolved != nil && resolved.Kind != yaml.ScalarNode {
			at = key
		}
	}
	return at
}

// next returns the child whose name is the beginning of a path, and the remaining path.
func next(n *yaml.Node, path string) (key, value *yaml.Node, rest string) {
	for name := path; name != ""; {
		if key, value = child(n, name); key != nil {
			return key, value, strings.TrimPrefix(path[len(name):], ".")
		}
		cut := strings.LastIndexByte(name, '.')
		if cut < 0 {
			break
		}
		name = name[:cut]
	}
	return nil, nil, ""
}

// pathTo returns the path of the node at a line and column. If the node is a key, the result "path" is the path of its mapping, and the
// result "key" is the name. The result ok reports whether there is such a node.
func pathTo(n *yaml.Node, line, col int) (path, key string, ok bool) {
	switch n.Kind {
	case yaml.DocumentNode:
		for _, c := range n.Content {
			if path, key, ok := pathTo(c, line, col); ok {
				return path, key, true
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i], n.Content[i+1]
			if name.Line == line && name.Column == col {
				return "", name.Value, true
			}
			if path, key, ok := pathTo(value, line, col); ok {
				return join(name.Value, path), key, true
			}
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			if path, key, ok := pathTo(c, line, col); ok {
				return join(strconv.Itoa(i), path), key, true
			}
		}
	}
	return "", "", n.Line == line && n.Column == col
}

// nodeAt returns the value at a line and column, or n if there is none.
func nodeAt(n *yaml.Node, line, col int) *yaml.Node {
	found := n
	var look func(n *yaml.Node)
	look = func(n *yaml.Node) {
		for i, c := range n.Content {
			if c.Line == line && c.Column == col && (n.Kind != yaml.MappingNode || i%2 == 1) {
				found = c
				return
			}
			look(c)
		}
	}
	look(n)
	return found
}

// settingPath returns the path of the setting at a line and column, or "" if there is none.
func settingPath(n *yaml.Node, line, col int) string {
	path, key, _ := pathTo(n, line, col)
	return join(path, key)
}

func join(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, ".")
}

// fingerprint returns a text that is equal for two nodes with the same meaning, even if their layout and comments differ.
func fingerprint(n *yaml.Node) string {
	var b strings.Builder
	writeFingerprint(&b, n, map[*yaml.Node]int{})
	return b.String()
}

// writeFingerprint writes the fingerprint of a node. It writes the node of an alias only once, since the node can contain
// itself, or be too large for the memory when repeated.
func writeFingerprint(b *strings.Builder, n *yaml.Node, seen map[*yaml.Node]int) {
	if n.Kind == yaml.AliasNode {
		n = resolve(n)
		if at, again := seen[n]; again {
			fmt.Fprintf(b, "*%d", at)
			return
		}
	}
	seen[n] = len(seen)
	fmt.Fprintf(b, "%d %s %q(", n.Kind, n.ShortTag(), n.Value)
	for _, c := range n.Content {
		writeFingerprint(b, c, seen)
	}
	b.WriteByte(')')
}

// pair is a key and a value of a mapping.
type pair struct{ key, value *yaml.Node }

// maxMerges is how many levels deep merges (<<) can be nested.
const maxMerges = 10

// pairs returns the entries of a mapping, and then the entries that << merges into it.
func pairs(n *yaml.Node, depth int) []pair {
	var own, merged []pair
	has := func(all []pair, name string) bool {
		return slices.ContainsFunc(all, func(p pair) bool { return p.key.Value == name })
	}
	n = resolve(n)
	for i := 0; i+1 < len(n.Content) && depth < maxMerges; i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		if key.ShortTag() != "!!merge" {
			own = append(own, pair{key, n.Content[i+1]})
			continue
		}
		from := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			from = value.Content
		}
		for _, f := range from {
			for _, p := range pairs(f, depth+1) {
				if !has(merged, p.key.Value) {
					merged = append(merged, p)
				}
			}
		}
	}
	for _, p := range merged {
		if !has(own, p.key.Value) {
			own = append(own, p)
		}
	}
	return own
}
