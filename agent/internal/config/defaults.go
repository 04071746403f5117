package config

import (
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/sources"
)

// setDefaults checks the section defaults and keeps the entries that can be used. An entry is either a setting of every job, or the
// settings of a kind of fetcher or source. The latter are used only for jobs of that kind.
func (r *reader) setDefaults(n *yaml.Node) {
	if n.IsZero() || n.ShortTag() == "!!null" {
		return
	}
	r.inDefaults = true
	defer func() { r.inDefaults = false }()
	r.defaults = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column}
	known := append(settingsAt(reflect.TypeFor[JobSettings](), ""), r.defaultKinds()...)
	r.entries(n, "defaults", `settings of jobs, such as schedule: "@every 60s" or http: {headers: {…}}`, func(key, value *yaml.Node) {
		before := len(r.problems)
		into := r.settingsOf(key.Value)
		switch {
		case slices.Contains(r.jobKinds(), key.Value) && into == nil:
			r.bad(key, "defaults", "%s cannot have defaults: its settings differ from job to job", key.Value)
		case !slices.Contains(known, key.Value):
			r.bad(key, "defaults", "%s", r.unknownSetting("defaults", key.Value, known))
		case into != nil:
			r.load(value, join("defaults", key.Value), into)
		default:
			own := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{key, value}}
			r.load(own, "defaults", &JobSettings{})
		}
		if len(r.problems) == before {
			r.defaults.Content = append(r.defaults.Content, key, value)
		}
	})
}

// defaultKinds returns the names of the kinds that can have defaults.
func (r *reader) defaultKinds() []string {
	return slices.DeleteFunc(r.jobKinds(), func(name string) bool { return r.settingsOf(name) == nil })
}

// settingsOf returns new settings of the kind of fetcher or source with this name. It returns nil if there is no such kind,
// or if its settings have no fixed names, such as those of the kind metrics.
func (r *reader) settingsOf(kind string) any {
	var settings any
	if k, ok := kindOf[sources.Fetcher](r.catalogue.Fetchers, kind); ok {
		settings = k.Defaults()
	} else if k, ok := kindOf[sources.Source](r.catalogue.Sources, kind); ok {
		settings = k.Defaults()
	}
	if t := reflect.TypeOf(settings); t == nil || len(settingFields(descend(t, ""))) == 0 {
		return nil
	}
	return settings
}

// withDefaults returns the settings of a job together with the defaults. A setting of the job replaces its default, mappings
// are merged, and null removes the default.
func (r *reader) withDefaults(job *yaml.Node) *yaml.Node {
	if r.defaults == nil {
		return job
	}
	own := pairs(job, 0)
	has := func(name string) bool {
		return slices.ContainsFunc(own, func(p pair) bool { return p.key.Value == name })
	}
	fitting := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, p := range pairs(r.defaults, 0) {
		if has(p.key.Value) || !slices.Contains(r.jobKinds(), p.key.Value) {
			fitting.Content = append(fitting.Content, p.key, p.value)
		}
	}
	return overlay(job, fitting, 0)
}

// overlay returns a mapping that has all entries of the mapping n. It also has those entries of the mapping in the argument "under" whose
// keys n does not have.
func overlay(n, under *yaml.Node, depth int) *yaml.Node {
	merged := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column, Style: n.Style}
	own := map[string]bool{}
	for _, p := range pairs(n, 0) {
		own[p.key.Value] = true
		value := p.value
		if key, below := child(under, p.key.Value); key != nil {
			mine, theirs := resolve(value), resolve(below)
			switch {
			case mine.ShortTag() == "!!null":
				continue
			case mine.Kind == yaml.MappingNode && theirs.Kind == yaml.MappingNode && depth < maxMergeDepth:
				value = overlay(mine, theirs, depth+1)
			}
		}
		merged.Content = append(merged.Content, p.key, value)
	}
	for _, p := range pairs(under, 0) {
		if !own[p.key.Value] {
			merged.Content = append(merged.Content, p.key, p.value)
		}
	}
	return merged
}
