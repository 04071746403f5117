package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// entries calls f for each key of a mapping, in the order of the file.
func (r *reader) entries(n *yaml.Node, path, want string, f func(key, value *yaml.Node)) {
	n = resolve(n)
	if n == nil || n.IsZero() {
		r.missing(nil, path, want)
		return
	}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		r.bad(n, path, "want %s", want)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if first := seen[key.Value]; first > 0 {
			r.bad(key, path, "%q is set twice, first in line %d", key.Value, first)
			continue
		}
		seen[key.Value] = key.Line
		f(key, resolve(n.Content[i+1]))
	}
}

// goodName checks the name of a job or a sink, which becomes a label's value and a part of addresses.
func (r *reader) goodName(key *yaml.Node, path string) bool {
	switch name := key.Value; {
	case name == "":
		r.bad(key, path, "a name is empty")
	case len(name) > 100 || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }):
		r.bad(key, path, "want a name of at most 100 characters, none of them a control character")
	default:
		return true
	}
	return false
}

func (r *reader) sinks(plan *Plan, n *yaml.Node) {
	r.entries(n, "sinks", `sinks by name, such as page: {expose: {listen: ":8000"}}`, func(key, value *yaml.Node) {
		path := "sinks." + key.Value
		if r.goodName(key, "sinks") {
			if s, ok := r.sink(key, value, path); ok {
				plan.Sinks = append(plan.Sinks, s)
			}
		}
	})
}

func (r *reader) sink(key, value *yaml.Node, path string) (Sink, bool) {
	if value.Kind != yaml.MappingNode || len(value.Content) == 0 {
		r.bad(key, path, "needs a kind: one of %s", strings.Join(r.sinkKinds(), ", "))
		return Sink{}, false
	}
	if len(value.Content) > 2 {
		r.bad(value.Content[2], path, "a sink has one kind; %q is a second", value.Content[2].Value)
		return Sink{}, false
	}
	kindKey, settings := value.Content[0], resolve(value.Content[1])
	for _, kind := range r.catalogue.Sinks {
		if kind.Name != kindKey.Value {
			continue
		}
		path = join(path, kind.Name)
		s := Sink{Name: key.Value, Kind: kind, Config: kind.Defaults(), Key: fingerprint(value)}
		before := len(r.problems)
		r.load(settings, path, s.Config)
		if len(r.problems) == before {
			r.validate(settings, kindKey, path, s.Config)
		}
		return s, true
	}
	r.bad(kindKey, path, "%s", noKind("sink kind", kindKey.Value, r.sinkKinds()))
	return Sink{}, false
}

func (r *reader) sinkKinds() []string {
	var names []string
	for _, k := range r.catalogue.Sinks {
		names = append(names, k.Name)
	}
	return names
}

func noKind(what, name string, known []string) string {
	text := "no " + what + " " + strings.Trim(strings.ReplaceAll(`"`+name+`"`, "\n", " "), " ")
	if meant := closest(name, known); meant != "" {
		return text + `; did you mean "` + meant + `"?`
	}
	return text + "; there are " + strings.Join(known, ", ")
}
