package convert

import (
	"cmp"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/collectington/collectington/agent/pattern"
)

// processor is a processor of Telegraf.
type processor struct {
	name  string
	n     *node
	order int
}

func processors(root *node) []processor {
	var all []processor
	for _, kind := range root.pairs("processors") {
		for _, n := range kind.value.list() {
			order, _ := strconv.Atoi(n.str("order"))
			all = append(all, processor{kind.key, n, order})
		}
	}
	slices.SortStableFunc(all, func(a, b processor) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.n.line, b.n.line))
	})
	return all
}

// process applies a processor to a block.
func (t *telegraf) process(p processor, b *block, notes *[]note) {
	f := filter{p.n}
	if !f.measurement(b.measurement) {
		return
	}
	for _, key := range []string{"tagpass", "tagdrop", "fieldpass", "fieldinclude", "fielddrop", "fieldexclude", "metricpass"} {
		if p.n.has(key) {
			t.out.lose(notes, p.n.get(key).line, key, "there is no counterpart for it in a processor")
		}
	}
	switch p.name {
	case "rename":
		for _, r := range p.n.list("replace") {
			b.rename(r)
		}
	case "enum":
		before := slices.Clone(b.tags) // as in Telegraf, no mapping reads the result of another mapping
		for _, m := range p.n.list("mapping") {
			t.enum(b, before, m, notes)
		}
	case "converter":
		t.converter(b, p.n, notes)
	case "regex":
		for _, key := range []string{"tags", "fields", "tag_rename", "field_rename", "metric_rename"} {
			for _, r := range p.n.list(key) {
				t.regex(b, key, r, notes)
			}
		}
	case "override", "defaults":
		for _, m := range p.n.pairs("tags") {
			b.setTag(m.key, t.out.publicLabel(notes, m.line, m.key, m.value.str()), p.name == "override")
		}
		for _, key := range []string{"name_override", "name_prefix", "name_suffix"} {
			b.named(key, p.n.str(key))
		}
	case "strings":
		t.letterCase(b, p.n, notes)
	default:
		t.out.lose(notes, p.n.line, "processors."+p.name, "there is no counterpart")
	}
}

func (b *block) named(key, value string) {
	switch {
	case value == "":
	case key == "name_override":
		b.measurement = value
	case key == "name_prefix":
		b.measurement = value + b.measurement
	case key == "name_suffix":
		b.measurement += value
	}
}

// setTag sets a constant tag. If the block already has the tag, it is replaced only if replace is true.
func (b *block) setTag(name, value string, replace bool) {
	i := slices.IndexFunc(b.tags, func(x tagOut) bool { return x.name == name })
	switch {
	case i < 0:
		b.tags = append(b.tags, tagOut{name: name, value: value, constant: true})
	case replace:
		b.tags[i] = tagOut{name: name, value: value, constant: true}
	case !b.tags[i].constant && !b.tags[i].filled: // the data can have a value of its own
		b.tags[i].value = "((" + b.tags[i].value + ` | select(. != "")) // ` + quote(value) + ")"
		b.tags[i].filled = value != ""
	}
}

func (b *block) rename(r *node) {
	dest := r.str("dest")
	if dest == "" {
		return
	}
	if m := r.str("measurement"); m != "" && m == b.measurement {
		b.measurement = dest
	}
	for i := range b.fields {
		if r.has("field") && b.fields[i].name == r.str("field") {
			b.fields[i].name = dest
		}
	}
	for i := range b.tags {
		if r.has("tag") && b.tags[i].name == r.str("tag") {
			b.tags[i].name = dest
		}
	}
}

// enum replaces the texts of a field or a tag by the values of a mapping. before has the tags as they were before the processor.
func (t *telegraf) enum(b *block, before []tagOut, m *node, notes *[]note) {
	names := globs(append(m.strs("field"), m.strs("fields")...))
	tags := globs(append(m.strs("tag"), m.strs("tags")...))
	dest := m.str("dest")
	mapping := &node{kind: mapping}
	if v := m.get("value_mappings"); v != nil {
		mapping = v
	}
	var added []fieldOut
	for i := range b.fields {
		if !names.match(b.fields[i].name) {
			continue
		}
		x := b.fields[i]
		x.name = cmp.Or(dest, x.name)
		x.kind, x.mapped, x.fallback = fieldMapped, map[string]float64{}, cmp.Or(m.str("default"), "drop")
		for _, v := range mapping.pairs() {
			f, err := strconv.ParseFloat(v.value.str(), 64)
			if err != nil {
				t.out.lose(notes, v.line, "value_mappings", "a value is no number; it is left out")
				continue
			}
			x.mapped[v.key] = f
		}
		if dest != "" {
			added = append(added, x)
			continue
		}
		b.fields[i] = x
	}
	b.fields = append(b.fields, added...)
	for _, x := range before {
		if tags.match(x.name) {
			change{t, b, m.line, "processors.enum", notes}.enumTag(x, m)
		}
	}
}

// enumTag maps the value of a tag. As in Telegraf, a tag that is missing is not mapped, and a value without a mapping and a default does
// not change the tag named in dest.
func (c change) enumTag(x tagOut, m *node) {
	dest, values := cmp.Or(m.str("dest"), x.name), map[string]string{}
	var parts []string
	for _, v := range m.pairs("value_mappings") {
		values[v.key] = c.t.out.publicLabel(c.notes, v.line, "value_mappings", v.value.str())
		if v.key != "" {
			parts = append(parts, quote(v.key)+": "+quote(values[v.key]))
		}
	}
	fallback := ""
	if d := m.get("default"); d != nil {
		fallback = c.t.out.publicLabel(c.notes, d.line, "default", d.str())
	}
	if x.constant {
		if !c.known(x) {
			return
		}
		v, found := values[x.value]
		if !found {
			v, found = fallback, m.has("default")
		}
		if found {
			c.b.setTag(dest, v, true)
		}
		return
	}
	mapped := "{" + strings.Join(parts, ", ") + "}[$v | tostring]"
	if m.has("default") {
		mapped += ` // (if $v == "" then null else ` + quote(fallback) + " end)"
	}
	c.set(x, dest, mapped)
}

// converter converts the types of fields and tags. It can make a tag from a field, and a field from a tag.
func (t *telegraf) converter(b *block, n *node, notes *[]note) {
	tags := globs(n.strs("fields", "tag"))
	b.fields = slices.DeleteFunc(b.fields, func(x fieldOut) bool {
		if !tags.match(x.name) {
			return false
		}
		b.tags = append(b.tags, tagOut{name: x.name, value: present(x.path)})
		return true
	})
	for _, m := range n.pairs("fields") {
		switch m.key {
		case "tag":
		case "integer", "unsigned", "float", "boolean":
			g := globs(n.strs("fields", m.key))
			for i := range b.fields {
				if g.match(b.fields[i].name) {
					b.fields[i].kind = fieldTyped
				}
			}
		default:
			t.out.lose(notes, m.line, m.key, "the conversion has no counterpart")
		}
	}
	for _, m := range n.pairs("tags") {
		g := globs(n.strs("tags", m.key))
		if m.key == "measurement" || m.key == "string" {
			t.out.lose(notes, m.line, m.key, "the conversion has no counterpart")
			continue
		}
		b.tags = slices.DeleteFunc(b.tags, func(x tagOut) bool {
			if !g.match(x.name) || x.constant {
				return false
			}
			b.fields = append(b.fields, fieldOut{name: x.name, path: x.value, kind: fieldTyped})
			return true
		})
	}
}

// regex changes the values of tags, or makes other tags of them. Rules that change anything else have no counterpart.
func (t *telegraf) regex(b *block, where string, r *node, notes *[]note) {
	c := change{t, b, r.line, "processors.regex", notes}
	quoted, replacement, dest := quote(r.str("pattern")), r.str("replacement"), r.str("result_key")
	keys, appends := globs{r.str("key")}, r.is("append")
	re, err := regexp.Compile(r.str("pattern"))
	if err != nil || where != "tags" || strings.Contains(replacement, "$") || appends || !compiles("test("+quoted+")") {
		c.lose("the rule has no counterpart: write it into the expression of the label")
		return
	}
	var groups []string
	if names := re.SubexpNames()[1:]; dest == "" && replacement == "" && !slices.Contains(names, "") {
		groups = names // Telegraf makes a tag of each group
	}
	sources := slices.DeleteFunc(slices.Clone(b.tags), func(x tagOut) bool { return !keys.match(x.name) })
	if len(sources) > 1 && (dest != "" || len(groups) > 0) {
		c.lose("the rule makes the same tag of several tags: write the expression of the label by hand")
		return
	}
	if len(sources) > 0 {
		replacement = t.out.publicLabel(notes, r.line, "replacement", replacement)
	}
	for _, x := range sources {
		switch {
		case len(groups) > 0:
			for _, g := range groups {
				c.set(x, g, "$v | capture("+quoted+")["+quote(g)+`] | select(. != null and . != "")`)
			}
		case dest == "" && x.constant:
			if c.known(x) {
				b.setTag(x.name, re.ReplaceAllString(x.value, replacement), true)
			}
		default:
			present := map[bool]string{true: `. != "" and `}[re.MatchString("")] // a missing tag is "" here, and nothing in Telegraf
			test, replaced := present+"test("+quoted+")", substitution(r.str("pattern"), replacement)
			if dest != "" || present != "" {
				c.set(x, cmp.Or(dest, x.name), "$v | select("+test+") | "+replaced)
			} else if c.fits(x, x.name) {
				b.derive(x.name, x.text()+" | "+replaced)
			}
		}
	}
}

// substitution returns a jq expression that replaces all matches of a pattern. As in Go, an empty match directly after another match is not
// replaced; gsub of jq would replace it too.
func substitution(text, replacement string) string {
	p, err := pattern.Compile(text)
	if replacement == "" || err == nil && !p.CanBeEmpty() || anchored(text) {
		return "gsub(" + quote(text) + "; " + quote(replacement) + ")"
	}
	return `. as $s | reduce match(` + quote(text) + `; "g") as $m ({end: 0}; ` +
		`if $m.length == 0 and $m.offset > 0 and $m.offset == .end then . else ` +
		`.text += $s[.end:$m.offset] + ` + quote(replacement) + ` | .end = $m.offset + $m.length end) | .text + $s[.end:]`
}

// anchored reports whether each match of a pattern is at the start of the text. It returns false for some patterns of this kind.
func anchored(text string) bool {
	tree, err := syntax.Parse(text, syntax.Perl)
	return err == nil && tree.Op == syntax.OpConcat && tree.Sub[0].Op == syntax.OpBeginText
}

// change is a rule of a processor that changes the tags of a block.
type change struct {
	t     *telegraf
	b     *block
	line  int
	key   string // what a note is about
	notes *[]note
}

func (c change) lose(format string, args ...any) {
	c.t.out.lose(c.notes, c.line, c.key, format, args...)
}

// maxExpressions limits the length of the expressions in bytes that a rule puts together. Without a limit, each rule could double it.
const maxExpressions = 8 << 10

// known reports whether the value of a tag is free of variables, which stay as they are in a label. If it is not, known adds a note.
func (c change) known(x tagOut) bool {
	if x.constant && strings.Contains(x.value, "$") {
		c.lose("the tag %s has a variable, so the rule is left out: write the values that the rule gives into the labels", word(x.name))
		return false
	}
	return true
}

// fits reports whether the expression of the tag dest can include that of the tag x. If not, it adds a note.
func (c change) fits(x tagOut, dest string) bool {
	if len(x.value)+len(c.b.tag(dest).value) > maxExpressions {
		c.lose("the expression of the tag %s would be too long, so the tag stays as it is: write the expression of the label by hand", word(dest))
		return false
	}
	return true
}

// set sets the tag dest to a jq expression of $v, the value of the tag x. If the expression gives nothing, the tag dest keeps its value.
func (c change) set(x tagOut, dest, expression string) {
	old := c.b.tag(dest)
	if !c.known(x) || !c.known(old) || !c.fits(x, dest) {
		return
	}
	keep := old.text()
	if old == x {
		keep = "$v"
	}
	c.b.derive(dest, x.text()+" as $v | ("+expression+") // "+keep)
}

// tag returns the tag with a name. If the block does not have the tag, its value is empty.
func (b *block) tag(name string) tagOut {
	for _, x := range b.tags {
		if x.name == name {
			return x
		}
	}
	return tagOut{name: name, constant: true}
}

// derive sets the value of a tag to a jq expression within an item. It adds the tag if the block does not have it.
func (b *block) derive(name, expression string) {
	b.setTag(name, "", true)
	i := slices.IndexFunc(b.tags, func(x tagOut) bool { return x.name == name })
	b.tags[i] = tagOut{name: name, value: "(" + expression + ")"}
}

// text returns a jq expression for the value of a tag.
func (x tagOut) text() string {
	if x.constant {
		return quote(x.value)
	}
	return "(" + x.value + ")"
}

// letterCase changes tags to lower or upper case. As in Telegraf, all rules for lower case come first. Rules that change anything else have
// no counterpart.
func (t *telegraf) letterCase(b *block, n *node, notes *[]note) {
	for _, m := range slices.SortedStableFunc(slices.Values(n.pairs()), func(a, b member) int { return cmp.Compare(a.key, b.key) }) {
		jq := map[string]string{"lowercase": "ascii_downcase", "uppercase": "ascii_upcase"}[m.key]
		for _, r := range m.value.list() {
			if r.kind != mapping { // a name of namepass or namedrop
				continue
			}
			dest, tag := r.str("dest"), r.str("tag")
			if jq == "" || tag == "" || r.has("field") || r.has("measurement") {
				t.out.lose(notes, r.line, "processors.strings", "the rule has no counterpart: write it into the expression of the label")
				continue
			}
			if tag == "*" {
				dest = "" // as in Telegraf
			}
			for _, x := range slices.Clone(b.tags) {
				if x.name != tag && tag != "*" {
					continue
				}
				if !x.constant {
					say(notes, r.line, m.key, "Telegraf changes all letters of the tag %s; here only A to Z are changed", word(x.name))
				}
				change{t, b, r.line, "processors.strings", notes}.letterCase(x, cmp.Or(dest, x.name), jq)
			}
		}
	}
}

// letterCase sets the tag named dest to the value of a tag in another case. jq is the function of jq for it. A tag that is missing changes
// nothing.
func (c change) letterCase(x tagOut, dest, jq string) {
	switch {
	case !c.known(x):
	case x.constant && jq == "ascii_downcase":
		c.b.setTag(dest, strings.ToLower(x.value), true)
	case x.constant:
		c.b.setTag(dest, strings.ToUpper(x.value), true)
	case dest != x.name:
		c.set(x, dest, `$v | select(. != "") | `+jq)
	case c.fits(x, dest):
		c.b.derive(dest, x.text()+" | "+jq)
	}
}
