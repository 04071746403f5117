package convert

import (
	"regexp"
	"slices"
	"strings"
)

// globPattern converts a glob of Telegraf to a regular expression without anchors.
func globPattern(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '[':
			if end := strings.IndexByte(glob[i:], ']'); end > 0 {
				b.WriteString("[" + strings.Replace(glob[i+1:i+end], "!", "^", 1) + "]")
				i += end
				continue
			}
			b.WriteString(`\[`)
		case '{':
			if end := strings.IndexByte(glob[i:], '}'); end > 0 {
				var parts []string
				for p := range strings.SplitSeq(glob[i+1:i+end], ",") {
					parts = append(parts, globPattern(p))
				}
				b.WriteString("(" + strings.Join(parts, "|") + ")")
				i += end
				continue
			}
			b.WriteString(`\{`)
		case '\\':
			if i+1 < len(glob) {
				i++
			}
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		}
	}
	return b.String()
}

// globs is a list of glob patterns. The zero value matches nothing.
type globs []string

// pattern returns the globs as a regular expression. As in Telegraf, a wildcard matches a line break too, and a brace is an ordinary
// character unless one of the globs has a wildcard.
func (g globs) pattern() string {
	wild := slices.ContainsFunc(g, func(s string) bool { return strings.ContainsAny(s, "*?[") })
	var parts []string
	for _, glob := range g {
		if !wild {
			parts = append(parts, regexp.QuoteMeta(glob))
			continue
		}
		parts = append(parts, globPattern(glob))
	}
	return map[bool]string{true: "(?s)"}[wild] + "^(" + strings.Join(parts, "|") + ")$"
}

func (g globs) match(name string) bool {
	if len(g) == 0 {
		return false
	}
	re, err := regexp.Compile(g.pattern())
	return err == nil && re.MatchString(name)
}

// exact reports whether all globs are names without wildcards.
func (g globs) exact() bool {
	return len(g) > 0 && !slices.ContainsFunc(g, func(s string) bool { return strings.ContainsAny(s, `*?[{\`) })
}

// filter applies the metric filters of an input, a processor or an output.
type filter struct {
	n *node
}

func (f filter) of(keys ...string) globs {
	var all globs
	for _, k := range keys {
		all = append(all, f.n.strs(k)...)
	}
	return all
}

func (f filter) included() globs { return f.of("fieldinclude", "fieldpass") }

// keeps reports whether a name is kept. The name must match a glob in "pass", unless "pass" is empty. It must not match a glob in "drop".
func keeps(name string, pass, drop globs) bool {
	return (len(pass) == 0 || pass.match(name)) && !drop.match(name)
}

// field reports whether a field is kept.
func (f filter) field(name string) bool {
	return keeps(name, f.included(), f.of("fieldexclude", "fielddrop"))
}

// measurement reports whether a measurement is kept.
func (f filter) measurement(name string) bool { return keeps(name, f.of("namepass"), f.of("namedrop")) }

func (f filter) tag(name string) bool { return keeps(name, f.of("taginclude"), f.of("tagexclude")) }

// apply filters a block, and reports whether any fields are left.
func (f filter) apply(t *telegraf, b *block, notes *[]note) bool {
	return f.selects(t, b, notes) && f.trims(b)
}

// selects reports whether the filter keeps a block, judging by the name and the tags of the block. It restricts the items
// of the block to those that the filter keeps.
func (f filter) selects(t *telegraf, b *block, notes *[]note) bool {
	if !f.measurement(b.measurement) {
		return false
	}
	condition, some := f.condition(t, b, notes)
	if condition != "" {
		b.choose(condition)
	}
	return some
}

// condition returns a jq condition for the items that the settings tagpass and tagdrop keep, or "" if they keep all items. The result
// "some" is false if they keep no item.
func (f filter) condition(t *telegraf, b *block, notes *[]note) (condition string, some bool) {
	if f.n.has("metricpass") {
		t.out.lose(notes, f.n.get("metricpass").line, "metricpass", "there is no counterpart")
	}
	pass, passed := f.tagTests(t, b, "tagpass", notes)
	drop, dropped := f.tagTests(t, b, "tagdrop", notes)
	if len(f.n.pairs("tagpass")) == 0 {
		passed = true
	}
	var parts []string
	if !passed && len(pass) > 0 {
		parts = append(parts, "("+strings.Join(pass, " or ")+")")
	}
	if len(drop) > 0 {
		parts = append(parts, "("+strings.Join(drop, " or ")+" | not)")
	}
	return strings.Join(parts, " and "), !dropped && (passed || len(pass) > 0)
}

// tagTests returns the jq conditions of a setting. An item matches if at least one of these conditions is true. The result "all" is true
// if all items match. A tag whose value is not known is treated as if the setting had no effect.
func (f filter) tagTests(t *telegraf, b *block, key string, notes *[]note) (parts []string, all bool) {
	for _, m := range f.n.pairs(key) {
		g := globs(f.n.strs(key, m.key))
		x, ok := b.find(m.key)
		switch {
		case len(g) == 0 || !ok:
		case x.variable, x.machine:
			x.constant = true
			t.out.lose(notes, m.line, key, "the tag %s %s, so the condition is left out", word(x.name), x.unknown())
			all = all || key == "tagpass"
		case x.constant:
			all = all || g.match(x.value)
		case x.filled:
			parts = append(parts, "("+x.text()+" | test("+quote(g.pattern())+"))")
		default: // an item without the tag does not match
			parts = append(parts, "("+x.text()+" | . != null and test("+quote(g.pattern())+"))")
		}
	}
	return parts, all
}

// trims removes the fields and tags that the filter does not keep from a block. It reports whether any fields are left.
func (f filter) trims(b *block) bool {
	b.fields = slices.DeleteFunc(b.fields, func(x fieldOut) bool { return !f.field(x.name) })
	b.tags = slices.DeleteFunc(b.tags, func(x tagOut) bool { return !f.tag(x.name) })
	return len(b.fields) > 0
}

// choose keeps only the items that meet a condition.
func (b *block) choose(condition string) {
	b.items = jqOr(b.items) + " | select(" + condition + ")"
}
