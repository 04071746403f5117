package convert

import (
	"cmp"
	"slices"
	"strconv"
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
	fields := r.v2Fields(n)
	objects := []*block{}
	for _, o := range n.list("object") {
		if b := r.v2Object(n, o); b != nil {
			objects = append(objects, b)
		}
	}
	if len(objects) > 0 {
		fields = r.v2Beside(n, fields, objects)
	}
	all := append(fields, objects...)
	for _, b := range all {
		r.v2Tags(n, b)
		r.v2Time(n, b)
		b.measurement = measurement
	}
	return all
}

// v2Beside adds the fields of a section to each object of the section, as Telegraf does. It returns the blocks of the fields that cannot
// be added to objects.
func (r *reading) v2Beside(n *node, fields, objects []*block) []*block {
	return slices.DeleteFunc(fields, func(b *block) bool {
		if b.items != "" {
			r.lose(n.line, "field", "fields of a list beside an object: Telegraf adds each of them to each object; here they stay for themselves")
			return false
		}
		say(&r.job.notes, n.line, "field", "as in Telegraf, each item of the object has the fields of the section too")
		for _, o := range objects {
			for _, f := range b.fields {
				f.path = o.whole("([(" + f.path + ")?] | .[0])")
				o.fields = append(o.fields, f)
			}
		}
		return true
	})
}

// v2Fields returns one block for all fields that are single values, and one block for each list.
func (r *reading) v2Fields(n *node) []*block {
	var all []*block
	unknown := false
	for _, f := range n.list("field") {
		items, rest, err := gjson(f.str("path"))
		if err != nil {
			f.readAll()
			r.lose(f.line, "path", "the field is left out: %v", err)
			continue
		}
		i := slices.IndexFunc(all, func(b *block) bool { return b.items == items })
		if i < 0 {
			all = append(all, &block{items: items, many: items != "", line: n.line})
			i = len(all) - 1
		}
		kind := v2Kind(f.str("type"))
		if f.str("type") == "" {
			found := r.values(jqOr(joined(items, strings.TrimSuffix(rest, map[bool]string{true: "."}[rest == "." && items != ""]))))
			unknown = unknown || len(found) == 0
			if slices.ContainsFunc(found, func(v any) bool { _, text := v.(string); return text }) {
				kind = fieldText
			}
		}
		all[i].fields = append(all[i].fields, fieldOut{name: v2Name(f), path: v2Typed(rest, f.str("type")), kind: kind})
	}
	if unknown && r.t.strings {
		say(&r.job.notes, n.line, "field", "Telegraf makes a label of a field without a type if its value is a text; add --answer or --ask, so that the value is known")
	}
	return all
}

// v2Name returns the name of a field or tag: the value of its setting rename, or else what follows the last dot of its path.
func v2Name(n *node) string {
	path := n.str("path")
	return strings.ReplaceAll(cmp.Or(n.str("rename"), path[strings.LastIndexByte(path, '.')+1:]), " ", "_")
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

// v2Typed returns a jq expression for a value with a type of json_v2.
func v2Typed(path, name string) string {
	if name == "int" || name == "uint" {
		return truncated(path)
	}
	return path
}

// v2Tags adds the tags of a section to a block. A tag that comes from another list than the fields is left out.
func (r *reading) v2Tags(n *node, b *block) {
	for _, t := range n.list("tag") {
		items, rest, err := gjson(t.str("path"))
		name := v2Name(t)
		switch {
		case err != nil:
			r.lose(t.line, "path", "the tag is left out: %v", err)
		case items == "" && b.items == "":
			b.putTag(tagOut{name: name, value: present(rest)})
		case items == "":
			b.putTag(tagOut{name: name, value: b.whole("((" + present(rest) + ")? // null)")})
		case items == b.items, len(b.wholes) > 0 && items == b.bare:
			r.lose(t.line, "path", "Telegraf combines each value of the tag %s with each value of the fields; here a series has the tag of its own item", word(name))
			b.putTag(tagOut{name: name, value: b.inside(present(rest))})
		default:
			r.lose(t.line, "path", "the tag %s is of another list than the fields; it is left out", word(name))
		}
	}
}

// v2Time sets the time of a block from the section's timestamp, unless the block already has a time.
func (r *reading) v2Time(n *node, b *block) {
	p := n.str("timestamp_path")
	if p == "" || b.time != "" {
		return
	}
	line := n.get("timestamp_path").line
	items, at, err := gjson(p)
	if err != nil || items != "" {
		r.lose(line, "timestamp_path", "the path has no counterpart: there is no timestamp")
		return
	}
	if b.items != "" {
		at = b.whole("([(" + at + ")?] | .[0])")
	}
	r.timeOf(b, at, n.str("timestamp_format"), n.str("timestamp_timezone"), line)
}

// whole adds a member to each item. The value of the member is the result of a jq expression for the whole answer. It returns the jq
// expression of this member within an item.
func (b *block) whole(expression string) string {
	if len(b.wholes) == 0 {
		b.bare = b.items
		for i := range b.fields {
			b.fields[i].path = within(b.fields[i].path)
		}
		for i := range b.tags {
			if !b.tags[i].constant {
				b.tags[i].value = within(b.tags[i].value)
			}
		}
		if b.time != "" {
			b.time = within(b.time)
		}
	}
	b.wholes = append(b.wholes, expression)
	head, members := "", ""
	for i, w := range b.wholes {
		head += w + " as $w" + strconv.Itoa(i) + " | "
		members += ", w" + strconv.Itoa(i) + ": $w" + strconv.Itoa(i)
	}
	b.items, b.many = head+jqOr(b.bare)+" | {item: ."+members+"}", true
	return ".w" + strconv.Itoa(len(b.wholes)-1)
}

// inside takes a jq expression that is relative to an item of the list. It returns the expression relative to an item of the block.
func (b *block) inside(expression string) string {
	if len(b.wholes) == 0 {
		return expression
	}
	return within(expression)
}

// within returns the jq expression for a path within the member named "item".
func within(path string) string {
	switch {
	case path == ".":
		return ".item"
	case strings.HasPrefix(path, ".["):
		return "(.item" + path[1:] + ")"
	case plainPath(path):
		return ".item" + path
	}
	return "(.item | " + path + ")"
}

// v2Object returns the block for an object section.
func (r *reading) v2Object(n, o *node) *block {
	items, rest, err := gjson(o.str("path"))
	if err != nil {
		o.readAll()
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
		for i := range objects {
			objects[i] = v2Selected(o, objects[i], "")
		}
		r.v2Leaves(b, o, leaves(objects))
		return b
	}
	r.v2Names(b, o)
	return b
}

// v2Selected returns a value without the members that an object section leaves out. A member that is an object is left out as a whole.
func v2Selected(o *node, v any, name string) any {
	members, ok := v.(map[string]any)
	if !ok {
		return v
	}
	selected := map[string]any{}
	for k, m := range members {
		under := strings.ReplaceAll(k, " ", "_")
		if name != "" {
			under = name + "_" + under
		}
		_, object := m.(map[string]any)
		_, list := m.([]any)
		if v2Selects(o, under, object || list) {
			selected[k] = v2Selected(o, m, under)
		}
	}
	return selected
}

// v2Selects reports whether an object section selects the member with a name. As in Telegraf, included_keys always includes the tags. A
// member that has members of its own is also selected if its name is the beginning of an included key.
func v2Selects(o *node, name string, hasMembers bool) bool {
	if slices.Contains(o.strs("excluded_keys"), name) {
		return false
	}
	included := o.strs("included_keys")
	return len(included) == 0 || slices.ContainsFunc(append(included, o.strs("tags")...), func(k string) bool {
		return k == name || hasMembers && strings.HasPrefix(k, name)
	})
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
		name, last := strings.ReplaceAll(l.name, " ", "_"), strings.ReplaceAll(l.last, " ", "_")
		r.v2Member(b, o, name, last, cmp.Or(l.path, "."), kind) // an item that is a number has no path
	}
}

// v2Key is a jq expression for what a key contributes to a name.
const v2Key = `tostring | gsub(" "; "_")`

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
		b.items += " | " + flatItems(v2Key, o.strs("excluded_keys"))
		if o.is("disable_prepend_keys") {
			r.lose(o.get("disable_prepend_keys").line, "disable_prepend_keys", "it has no effect here, since only the data shows which part of a name is the key: add --answer or --ask")
		}
	}
	for _, k := range names {
		r.v2Member(b, o, k, k, field(k), fieldNative)
	}
}

// v2Member adds a member of an object as a field, as a tag or as the time.
func (r *reading) v2Member(b *block, o *node, name, last, path string, kind fieldKind) {
	if !v2Selects(o, name, false) {
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
	typed := o.str("fields", name)
	if typed != "" {
		kind = v2Kind(typed)
	}
	switch {
	case o.has("timestamp_key") && name == o.str("timestamp_key"):
		r.timeOf(b, path, o.str("timestamp_format"), o.str("timestamp_timezone"), o.get("timestamp_key").line)
	case slices.Contains(o.strs("tags"), name):
		if !slices.ContainsFunc(b.tags, func(x tagOut) bool { return x.name == shown }) {
			b.tags = append(b.tags, tagOut{name: shown, value: present(path)})
		}
	default:
		path = v2Typed(path, typed)
		if i := slices.IndexFunc(b.fields, func(f fieldOut) bool { return f.name == shown && f.path == path }); i >= 0 {
			return
		}
		b.fields = append(b.fields, fieldOut{name: shown, path: path, kind: kind})
	}
}
