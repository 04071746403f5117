package convert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/jq"
)

// maxValues is the maximum number of values that are taken from an answer.
const maxValues = 10_000

var errTooMany = errors.New("too many values")

// values returns the values of a jq expression for the answer. It returns nil if there is no answer or if the expression is
// not valid.
func (r *reading) values(expression string) []any {
	if len(r.answer) == 0 {
		return nil
	}
	doc, err := decodeJSON(r.answer)
	if err != nil {
		r.lose(0, "--answer", "the answer of the job is not JSON")
		r.answer = nil
		return nil
	}
	_, code, err := jq.Compile(expression)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var all []any
	_ = code.Each(ctx, doc, func(v any) error { // after an error, the values that were found before are used
		if len(all) == maxValues {
			return errTooMany
		}
		all = append(all, v)
		return nil
	})
	return all
}

// leaf is a scalar value in an item. The field name has the keys of its path, joined by _. The field path has its jq expression within
// the item.
type leaf struct {
	name  string
	last  string // the last key of its path
	path  string
	value any
}

const maxLeaves = 20_000

// flatten appends the scalars of a value to the list "all". Their names are the keys of the path joined by _.
func flatten(v any, name, last, path string, all []leaf) []leaf {
	if len(all) >= maxLeaves || strings.Count(path, ".")+strings.Count(path, "[") > maxDepth {
		return all
	}
	under := func(key string) string {
		if name == "" {
			return key
		}
		return name + "_" + key
	}
	switch x := v.(type) {
	case map[string]any:
		for _, k := range sortedKeys(x) {
			all = flatten(x[k], under(k), k, path+field(k), all)
		}
	case []any:
		for i, e := range x {
			access := "[" + strconv.Itoa(i) + "]"
			if path == "" {
				access = "." + access
			}
			all = flatten(e, under(strconv.Itoa(i)), strconv.Itoa(i), path+access, all)
		}
	case nil:
	default:
		all = append(all, leaf{name, last, path, v})
	}
	return all
}

// leaves returns the scalars of all items, and each path only once. If a path has a text in one item and a number in another, leaves
// returns the path for both.
func leaves(items []any) []leaf {
	var all []leaf
	at := map[string]bool{}
	for _, item := range items {
		for _, l := range flatten(item, "", "", "", nil) {
			kind := fmt.Sprintf("%T %s", l.value, l.path)
			if !at[kind] && len(all) < maxLeaves {
				at[kind] = true
				all = append(all, l)
			}
		}
	}
	return all
}

// jsonKey is a jq expression for what a key contributes to a name.
const jsonKey = "tostring"

// flatItems returns a jq expression that turns an item into an object of its scalars with flattened names. The argument key is a jq
// expression for what a key contributes to a name. The object lacks the scalars that have an excluded name, and those in objects that
// have such a name.
func flatItems(key string, excluded []string) string {
	name, kept := `map(`+key+`) | join("_")`, ""
	if len(excluded) > 0 {
		var parts []string
		for _, e := range excluded {
			parts = append(parts, ". != "+quote(e))
		}
		kept = "select(all(range($p | length) as $n | $p[:$n + 1] | " + name + "; " + strings.Join(parts, " and ") + ")) | "
	}
	return `[paths(type | . != "object" and . != "array") as $p | ` + kept + "{key: ($p | " + name + "), value: getpath($p)}] | from_entries"
}

// each is a jq expression for the items of a list, or for the value itself if it is not a list.
const each = `if type == "array" then .[] else . end`

// json converts the data format json, which is Telegraf's first format for JSON. Each number in an item is a field with a
// flattened name.
func (r *reading) json() []*block {
	if r.job.kind == "http" {
		r.set("json")
	}
	b := &block{line: r.n.get("data_format").line, many: true}
	prefix := "."
	if q := r.n.str("json_query"); q != "" {
		items, rest, err := gjson(q)
		if err != nil {
			r.lose(r.n.get("json_query").line, "json_query", "%v", err)
			return nil
		}
		prefix = jqOr(joined(items, strings.TrimPrefix(rest, map[bool]string{true: "."}[rest == "." && items != ""])))
		if items != "" {
			prefix = "[" + prefix + "]"
		}
	}
	if r.n.has("json_name_key") {
		r.lose(r.n.get("json_name_key").line, "json_name_key", "the name is data, which has no counterpart")
	}
	found := r.values(prefix)
	items := []any{}
	for _, v := range found {
		if l, ok := v.([]any); ok {
			items = append(items, l...)
			b.items = iterate(prefix)
		} else {
			items = append(items, v)
			b.items, b.many = prefix, false
		}
	}
	if b.items == "." {
		b.items = ""
	}
	if len(found) == 0 {
		r.jsonByNames(b, prefix)
		return []*block{b}
	}
	r.jsonFields(b, leaves(items))
	return []*block{b}
}

// iterate returns a jq expression for the items of a list.
func iterate(list string) string {
	if strings.HasSuffix(list, ")") || strings.HasSuffix(list, "]") && !strings.HasPrefix(list, "[") || plainPath(list) {
		return list + "[]"
	}
	return list + " | .[]"
}

func plainPath(s string) bool { return !strings.ContainsAny(s, " |") && strings.HasPrefix(s, ".") }

// jsonFields sets the fields and tags of a block from the scalars in the answer.
func (r *reading) jsonFields(b *block, all []leaf) {
	tags, texts := globs(r.n.strs("tag_keys")), globs(r.n.strs("json_string_fields"))
	timeKey := ""
	if keys := r.n.strs("json_time_key"); len(keys) > 0 {
		timeKey = keys[0]
	}
	seen := map[string]int{}
	for _, l := range all {
		switch _, number := l.value.(float64); {
		case tags.match(l.name):
			if !slices.ContainsFunc(b.tags, func(x tagOut) bool { return x.name == l.name }) {
				b.tags = append(b.tags, tagOut{name: l.name, value: present(l.path)})
			}
		case l.name == timeKey:
			r.timeOf(b, l.path, r.n.str("json_time_format"), r.n.str("json_timezone"), r.n.get("json_time_key").line)
		case number:
			f := fieldOut{name: l.name, path: l.path, kind: fieldNumber}
			if i, again := seen[l.name]; again {
				b.fields[i].path = "(" + b.fields[i].path + " // " + l.path + ")"
				continue
			}
			seen[l.name] = len(b.fields)
			b.fields = append(b.fields, f)
		case texts.match(l.name):
			kind := fieldText
			if _, truth := l.value.(bool); truth {
				kind = fieldNative
			}
			if _, again := seen[l.name]; !again {
				seen[l.name] = len(b.fields)
				b.fields = append(b.fields, fieldOut{name: l.name, path: l.path, kind: kind})
			}
		}
	}
}

// jsonByNames sets the fields whose names are in the configuration. It is used if there is no answer.
func (r *reading) jsonByNames(b *block, prefix string) {
	included := filter{r.n}.included()
	tags := globs(r.n.strs("tag_keys"))
	b.items, b.many = piped(prefix, each+" | "+flatItems(jsonKey, nil)), true
	for _, name := range tags {
		if (globs{name}).exact() {
			b.tags = append(b.tags, tagOut{name: name, value: present(field(name))})
		}
	}
	texts := globs(r.n.strs("json_string_fields"))
	for _, name := range included {
		switch {
		case !(globs{name}).exact() || tags.match(name):
		case texts.match(name):
			b.fields = append(b.fields, fieldOut{name: name, path: field(name), kind: fieldText})
		default:
			b.fields = append(b.fields, fieldOut{name: name, path: field(name), kind: fieldNumber})
		}
	}
	if !included.exact() || len(tags) > 0 && !tags.exact() {
		b.needs = "the names of the fields are those of the data"
	}
}
