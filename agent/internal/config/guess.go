package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Users who guess how to write a configuration often put a setting nearly in the right place. The functions of this file return what to
// write instead.

// inKind handles a setting of the job n that is written beside the kinds of the job, instead of in one of them. It returns where the
// setting belongs, or "" if no kind has it.
func (r *reader) inKind(n *yaml.Node, path, name string) string {
	var all []string // the kinds that have the setting
	for _, kind := range r.jobKinds() {
		settings := r.settingsOf(kind)
		if settings == nil || !slices.Contains(settingsAt(reflect.TypeOf(settings), ""), name) {
			continue
		}
		if key, _ := child(n, kind); key != nil {
			r.meant[join(path, kind, name)] = true
			return fmt.Sprintf("%q is a setting of %s: write %[2]s: {%[1]s: …}", name, kind)
		}
		all = append(all, kind)
	}
	if len(all) == 0 {
		return ""
	}
	for _, kind := range names(r.catalogue.Fetchers) {
		if key, _ := child(n, kind); key != nil {
			return fmt.Sprintf("%q is a setting of %s, and %s has no such setting", name, strings.Join(all, ", "), kind)
		}
	}
	return fmt.Sprintf("%q is a setting of %s: write such as %s: {%[1]s: …}", name, strings.Join(all, ", "), all[0])
}

// besideKind handles a setting that is written in the settings of a kind at a path, instead of in the job. It returns where the setting
// belongs, or "" if jobs have no such setting.
func (r *reader) besideKind(path, name string) string {
	job, kind := cutLast(path)
	if !strings.HasPrefix(path, "jobs.") || !slices.Contains(r.jobKinds(), kind) {
		return ""
	}
	if !slices.Contains(settingsAt(reflect.TypeFor[JobSettings](), ""), name) && !slices.Contains(r.jobKinds(), name) {
		return ""
	}
	r.meant[join(job, name)] = true
	return fmt.Sprintf("%q is a setting of the job: write it beside %s, not in it", name, kind)
}

// cutLast splits a path before its last name. before is "" if the path has only one name.
func cutLast(path string) (before, last string) {
	at := strings.LastIndexByte(path, '.')
	return path[:max(at, 0)], path[at+1:]
}

// sinkKind handles a sink whose settings do not begin with its kind. It returns what to write instead, or "" if that is not known.
func (r *reader) sinkKind(key, value *yaml.Node) string {
	kinds, first := r.catalogue.sinkNames(), ""
	if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
		first = value.Content[0].Value
	}
	switch {
	case slices.Contains(kinds, first):
		return ""
	case slices.Contains(kinds, key.Value):
		return fmt.Sprintf("a sink has a name and a kind: write NAME: {%s: …}, with a name of your own", key.Value)
	case slices.Contains(kinds, value.Value):
		return fmt.Sprintf("the kind of a sink is a key: write %s: {%s: {…}}", key.Value, value.Value)
	case first == "":
		return ""
	}
	for _, name := range []string{"type", "kind"} {
		if _, kind := child(value, name); kind != nil && slices.Contains(kinds, kind.Value) {
			return fmt.Sprintf("the kind of a sink is a key, not a setting: write %s: {%s: {…}}", key.Value, kind.Value)
		}
	}
	var all []string
	for _, k := range r.catalogue.Sinks {
		if slices.Contains(settingsAt(reflect.TypeOf(k.Defaults()), ""), first) {
			all = append(all, fmt.Sprintf("%s: {%s: {%s: …}}", key.Value, k.Name, first))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "the kind of the sink is missing: write " + strings.Join(all, " or ")
}

// wantedInstead returns what to write instead of a value of the wrong type at a path, "" if that is not known.
func wantedInstead(path string, n *yaml.Node) string {
	_, setting := cutLast(path)
	switch n = resolve(n); {
	case setting == "items" && n.Kind == yaml.SequenceNode:
		return "want a jq expression: write items: " + asExpression(n.Content)
	case setting == "labels" && n.Kind == yaml.ScalarNode && regexp.MustCompile(`^\.[A-Za-z_][\w.]*$`).MatchString(n.Value):
		_, name := cutLast(n.Value)
		return fmt.Sprintf("want the label's name too: write labels: {%s: %s}", name, n.Value)
	}
	return ""
}

// asExpression returns the text of a jq expression for a list of values, as YAML.
func asExpression(values []*yaml.Node) string {
	const most = 8
	var all []string
	for i, v := range values {
		switch v = resolve(v); {
		case i == most:
			all = append(all, "…")
		case i > most:
		case v.Kind != yaml.ScalarNode:
			return ".users[], or a list such as '1, 2'"
		case v.ShortTag() == "!!int" || v.ShortTag() == "!!float" || strings.HasPrefix(v.Value, "."):
			all = append(all, v.Value)
		default:
			all = append(all, strconv.Quote(v.Value))
		}
	}
	return "'" + strings.Join(all, ", ") + "'"
}
