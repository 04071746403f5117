package config

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// child is the value under a key of a mapping, or an item of a list, with the node to point at when it is wrong: the key
// where the name is what matters.
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

func resolve(n *yaml.Node) *yaml.Node {
	for hops := 0; n != nil && n.Kind == yaml.AliasNode && hops < 100; hops++ {
		n = n.Alias
	}
	return n
}

// find follows a path of names as far as it goes and is the place to point at: the value of the last name, or the nearest
// key above it that stands in the file. Names may hold dots themselves, so the longest name that fits goes first.
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

// pathTo is the path of the mapping or list that holds the node at a line and column, with the name of that node where it
// is a key; and whether there is one.
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

// place is the path of the setting at a line and column, "" where there is none.
func place(n *yaml.Node, line, col int) string {
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

// fingerprint is the same for two nodes that mean the same, whatever their layout and comments.
func fingerprint(n *yaml.Node) string {
	var b strings.Builder
	writeFingerprint(&b, n, map[*yaml.Node]int{})
	return b.String()
}

// writeFingerprint writes what an alias stands for once: it may hold itself, or more than there is memory for.
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
