package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
)

// filler replaces references in the settings of a kind by their values before the settings are decoded. It finds the
// references by the Go types of the settings, so the kinds need no code for this. It copies nodes instead of changing them,
// since a node with an anchor can belong to several settings.
type filler struct {
	*reader
	filled map[place]*yaml.Node // results by node and type; the node itself while it is being filled
}

type place struct {
	node *yaml.Node
	t    reflect.Type
}

// fill returns the node with its references replaced. It leaves out settings with a type that reads references itself or
// uses a syntax of its own (see [setting.Verbatim]).
func (f *filler) fill(n *yaml.Node, path string, t reflect.Type, isTemplate bool) *yaml.Node {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n == nil || t.Kind() == reflect.Interface || t == reflect.TypeFor[yaml.Node]() || isVerbatim(t) {
		return n
	}
	if known, ok := f.filled[place{n, t}]; ok {
		return known
	}
	f.filled[place{n, t}] = n // needed since an alias can contain itself
	filled := n
	switch n.Kind {
	case yaml.AliasNode:
		if to := f.fill(n.Alias, path, t, isTemplate); to != n.Alias {
			filled = to
		}
	case yaml.MappingNode, yaml.SequenceNode:
		filled = f.children(n, path, t, isTemplate)
	case yaml.ScalarNode:
		filled = f.scalar(n, path, t, isTemplate)
	}
	f.filled[place{n, t}] = filled
	return filled
}

// children fills the values of a mapping, or the items of a list.
func (f *filler) children(n *yaml.Node, path string, t reflect.Type, isTemplate bool) *yaml.Node {
	changed := *n
	changed.Content, changed.Anchor = slices.Clone(n.Content), ""
	fields := settingFields(t)
	for i, value := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array):
			changed.Content[i] = f.fill(value, path, t.Elem(), isTemplate)
		case n.Kind == yaml.SequenceNode: // a list of mappings after <<, each of which is merged into a mapping of type t
			changed.Content[i] = f.fill(value, path, t, isTemplate)
		case i%2 == 1:
			key := resolve(n.Content[i-1])
			if key.ShortTag() == "!!merge" {
				changed.Content[i] = f.fill(value, path, t, isTemplate)
				break
			}
			inner := join(path, key.Value)
			if t.Kind() == reflect.Map {
				changed.Content[i] = f.fill(value, inner, t.Elem(), isTemplate)
			}
			for _, field := range fields {
				tag := field.Tag.Get("setting")
				if settingName(field) == key.Value && !hasTag(tag, "verbatim") {
					changed.Content[i] = f.fill(value, inner, field.Type, hasTag(tag, "template"))
				}
			}
		}
	}
	if slices.Equal(changed.Content, n.Content) {
		return n
	}
	return &changed
}

// scalar fills one value. It reports a problem if a reference cannot be read, or if a text only looks like a reference.
func (f *filler) scalar(n *yaml.Node, path string, t reflect.Type, isTemplate bool) *yaml.Node {
	if n.ShortTag() != "!!str" {
		return n
	}
	value := n.Value
	if setting.IsReference(value) {
		var err error
		if value, err = f.Secrets.Value(value); err != nil {
			f.bad(n, path, "%v", err)
			f.unfilled[position{n.Line, n.Column}] = true
			return n
		}
	} else {
		if problem := misread(value, t, isTemplate); problem != "" {
			f.bad(n, path, "%s", problem)
			f.unfilled[position{n.Line, n.Column}] = true
			return n
		}
		if !isTemplate {
			value = setting.Letters(value)
		}
	}
	if value == n.Value {
		return n
	}
	filled := *n
	filled.Value, filled.Anchor = value, ""
	if k := t.Kind(); k >= reflect.Bool && k <= reflect.Float64 && !isText(t) {
		filled.Tag, filled.Style = "", 0 // the filled value is a number, not a string
	}
	return &filled
}

// misread returns what is wrong with a value that looks like a reference but is not one. It returns "" if nothing is wrong.
func misread(value string, t reflect.Type, isTemplate bool) string {
	look := setting.FindLookalike(value)
	switch isURL := t == reflect.TypeFor[setting.URL]() || isTemplate; {
	case isURL && isTemplate && look != nil:
		return look.InURL()
	case isURL && look != nil:
		return look.WholeURL()
	case isURL && !isTemplate && strings.Contains(value, "{{"):
		return `this URL is not a template: write it as it is, or set it from elsewhere with env:NAME as the whole value`
	case look != nil:
		return look.Whole()
	}
	return ""
}

// position is a line and a column of the file.
type position struct{ line, col int }

// hasTag reports whether a struct tag named setting contains a word. The tag is a list separated by commas.
func hasTag(tag, word string) bool { return slices.Contains(strings.Split(tag, ","), word) }

func isVerbatim(t reflect.Type) bool {
	verbatim := reflect.TypeFor[setting.Verbatim]()
	return t.Implements(verbatim) || reflect.PointerTo(t).Implements(verbatim)
}

// isText reports whether a type is decoded by a method UnmarshalText.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ UnmarshalText(text []byte) error }]())
}
