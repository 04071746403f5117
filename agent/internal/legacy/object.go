package legacy

import (
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/config"
)

// member is a key of an object and its value.
type member struct{ key, value *yaml.Node }

// object is a JSON object of the old file.
type object struct {
	at      *yaml.Node // a missing key is reported at the line of this node
	name    string     // path of the object in the file
	members []member
}

func (o object) get(name string) (member, bool) {
	for _, m := range o.members {
		if m.key.Value == name {
			return m, true
		}
	}
	return member{}, false
}

func (o object) path(name string) string { return join(o.name, name) }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// Literals calls f for every scalar in a file of the Python framework, with the key of the scalar. The value of a key such as api_key
// can be a secret.
func Literals(file *config.File, f func(key, value string)) { literals(file.Root, f) }

func literals(n *yaml.Node, f func(key, value string)) {
	for _, m := range members(n) {
		if m.value.Kind == yaml.ScalarNode && m.key.Value != keySecrets {
			f(m.key.Value, m.value.Value)
		}
		literals(m.value, f)
	}
}

// whole returns the top level of the file as a member, which is the type that r.object takes.
func whole(root *yaml.Node) member { return member{root, root} }

// object reads an object. It reports a problem if the value is not an object, or if a key is set twice.
func (r *reader) object(m member, path string) object {
	o := object{at: m.key, name: path}
	if m.value.Kind != yaml.MappingNode {
		r.bad(m.value, path, "want an object: { … }")
		return o
	}
	first := map[string]int{} // line at which each key is set first
	for _, one := range members(m.value) {
		if line := first[one.key.Value]; line > 0 {
			r.bad(one.key, path, "%q is set twice, first in line %d", one.key.Value, line)
			continue
		}
		first[one.key.Value] = one.key.Line
		o.members = append(o.members, one)
	}
	return o
}

// members returns the keys and values of a mapping. It returns nothing if n is another kind of node, or nil.
func members(n *yaml.Node) []member {
	var all []member
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		all = append(all, member{n.Content[i], n.Content[i+1]})
	}
	return all
}

// text reads a string. If the string is missing or empty, the result "at" is nil. If the value is not a string, text reports this problem
// and returns "".
func (r *reader) text(o object, name string) (value string, at *yaml.Node) {
	m, ok := o.get(name)
	if ok && (m.value.Kind != yaml.ScalarNode || m.value.ShortTag() != "!!str") {
		r.bad(m.value, o.path(name), "want a string")
		return "", m.value
	}
	if !ok || m.value.Value == "" {
		return "", nil
	}
	return m.value.Value, m.value
}

// number returns the value of a node that is a finite number.
func number(n *yaml.Node) (float64, bool) {
	if tag := n.ShortTag(); n.Kind != yaml.ScalarNode || tag != "!!int" && tag != "!!float" {
		return 0, false
	}
	number, err := strconv.ParseFloat(n.Value, 64)
	return number, err == nil && !math.IsNaN(number) && !math.IsInf(number, 0)
}

// findAlias returns the first alias in a document, or nil. Aliases are refused: JSON has none, and resolving them could need too much
// memory.
func findAlias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n
	}
	for _, c := range n.Content {
		if alias := findAlias(c); alias != nil {
			return alias
		}
	}
	return nil
}

// The functions text, mapping and list return nodes of the translation with the line and column of the node "at", which belongs to the
// old file. Problems with the new nodes are reported at that place.

func text(at *yaml.Node, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Line: at.Line, Column: at.Column}
}

func mapping(at *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: at.Line, Column: at.Column}
}

func list(at *yaml.Node, items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle, Content: items, Line: at.Line, Column: at.Column}
}

func add(m, key, value *yaml.Node) { m.Content = append(m.Content, key, value) }

// clean returns a copy of a node of the old file without its quotes, flow style and comments, so that the encoder chooses the style.
func clean(n *yaml.Node) *yaml.Node {
	c := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Style: n.Style & yaml.TaggedStyle, Line: n.Line, Column: n.Column}
	for _, one := range n.Content {
		c.Content = append(c.Content, clean(one))
	}
	return c
}

// comment returns a text as a YAML comment on one line.
func comment(text string) string {
	return "# " + strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' || c == '\ufeff' {
			return ' '
		}
		return c
	}, text)
}
