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

// keeps reports whether a name is kept. It must match pass, unless pass is empty, and must not match drop.
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
	for _, pass := range []bool{true, false} {
		key := map[bool]string{true: "tagpass", false: "tagdrop"}[pass]
		var parts []string
		for _, m := range f.n.pairs(key) {
			part, ok := b.tagTest(m.key, globs(f.n.strs(key, m.key)))
			if ok {
				parts = append(parts, part)
			}
		}
		switch {
		case len(f.n.pairs(key)) == 0:
		case len(parts) == 0 && pass:
			return false
		case len(parts) == 0:
		case pass:
			b.choose(strings.Join(parts, " or "))
		default:
			b.choose("(" + strings.Join(parts, " or ") + ") | not")
		}
	}
	if f.n.has("metricpass") {
		t.out.lose(notes, f.n.get("metricpass").line, "metricpass", "there is no counterpart")
	}
	return true
}

// trims removes fields and tags of a block, and reports whether any fields are left.
func (f filter) trims(b *block) bool {
	b.fields = slices.DeleteFunc(b.fields, func(x fieldOut) bool { return !f.field(x.name) })
	b.tags = slices.DeleteFunc(b.tags, func(x tagOut) bool { return !f.tag(x.name) })
	return len(b.fields) > 0
}

// tagTest returns a jq condition that is true if a tag matches globs. It returns false if no item can match: the block does not have the
// tag, or there are no globs. An item without the tag, whose value is "" here, does not match.
func (b *block) tagTest(name string, g globs) (string, bool) {
	if len(g) == 0 {
		return "", false
	}
	for _, x := range b.tags {
		if x.name != name {
			continue
		}
		if x.constant {
			return map[bool]string{true: "true", false: "false"}[g.match(x.value)], true
		}
		present := map[bool]string{true: `. != "" and `}[g.match("")]
		return "(" + x.value + " | tostring | " + present + "test(" + quote(g.pattern()) + "))", true
	}
	return "", false
}

// choose keeps only the items that meet a condition.
func (b *block) choose(condition string) {
	b.items = jqOr(b.items) + " | select(" + condition + ")"
}
