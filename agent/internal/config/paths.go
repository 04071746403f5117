package config

import (
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
)

// relocate changes the relative paths in settings, which are relative to the file in which they are written, to be relative to the
// folder of the configuration. References to secrets have paths, and so do settings with the tag setting:"path" or setting:"dir":
// a folder that is by default the one of the file. Strings within a setting with the tag setting:"text" can be references.
func (r *reader) relocate(n *yaml.Node, t reflect.Type, tag string, depth int) {
	n = resolve(n)
	if n == nil || depth > maxMergeDepth || len(r.parts) == 1 {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n.Kind {
	case yaml.ScalarNode:
		r.relocateValue(n, t, tag)
	case yaml.SequenceNode:
		for _, c := range n.Content {
			r.relocate(c, element(t), tag, depth+1)
		}
	case yaml.MappingNode:
		r.relocateMapping(n, t, tag, depth)
	}
}

func (r *reader) relocateMapping(n *yaml.Node, t reflect.Type, tag string, depth int) {
	fields := settingFields(t)
	for _, p := range pairs(n, 0) {
		if len(fields) == 0 {
			r.relocate(p.value, element(t), tag, depth+1)
		}
		for _, f := range fields {
			if settingName(f) == p.key.Value {
				r.relocate(p.value, f.Type, f.Tag.Get("setting"), depth+1)
			}
		}
	}
	prefix := r.part(n.Line).prefix
	for _, f := range fields {
		if f.Tag.Get("setting") != "dir" || prefix == "" {
			continue
		}
		if key, _ := child(n, settingName(f)); key == nil {
			node := func(text string) *yaml.Node {
				return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: n.Line, Column: n.Column}
			}
			value := node(prefix)
			r.moved[value] = true
			n.Content = append(n.Content, node(settingName(f)), value)
		}
	}
}

// relocateValue changes a single value, if it is a relative path.
func (r *reader) relocateValue(n *yaml.Node, t reflect.Type, tag string) {
	prefix := r.part(n.Line).prefix
	if prefix == "" || r.moved[n] || n.Value == "" {
		return
	}
	isText := t == reflect.TypeFor[setting.Secret]() || t == reflect.TypeFor[setting.Text]() || tag == "text"
	scheme, path := "", n.Value
	if of, reference := strings.CutPrefix(path, "file:"); reference && isText {
		scheme, path = "file:", of
	} else if tag != "path" && tag != "dir" || isText && setting.Text(path).IsReference() {
		return
	}
	if path == "" || filepath.IsAbs(path) {
		return
	}
	r.moved[n] = true
	n.Value = scheme + filepath.Join(prefix, path)
}

// element returns the type of the values of a map or list, and another type as it is.
func element(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Map || t.Kind() == reflect.Slice {
		return t.Elem()
	}
	return t
}
