package config

import (
	"slices"
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
	for _, p := range pairs(n, 0) {
		if first := seen[p.key.Value]; first > 0 {
			r.bad(p.key, path, "%q is set twice, first in line %d", p.key.Value, first)
			continue
		}
		seen[p.key.Value] = p.key.Line
		f(p.key, resolve(p.value))
	}
}

type pair struct{ key, value *yaml.Node }

// maxMerges is how deep merges may lead into each other.
const maxMerges = 10

// pairs are the keys and values of a mapping, those that << merges in included where the mapping has none of the name.
func pairs(n *yaml.Node, depth int) []pair {
	var own, merged []pair
	has := func(all []pair, name string) bool {
		return slices.ContainsFunc(all, func(p pair) bool { return p.key.Value == name })
	}
	n = resolve(n)
	for i := 0; i+1 < len(n.Content) && depth < maxMerges; i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		if key.ShortTag() != "!!merge" {
			own = append(own, pair{key, n.Content[i+1]})
			continue
		}
		from := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			from = value.Content
		}
		for _, f := range from {
			for _, p := range pairs(f, depth+1) {
				if !has(merged, p.key.Value) {
					merged = append(merged, p)
				}
			}
		}
	}
	for _, p := range merged {
		if !has(own, p.key.Value) {
			own = append(own, p)
		}
	}
	return own
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
			r.sinkNames = append(r.sinkNames, key.Value)
			if s, ok := r.sink(plan, key, value, path); ok {
				plan.Sinks = append(plan.Sinks, s)
			}
		}
	})
}

func (r *reader) sink(plan *Plan, key, value *yaml.Node, path string) (Sink, bool) {
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
		s.Key += r.named(plan, settings, path, s.Config)
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
	if meant := Closest(name, known); meant != "" {
		return text + `; did you mean "` + meant + `"?`
	}
	return text + "; there are " + strings.Join(known, ", ")
}
