package config

import (
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
)

// relocator changes relative paths in settings. In a file, such paths are relative to the file's folder. relocator makes
// them relative to the folder of the configuration. It changes the paths in references, also in references within texts, and
// the settings with one of these struct tags:
//
//   - setting:"path" is a path.
//   - setting:"dir" is a folder, by default the folder of the file.
//   - setting:"text" has strings that can contain references, which the reader does not replace.
type relocator struct {
	*File
	seen map[place]bool // mappings and lists that were visited, since an alias can contain itself
	// partial is true for settings in defaults. A setting with the tag "dir" is then not set to its default, since that is
	// the folder of the job's own file.
	partial bool
}

func (r *relocator) relocate(n *yaml.Node, t reflect.Type, tag string) {
	n = resolve(n)
	if n == nil || len(r.parts) == 1 || t == reflect.TypeFor[yaml.Node]() {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.ScalarNode {
		r.value(n, t, tag)
		return
	}
	if r.seen[place{n, t}] {
		return
	}
	r.seen[place{n, t}] = true
	if n.Kind == yaml.MappingNode {
		r.mapping(n, t, tag)
		return
	}
	for _, c := range n.Content {
		r.relocate(c, element(t), tag)
	}
}

func (r *relocator) mapping(n *yaml.Node, t reflect.Type, tag string) {
	fields := settingFields(t)
	for _, p := range pairs(n, 0) {
		if len(fields) == 0 {
			r.relocate(p.value, element(t), tag)
		}
		for _, f := range fields {
			if settingName(f) == p.key.Value {
				r.relocate(p.value, f.Type, f.Tag.Get("setting"))
			}
		}
	}
	prefix := r.part(n.Line).prefix
	if r.partial {
		prefix = ""
	}
	for _, f := range fields {
		if !hasTag(f.Tag.Get("setting"), "dir") || prefix == "" {
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

// value adapts a single value that is a relative path, or that contains a relative path.
func (r *relocator) value(n *yaml.Node, t reflect.Type, tag string) {
	prefix := r.part(n.Line).prefix
	if prefix == "" || r.moved[n] || n.Value == "" {
		return
	}
	value := n.Value
	whole, within := readsReferences(t, tag)
	switch {
	case setting.IsReference(value):
		if whole {
			value = relocated(value, prefix)
		}
	case hasTag(tag, "path") || hasTag(tag, "dir"):
		if !filepath.IsAbs(value) {
			value = filepath.Join(prefix, value)
		}
	case within:
		value = setting.MapReferences(value, func(reference string) string { return relocated(reference, prefix) })
	}
	if value != n.Value {
		r.moved[n] = true
		n.Value = value
	}
}

// readsReferences reports whether a setting of this type can be a reference as a whole, and whether it can have references within a
// text. In other settings, a text that looks like a reference is taken literally.
func readsReferences(t reflect.Type, tag string) (whole, within bool) {
	isText := hasTag(tag, "text") || t == reflect.TypeFor[setting.Secret]() || t == reflect.TypeFor[setting.Text]() || t == reflect.TypeFor[setting.Template]()
	whole = isText || !hasTag(tag, "verbatim") && !isVerbatim(t) && t.Kind() != reflect.Interface
	return whole, isText || hasTag(tag, "template")
}

// relocated returns a reference. If the reference names a file by a relative path, relocated adds the prefix to that path.
func relocated(reference, prefix string) string {
	path, isFile := strings.CutPrefix(reference, "file:")
	if !isFile || filepath.IsAbs(path) {
		return reference
	}
	return "file:" + filepath.Join(prefix, path)
}

// element returns the element type of a map or slice. It returns any other type unchanged.
func element(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Map || t.Kind() == reflect.Slice {
		return t.Elem()
	}
	return t
}
