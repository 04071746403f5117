package config

import (
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/auth"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
)

// Unresolved calls the function "read" for each reference in the settings of logins, sinks and jobs. It returns a problem for each
// reference that cannot be read. Secrets are read at each use, so a configuration is valid without them.
func (p *Plan) Unresolved(read func(reference string) error) Problems {
	if p.files == nil || p.root == nil {
		return nil
	}
	u := &unresolved{files: p.files, read: read, seen: map[place]bool{}}
	_, logins := child(p.root, "auth")
	u.walk(logins, "auth", reflect.TypeFor[map[string]auth.Settings](), "")
	_, all := child(p.root, "sinks")
	for _, s := range p.Sinks {
		_, sink := child(all, s.Name)
		_, settings := child(sink, s.Kind.Name)
		u.walk(settings, join("sinks", s.Name, s.Kind.Name), reflect.TypeOf(s.Config), "")
	}
	for _, j := range p.Jobs {
		u.job(&j)
	}
	return u.found
}

// unresolved collects the problems of references.
type unresolved struct {
	files *File
	read  func(reference string) error
	seen  map[place]bool // nodes that were visited, since aliases can lead to the same node several times
	found Problems
}

// job walks through the settings that every job has, and those of the job's kinds.
func (u *unresolved) job(j *Job) {
	own := settingFields(reflect.TypeFor[JobSettings]())
	for _, p := range pairs(j.node, 0) {
		name, path := p.key.Value, join("jobs", j.Name, p.key.Value)
		i := slices.IndexFunc(own, func(f reflect.StructField) bool { return settingName(f) == name })
		switch {
		case i >= 0:
			u.walk(p.value, path, own[i].Type, own[i].Tag.Get("setting"))
		case name == j.SourceKind.Name:
			u.walk(p.value, path, reflect.TypeOf(j.SourceConfig), "")
		case j.FetcherConfig != nil:
			u.walk(p.value, path, reflect.TypeOf(j.FetcherConfig), "")
		}
	}
}

// walk looks at each reference in n and in the nodes below it. If the reference cannot be read, walk adds a problem. The argument t is the
// type into which n is decoded, and tag is the struct tag of its setting. The type relocator walks through nodes in the same way.
func (u *unresolved) walk(n *yaml.Node, path string, t reflect.Type, tag string) {
	n = resolve(n)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n == nil || u.seen[place{n, t}] {
		return
	}
	u.seen[place{n, t}] = true
	switch n.Kind {
	case yaml.MappingNode:
		fields := settingFields(t)
		for _, p := range pairs(n, 0) {
			if len(fields) == 0 {
				u.walk(p.value, join(path, p.key.Value), element(t), tag)
			}
			for _, f := range fields {
				if settingName(f) == p.key.Value {
					u.walk(p.value, join(path, p.key.Value), f.Type, f.Tag.Get("setting"))
				}
			}
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			u.walk(item, path, element(t), tag)
		}
	case yaml.ScalarNode:
		for _, reference := range referencesOf(n.Value, t, tag) {
			if err := u.read(reference); err != nil {
				u.found = append(u.found, u.files.Problem(n, path, text.OneLine(err.Error())))
			}
		}
	}
}

// referencesOf returns the references that the program reads in a value: the value itself, or those within it.
func referencesOf(value string, t reflect.Type, tag string) (all []string) {
	whole, within := readsReferences(t, tag)
	switch {
	case setting.IsReference(value) && whole:
		return []string{value}
	case setting.IsReference(value) || !within:
		return nil
	}
	setting.MapReferences(value, func(reference string) string {
		if !slices.Contains(all, reference) {
			all = append(all, reference)
		}
		return reference
	})
	return all
}
