package convert

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// enum applies the mappings of an enum processor. As in Telegraf, each mapping reads the fields and tags as they were before the
// processor. If several mappings have a result for the same field or tag, the last of these mappings sets it.
func (t *telegraf) enum(b *block, n *node, notes *[]note) {
	fields, tags := slices.Clone(b.fields), slices.Clone(b.tags)
	slices.SortFunc(tags, func(x, y tagOut) int { return cmp.Compare(x.name, y.name) }) // the order of Telegraf
	rules, order := map[string][]enumRule{}, []string{}
	for _, m := range n.list("mapping") {
		fieldNames, tagNames := globs(append(m.strs("field"), m.strs("fields")...)), globs(append(m.strs("tag"), m.strs("tags")...))
		for _, f := range fields {
			if !fieldNames.match(f.name) {
				continue
			}
			dest := cmp.Or(m.str("dest"), f.name)
			if rules[dest] == nil {
				order = append(order, dest)
			}
			rules[dest] = append(rules[dest], t.enumRule(f, m, notes))
		}
		for _, x := range tags {
			if tagNames.match(x.name) {
				change{t, b, m.line, "processors.enum", notes}.enumTag(x, m)
			}
		}
	}
	for _, dest := range order {
		b.mapField(dest, rules[dest])
	}
}

// enumRule is a mapping of the values of a field.
type enumRule struct {
	source   fieldOut
	numbers  map[string]float64
	texts    map[string]string // values that are no numbers
	fallback string            // jq literal; "" = values that are not named have no result
}

// enumRule reads a mapping for a field.
func (t *telegraf) enumRule(f fieldOut, m *node, notes *[]note) enumRule {
	r := enumRule{source: f, numbers: map[string]float64{}, texts: map[string]string{}}
	for _, v := range m.pairs("value_mappings") {
		number, ok := v.value.number()
		if !ok {
			t.out.loseOnce(notes, v.line, "value_mappings", "a value is no number; it is left out")
			r.texts[v.key] = v.value.str()
			continue
		}
		r.numbers[v.key] = number
	}
	if d := m.get("default"); d != nil {
		number, ok := d.number()
		if r.fallback = literal(number); !ok {
			t.out.loseOnce(notes, d.line, "default", "it is no number; other values are left out")
			r.fallback = quote(d.str())
		}
	}
	return r
}

// number returns the value of a node that is a number or a boolean of TOML, and false for other nodes and for infinite numbers.
func (n *node) number() (float64, bool) {
	switch n.kind {
	case scalarBool:
		return map[bool]float64{true: 1}[n.text == "true"], true
	case scalarNumber:
		if i, err := strconv.ParseInt(n.text, 0, 64); err == nil {
			return float64(i), true
		}
		f, err := strconv.ParseFloat(n.text, 64)
		return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
	}
	return 0, false
}

func literal(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// expression returns a jq expression for the result of a rule: a number or a text. It gives nothing or null if the rule has no result.
func (r enumRule) expression() string {
	path := r.source.path
	if r.source.kind == fieldNumber {
		path = r.source.number()
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(r.numbers)) {
		parts = append(parts, quote(k)+": "+literal(r.numbers[k]))
	}
	for _, k := range slices.Sorted(maps.Keys(r.texts)) {
		parts = append(parts, quote(k)+": "+quote(r.texts[k]))
	}
	lookup := "{" + strings.Join(parts, ", ") + "}[.]"
	if r.fallback != "" {
		lookup += " // " + r.fallback
	}
	return piped(path, "values | tostring | "+lookup)
}

// mapField sets a field to the result of the last rule that has one. If no rule has a result, a field that the block already has keeps its
// value.
func (b *block) mapField(dest string, rules []enumRule) {
	var all []string
	x := fieldOut{name: dest, kind: fieldNative}
	for _, r := range slices.Backward(rules) {
		all = append(all, r.expression())
		if len(r.texts) > 0 || strings.HasPrefix(r.fallback, `"`) {
			x.kind = fieldMixed
		}
	}
	i := slices.IndexFunc(b.fields, func(f fieldOut) bool { return f.name == dest })
	if i < 0 {
		i = len(b.fields)
		b.fields = append(b.fields, x)
	} else {
		all = append(all, b.fields[i].native())
		if b.fields[i].textual() {
			x.kind = fieldMixed
		}
	}
	x.path = firstOf(all...)
	if r := rules[0]; len(rules) == 1 && r.plain() && (len(all) == 1 || dest == r.source.name && (r.source.kind == fieldText || r.fallback != "")) {
		x.kind, x.source, x.mapped, x.fallback = fieldMapped, r.source.path, r.numbers, "drop"
		if _, err := strconv.ParseFloat(r.fallback, 64); err == nil {
			x.fallback = r.fallback
		}
	}
	b.fields[i] = x
}

// plain reports whether the setting "map" can express the results of a rule, as far as these results are numbers.
func (r enumRule) plain() bool {
	_, err := strconv.ParseFloat(r.fallback, 64)
	return len(r.numbers) > 0 && r.source.kind != fieldMapped && (len(r.texts) == 0 || err != nil)
}

// enumTag maps the value of a tag. As in Telegraf, a tag that is missing is not mapped. If a value has no mapping and there is no
// default, the tag named in dest does not change.
func (c change) enumTag(x tagOut, m *node) {
	dest, mappings := cmp.Or(m.str("dest"), x.name), m.pairs("value_mappings")
	if x.constant {
		line, key, result := 0, "default", m.get("default")
		for _, v := range mappings {
			if v.key == x.value {
				line, key, result = v.line, "value_mappings", v.value
			}
		}
		if c.known(x) && result != nil {
			c.b.replaceTag(constantTag(dest, result.str(), cmp.Or(line, result.line), key))
		}
		return
	}
	var parts []string
	var about origin
	text := func(line int, key string, n *node) string {
		public, more := configured(line, key, n.str())
		about = about.with(more)
		return quote(public)
	}
	for _, v := range mappings {
		parts = append(parts, quote(v.key)+": "+text(v.line, "value_mappings", v.value))
	}
	result := "{" + strings.Join(parts, ", ") + "}[.]"
	if d := m.get("default"); d != nil {
		result += " // " + text(d.line, "default", d)
	}
	c.set(x, dest, result, about)
}
