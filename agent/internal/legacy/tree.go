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
	at      *yaml.Node // what to point at where a key is missing
	name    string     // its path
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

// Literals tells of every text in a file of the Python framework under which key it stands: a key such as api_key may hold
// the secret itself.
func Literals(doc *config.Document, tell func(key, value string)) { literals(doc.Root, tell) }

func literals(n *yaml.Node, tell func(key, value string)) {
	for _, m := range members(n) {
		if m.value.Kind == yaml.ScalarNode && m.key.Value != keySecrets {
			tell(m.key.Value, m.value.Value)
		}
		literals(m.value, tell)
	}
}

// whole is the file as a member.
func whole(root *yaml.Node) member { return member{root, root} }

// object reads an object, each key of which stands there once.
func (r *reader) object(m member, path string) object {
	o := object{at: m.key, name: path}
	if m.value.Kind != yaml.MappingNode {
		r.bad(m.value, path, "want an object: { … }")
		return o
	}
	first := map[string]int{} // line, by key
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

func members(n *yaml.Node) []member {
	var all []member
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		all = append(all, member{n.Content[i], n.Content[i+1]})
	}
	return all
}

// word reads a text. Where there is none, or an empty one, at is nil; where there is something else, the word is empty.
func (r *reader) word(o object, name string) (word string, at *yaml.Node) {
	m, ok := o.get(name)
	if ok && (m.value.Kind != yaml.ScalarNode || m.value.ShortTag() != "!!str") {
		r.bad(m.value, o.path(name), "want a text")
		return "", m.value
	}
	if !ok || m.value.Value == "" {
		return "", nil
	}
	return m.value.Value, m.value
}

// number is a finite number.
func number(n *yaml.Node) (float64, bool) {
	if tag := n.ShortTag(); n.Kind != yaml.ScalarNode || tag != "!!int" && tag != "!!float" {
		return 0, false
	}
	number, err := strconv.ParseFloat(n.Value, 64)
	return number, err == nil && !math.IsNaN(number) && !math.IsInf(number, 0)
}

// findAlias finds an alias, which JSON does not have: what it stands for could be more than there is memory for.
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

// The nodes below stand where one of the old file stood, so that a problem with them is shown at its line.

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

// clean is a node of the old file without its layout: an encoder chooses its own.
func clean(n *yaml.Node) *yaml.Node {
	c := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Style: n.Style & yaml.TaggedStyle, Line: n.Line, Column: n.Column}
	for _, one := range n.Content {
		c.Content = append(c.Content, clean(one))
	}
	return c
}

// comment is a text fit for a comment: in one line.
func comment(text string) string {
	return "# " + strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' || c == '\ufeff' {
			return ' '
		}
		return c
	}, text)
}
