package convert

import (
	"cmp"
	"slices"
	"strings"
)

// jsonV2 converts a section of the data format json_v2, which is Telegraf's second format for JSON.
func (r *reading) jsonV2(n *node) []*block {
	if r.job.kind == "http" && r.job.settings != nil && !hasKey(r.job.settings.Content, "format") {
		r.set("json")
	}
	measurement := n.str("measurement_name")
	if p := n.str("measurement_name_path"); p != "" {
		r.lose(n.get("measurement_name_path").line, "measurement_name_path", "the name is data, which has no counterpart")
	}
	var all []*block
	if fields := n.list("field"); len(fields) > 0 {
		all = append(all, r.v2Fields(n, fields)...)
	}
	for _, o := range n.list("object") {
		if b := r.v2Object(n, o); b != nil {
			all = append(all, b)
		}
	}
	for _, b := range all {
		b.measurement = measurement
	}
	return all
}

// v2Fields returns one block for all fields that are single values, and one block for each list.
func (r *reading) v2Fields(n *node, fields []*node) []*block {
	var all []*block
	for _, f := range fields {
		items, rest, err := gjson(f.str("path"))
		if err != nil {
			r.lose(f.line, "path", "the field is left out: %v", err)
			continue
		}
		i := slices.IndexFunc(all, func(b *block) bool { return b.items == items })
		if i < 0 {
			all = append(all, &block{items: items, many: items != "", line: n.line})
			i = len(all) - 1
			r.v2Tags(n, all[i])
			if p := n.str("timestamp_path"); p != "" && items == "" {
				if _, at, err := gjson(p); err == nil {
					r.timeOf(all[i], at, n.str("timestamp_format"), n.str("timestamp_timezone"), n.get("timestamp_path").line)
				}
			}
		}
		name := cmp.Or(f.str("rename"), lastPart(f.str("path")))
		if strings.HasSuffix(f.str("path"), "#") && !f.has("rename") {
			name = "#"
		}
		all[i].fields = append(all[i].fields, fieldOut{name: name, path: rest, kind: v2Kind(f.str("type"))})
	}
	return all
}

func v2Kind(name string) fieldKind {
	switch name {
	case "int", "uint", "float":
		return fieldTyped
	case "bool":
		return fieldBool
	case "string":
		return fieldText
	}
	return fieldNative
}

// v2Tags adds the tags of a block. A tag that does not come from the same list as the fields is left out.
func (r *reading) v2Tags(n *node, b *block) {
	for _, t := range n.list("tag") {
		items, rest, err := gjson(t.str("path"))
		name := cmp.Or(t.str("rename"), lastPart(t.str("path")))
		switch {
		case err != nil:
			r.lose(t.line, "path", "the tag is left out: %v", err)
		case items == b.items:
			b.tags = append(b.tags, tagOut{name: name, value: present(rest)})
		case items == "":
			r.lose(t.line, "path", "the tag %s is of the whole answer, the fields of a list; it is left out", word(name))
		default:
			r.lose(t.line, "path", "the tag %s is of another list than the fields; it is left out", word(name))
		}
	}
}

// v2Object returns the block for an object section.
func (r *reading) v2Object(n, o *node) *block {
	items, rest, err := gjson(o.str("path"))
	if err != nil {
		r.lose(o.line, "path", "the object is left out: %v", err)
		return nil
	}
	path := jqOr(joined(items, strings.TrimSuffix(rest, map[bool]string{true: "."}[rest == "." && items != ""])))
	b := &block{line: o.line, many: true, items: path + " | " + each}
	if path == "." {
		b.items = each
	}
	for _, key := range []string{"timestamp_path", "field", "tag"} {
		if o.has(key) {
			r.lose(o.get(key).line, key, "inside of an object it has no counterpart")
		}
	}
	found := r.values(path)
	var objects []any
	for _, v := range found {
		if l, ok := v.([]any); ok {
			objects = append(objects, l...)
			if len(found) == 1 {
				b.items = iterate(path)
			}
		} else {
			objects = append(objects, v)
			if len(found) == 1 {
				b.items, b.many = path, items != ""
			}
		}
	}
	if len(objects) > 0 {
		r.v2Leaves(b, o, leaves(objects))
		return b
	}
	r.v2Names(b, o)
	return b
}

// v2Leaves sets the fields and tags of a block from the scalars in the answer.
func (r *reading) v2Leaves(b *block, o *node, all []leaf) {
	for _, l := range all {
		if strings.Contains(l.path, "[") {
			r.lose(o.line, "object", "a list inside of the object has no counterpart; it is left out")
			continue
		}
		kind := fieldNative
		if _, text := l.value.(string); text {
			kind = fieldText
		}
		r.v2Member(b, o, l.name, l.last, l.path, kind)
	}
}

// v2Names sets the fields and tags whose names are in the configuration. It is used if there is no answer.
func (r *reading) v2Names(b *block, o *node) {
	names := slices.Clone(o.strs("included_keys"))
	for _, key := range [][]string{o.strs("tags"), {o.str("timestamp_key")}} {
		for _, k := range key {
			if k != "" && !slices.Contains(names, k) {
				names = append(names, k)
			}
		}
	}
	if !o.has("included_keys") {
		b.needs = "the names of the fields are those of the data"
		for _, m := range o.pairs("fields") {
			if !slices.Contains(names, m.key) {
				names = append(names, m.key)
			}
		}
	}
	if slices.ContainsFunc(names, func(k string) bool { return strings.Contains(k, "_") }) {
		b.items += " | " + flatItems
	}
	for _, k := range names {
		r.v2Member(b, o, k, k, field(k), fieldNative)
	}
}

// v2Member adds a member of an object as a field, as a tag or as the time.
func (r *reading) v2Member(b *block, o *node, name, last, path string, kind fieldKind) {
	included, excluded := o.strs("included_keys"), o.strs("excluded_keys")
	if len(included) > 0 && !slices.Contains(included, name) || slices.Contains(excluded, name) {
		return
	}
	shown := name
	if o.is("disable_prepend_keys") {
		shown = last
	}
	for _, m := range o.pairs("renames") {
		if m.key == name {
			shown = m.value.str()
		}
	}
	if typed := o.str("fields", name); typed != "" {
		kind = v2Kind(typed)
	}
	switch {
	case name == o.str("timestamp_key"):
		r.timeOf(b, path, o.str("timestamp_format"), o.str("timestamp_timezone"), o.get("timestamp_key").line)
	case slices.Contains(o.strs("tags"), name):
		if !slices.ContainsFunc(b.tags, func(x tagOut) bool { return x.name == shown }) {
			b.tags = append(b.tags, tagOut{name: shown, value: present(path)})
		}
	default:
		if i := slices.IndexFunc(b.fields, func(f fieldOut) bool { return f.name == shown && f.path == path }); i >= 0 {
			return
		}
		b.fields = append(b.fields, fieldOut{name: shown, path: path, kind: kind})
	}
}
