package config

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
)

// Unresolved returns a problem for each reference in the settings of logins, sinks and jobs that read cannot read. Secrets are
// read at each use, so a configuration is valid without them.
func (p *Plan) Unresolved(read func(reference string) error) Problems {
	if p.files == nil || p.root == nil {
		return nil
	}
	u := &unresolved{files: p.files, read: read, seen: map[*yaml.Node]bool{}}
	for _, section := range []string{"auth", "sinks"} {
		if _, n := child(p.root, section); n != nil {
			u.walk(n, section)
		}
	}
	for _, j := range p.Jobs {
		u.walk(j.node, "jobs."+j.Name)
	}
	return u.found
}

// unresolved collects the problems of references.
type unresolved struct {
	files *File
	read  func(reference string) error
	seen  map[*yaml.Node]bool // nodes of anchors are used several times
	found Problems
}

func (u *unresolved) walk(n *yaml.Node, path string) {
	if n = resolve(n); n == nil || u.seen[n] {
		return
	}
	u.seen[n] = true
	switch n.Kind {
	case yaml.MappingNode:
		for _, p := range pairs(n, 0) {
			u.walk(p.value, join(path, p.key.Value))
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			u.walk(item, path)
		}
	case yaml.ScalarNode:
		for _, reference := range referencesOf(n.Value) {
			if err := u.read(reference); err != nil {
				u.found = append(u.found, u.files.Problem(n, path, text.OneLine(err.Error())))
			}
		}
	}
}

// referencesOf returns the references in a value: the value itself, or those within it.
func referencesOf(value string) (all []string) {
	if setting.IsReference(value) {
		return []string{value}
	}
	setting.MapReferences(value, func(reference string) string {
		if !slices.Contains(all, reference) {
			all = append(all, reference)
		}
		return reference
	})
	return all
}
