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

// processors returns the processors of a configuration in the order in which they run. If a processor has nothing to do, its settings
// need no note. So the settings of all processors count as read.
func processors(root *node) []processor {
	var all []processor
	for _, kind := range root.pairs("processors") {
		for _, n := range kind.value.list() {
			n.readAll()
			order, _ := strconv.Atoi(n.str("order"))
			all = append(all, processor{kind.key, n, order})
		}
	}
	slices.SortStableFunc(all, func(a, b processor) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.n.line, b.n.line))
	})
	return all
}

// process applies a processor to a block. It reports whether any fields are left.
func (t *telegraf) process(p processor, b *block, notes *[]note) bool {
	f := filter{p.n}
	if !f.measurement(b.measurement) {
		return true
	}
	condition, some := f.condition(t, b, notes)
	if !some {
		return true // as in Telegraf, what a processor does not select stays as it is
	}
	if condition != "" {
		for _, key := range []string{"tagpass", "tagdrop"} {
			if p.n.has(key) {
				t.out.loseOnce(notes, p.n.get(key).line, key, "there is no counterpart for it in a processor")
			}
		}
	}
	if !f.trims(b) {
		return false
	}
	switch p.name {
	case "rename":
		for _, r := range p.n.list("replace") {
			b.rename(r)
		}
	case "enum":
		t.enum(b, p.n, notes)
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
			x := constantTag(m.key, m.value.str(), m.line, m.key)
			if p.name == "override" {
				b.replaceTag(x)
			} else {
				b.addTag(x)
			}
		}
		for _, key := range []string{"name_override", "name_prefix", "name_suffix"} {
			b.named(key, p.n.str(key))
		}
		if fields := p.n.get("fields"); !fields.empty() {
			t.out.loseOnce(notes, fields.line, "fields", "there is no counterpart")
		}
	case "strings":
		t.letterCase(b, p.n, notes)
	default:
		t.out.loseOnce(notes, p.n.line, "processors."+p.name, "there is no counterpart")
	}
	return true
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

// rename applies a rule of the processor rename. As in Telegraf, a rule changes only one of measurement, tag and field.
func (b *block) rename(r *node) {
	dest := r.str("dest")
	switch {
	case dest == "":
	case r.str("measurement") != "":
		if b.measurement == r.str("measurement") {
			b.measurement = dest
		}
	case r.str("tag") != "":
		b.renameTag(r.str("tag"), dest)
	case r.str("field") != "":
		b.renameField(r.str("field"), dest)
	}
}

// converter converts the types of fields and tags. It can make a tag from a field, and a field from a tag. As in Telegraf, tags come first.
func (t *telegraf) converter(b *block, n *node, notes *[]note) {
	for _, m := range n.pairs("tags") {
		names := globs(n.strs("tags", m.key))
		for _, x := range slices.Clone(b.tags) {
			c := change{t, b, m.line, m.key, notes}
			switch {
			case !names.match(x.name):
			case !slices.Contains([]string{"integer", "unsigned", "float", "boolean"}, m.key):
				c.lose("the conversion has no counterpart")
			case c.known(x):
				b.removeTag(x.name)
				b.putField(fieldOut{name: x.name, path: x.text(), kind: fieldText}.converted(m.key))
			}
		}
	}
	tags := globs(n.strs("fields", "tag"))
	for _, f := range slices.Clone(b.fields) {
		if tags.match(f.name) {
			b.fields = slices.DeleteFunc(b.fields, func(o fieldOut) bool { return o.name == f.name })
			b.putTag(tagOut{name: f.name, value: present(f.tag())})
		}
	}
	for _, m := range n.pairs("fields") {
		names := globs(n.strs("fields", m.key))
		for i, f := range b.fields {
			switch {
			case !names.match(f.name):
			case slices.Contains([]string{"integer", "unsigned", "float", "boolean"}, m.key):
				b.fields[i] = f.converted(m.key)
			default:
				t.out.loseOnce(notes, m.line, m.key, "the conversion has no counterpart")
			}
		}
	}
}

// regexTags returns the tags that a rule of the processor regex can change: those with the key of the rule, except constants that the pattern
// does not match.
func (b *block) regexTags(r *node) []tagOut {
	keys := globs{r.str("key")}
	re, err := regexp.Compile(r.str("pattern"))
	return slices.DeleteFunc(slices.Clone(b.tags), func(x tagOut) bool {
		return !keys.match(x.name) || x.constant && x.unknown() == "" && err == nil && !re.MatchString(x.value)
	})
}

// regexApplies reports whether a rule of the processor regex can change anything in a block. The argument "where" is the name of the list
// that has the rule.
func (b *block) regexApplies(where string, r *node) bool {
	keys := globs{r.str("key")}
	re, err := regexp.Compile(r.str("pattern"))
	matches := func(name string) bool { return err != nil || re.MatchString(name) }
	switch where {
	case "tags":
		return len(b.regexTags(r)) > 0
	case "fields": // the processor changes texts only
		return slices.ContainsFunc(b.fields, func(f fieldOut) bool { return f.kind != fieldNumber && keys.match(f.name) })
	case "tag_rename":
		return slices.ContainsFunc(b.tags, func(x tagOut) bool { return matches(x.name) })
	case "field_rename":
		return slices.ContainsFunc(b.fields, func(f fieldOut) bool { return matches(f.name) })
	}
	return matches(b.measurement)
}

// regex changes the values of tags, or makes other tags of them. Rules that change anything else have no counterpart.
func (t *telegraf) regex(b *block, where string, r *node, notes *[]note) {
	c := change{t, b, r.line, "processors.regex", notes}
	quoted, replacement, dest := quote(r.str("pattern")), r.str("replacement"), r.str("result_key")
	if !b.regexApplies(where, r) {
		return
	}
	re, err := regexp.Compile(r.str("pattern"))
	if err != nil || where != "tags" || strings.Contains(replacement, "$") || r.is("append") || !compiles("test("+quoted+")") {
		c.lose("the rule has no counterpart: write it into the expression of the label")
		return
	}
	var groups []string
	if names := re.SubexpNames()[1:]; dest == "" && replacement == "" && !slices.Contains(names, "") {
		groups = names // Telegraf makes a tag of each group
	}
	sources := b.regexTags(r)
	if len(sources) > 1 && (dest != "" || len(groups) > 0) {
		c.lose("the rule makes the same tag of several tags: write the expression of the label by hand")
		return
	}
	replacement, about := configured(r.line, "replacement", replacement)
	for _, x := range sources {
		switch {
		case len(groups) > 0:
			for _, g := range groups {
				c.set(x, g, "capture("+quoted+")["+quote(g)+`] | select(. != null and . != "")`, origin{})
			}
		case dest == "" && x.constant:
			if c.known(x) {
				x.value, x.origin = re.ReplaceAllString(x.value, replacement), x.with(about)
				b.replaceTag(x)
			}
		case dest == "":
			c.pipe(x, substitution(r.str("pattern"), replacement), about)
		default:
			c.set(x, dest, "select(test("+quoted+")) | "+substitution(r.str("pattern"), replacement), about)
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

// anchored reports whether each match of a pattern is at the start of the text. For some patterns it returns false although all their
// matches are at the start.
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
	c.t.out.loseOnce(c.notes, c.line, c.key, format, args...)
}

// maxExpressions is the maximum length, in bytes, of the expressions that a rule puts together. Without a limit, each rule could double the
// length.
const maxExpressions = 8 << 10

// known reports whether the value of a tag is known. If it is not, known adds a note.
func (c change) known(x tagOut) bool {
	why := x.unknown()
	if why != "" {
		c.lose("the tag %s %s, so the rule is left out: write the values that the rule gives into the labels", word(x.name), why)
	}
	return why == ""
}

// fits reports whether the expression of the tag dest can include that of the tag x. If it cannot, fits adds a note.
func (c change) fits(x tagOut, dest tagOut) bool {
	if len(x.value)+len(dest.value) > maxExpressions {
		c.lose("the expression of the tag %s would be too long, so the tag stays as it is: write the expression of the label by hand", word(dest.name))
		return false
	}
	return true
}

// set sets the tag with the name in the argument "dest" to the result of a jq expression. The input of the expression is the value of the
// tag x. If an item does not have the tag x, or the expression gives nothing, the tag "dest" keeps its value.
func (c change) set(x tagOut, dest, expression string, about origin) {
	old, _ := c.b.find(dest)
	if old.constant && old.machine {
		old.value, old.constant = "null", false
	}
	if !c.known(x) || !c.known(old) || !c.fits(x, old) {
		return
	}
	if x.machine {
		about.notes = append(slices.Clone(about.notes), note{c.line, c.key, "for an item without the tag " + word(x.name) + ", Telegraf applies the rule to the name of its machine; here the rule is not applied"})
	}
	keep, inside := old.text(), "$v | "
	if !x.constant && !x.filled {
		inside += "values | "
	}
	if old.name == x.name && old.value == x.value && old.constant == x.constant {
		keep = "$v"
	} else {
		about = x.with(about)
	}
	c.b.replaceTag(tagOut{
		name: dest, value: x.text() + " as $v | (" + inside + expression + ") // " + keep,
		filled: old.constant || old.filled, machine: old.machine, origin: old.with(about),
	})
}

// pipe puts the value of a tag through a jq expression that has a result for each text.
func (c change) pipe(x tagOut, expression string, about origin) {
	if !c.known(x) || !c.fits(x, x) {
		return
	}
	if !x.filled {
		expression = "values | " + expression
	}
	x.value, x.origin = x.value+" | "+expression, x.with(about)
	c.b.replaceTag(x)
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
			c := change{t, b, r.line, "processors.strings", notes}
			tags := slices.DeleteFunc(slices.Clone(b.tags), func(x tagOut) bool { return !isFor(r, "tag", x.name) })
			texts := slices.ContainsFunc(b.fields, func(f fieldOut) bool { return f.kind != fieldNumber && isFor(r, "field", f.name) })
			if texts || isFor(r, "measurement", b.measurement) || jq == "" && len(tags) > 0 {
				c.lose("the rule has no counterpart: write it into the expression of the label")
				continue
			}
			dest := r.str("dest")
			if r.str("tag") == "*" {
				dest = "" // as in Telegraf
			}
			for _, x := range tags {
				if !x.constant {
					say(notes, r.line, m.key, "Telegraf changes all letters of the tag %s; here only A to Z are changed", word(x.name))
				}
				c.letterCase(x, cmp.Or(dest, x.name), jq)
			}
		}
	}
}

// isFor reports whether a rule of the processor strings applies to a name. The argument key is the kind of name, such as "tag".
func isFor(r *node, key, name string) bool {
	wanted := r.str(key)
	return wanted != "" && (wanted == "*" || wanted == name)
}

// letterCase sets the tag with the name in "dest" to the value of the tag x in lower or upper case. The argument jq is the name of the jq
// function that changes the case. If the tag x is missing, nothing changes.
func (c change) letterCase(x tagOut, dest, jq string) {
	switch {
	case !x.constant && dest == x.name:
		c.pipe(x, jq, origin{})
	case !x.constant:
		c.set(x, dest, jq, origin{})
	case c.known(x):
		x.name = dest
		x.value = map[bool]func(string) string{true: strings.ToLower, false: strings.ToUpper}[jq == "ascii_downcase"](x.value)
		c.b.replaceTag(x)
	}
}
