package convert

import (
	"slices"
	"strings"
)

// fieldKind says how the values of a field are converted to numbers.
type fieldKind uint8

const (
	fieldNumber fieldKind = iota // numbers only
	fieldNative                  // numbers and booleans
	fieldTyped                   // numbers, and texts that are numbers
	fieldBool                    // numbers, booleans, and the texts true and false
	fieldText                    // a text: it can be a label, but not a metric
	fieldMapped                  // values that a processor replaces by numbers
	fieldMixed                   // numbers, booleans, and texts that are no metrics
)

// fieldOut is a field of a measurement.
type fieldOut struct {
	name string
	path string // jq expression within an item
	kind fieldKind

	// For fieldMapped: the metric has the number that the field mapped has for the value of the field source. If mapped has no such number,
	// the metric has the value of the field fallback. The expression in the field path gives the same result.
	source   string
	mapped   map[string]float64
	fallback string
}

// textNumber is a jq expression for the number in a text. Other values stay as they are.
const textNumber = `if type == "string" then tonumber else . end`

// number returns a jq expression for the value of a field as a number.
func (f fieldOut) number() string {
	switch f.kind {
	case fieldNumber:
		return piped(f.path, "numbers")
	case fieldNative, fieldMixed:
		return piped(f.path, "numbers, booleans")
	case fieldBool:
		return numberText(f.path)
	case fieldMapped:
		return f.source
	}
	return f.path
}

// native returns a jq expression for the value of a field as Telegraf has it: a number, a boolean or a text. If a text is a number, the
// expression gives this number.
func (f fieldOut) native() string {
	switch f.kind {
	case fieldTyped, fieldBool:
		return piped(f.number(), textNumber)
	case fieldText, fieldMapped, fieldMixed:
		return f.path
	}
	return f.number()
}

// converted returns the field with a type of the processor converter: integer, unsigned, float or boolean. As in Telegraf, a text that cannot
// be converted is removed.
func (f fieldOut) converted(to string) fieldOut {
	c := fieldOut{name: f.name, path: f.native(), kind: fieldTyped}
	if f.kind == fieldTyped {
		c.path = f.path
	}
	switch to {
	case "integer":
		c.path = piped(c.path, `values | if type == "boolean" then . else tonumber | round end`)
	case "unsigned":
		c.path = piped(c.path, `values | if type == "boolean" then . else tonumber | round | if . < 0 then 0 else . end end`)
	case "boolean":
		c.path, c.kind = piped(c.path, `values | if type == "number" then . != 0 else . end`), fieldBool
		return c
	}
	if f.textual() {
		c.path = "(" + piped(c.path, textNumber) + ")?"
	}
	return c
}

// tag returns a jq expression for the value of a field that becomes a tag.
func (f fieldOut) tag() string {
	switch f.kind {
	case fieldNumber, fieldNative:
		return f.number()
	}
	return f.path
}

// truncated returns a jq expression for a number without its fraction, as Telegraf's parsers convert it to an integer. These parsers
// refuse a text with a fraction. Here, such a text stays as it is.
func truncated(path string) string { return piped(path, `if type == "number" then trunc else . end`) }

// textual reports whether the field can have a text as its value in Telegraf.
func (f fieldOut) textual() bool {
	return f.kind == fieldText || f.kind == fieldMixed || f.kind == fieldMapped // a text that is not mapped stays
}

// or combines two fields. The result is the field f, but for items without f it has the value of the other field.
func (f fieldOut) or(other fieldOut) fieldOut {
	merged := fieldOut{name: f.name, path: firstOf(f.native(), other.native()), kind: fieldNative}
	switch {
	case f.kind == fieldText && other.kind == fieldText:
		merged.kind = fieldText
	case f.textual() || other.textual():
		merged.kind = fieldMixed
	}
	return merged
}

// firstOf returns a jq expression for the first value that is not null. An expression that fails has no value.
func firstOf(all ...string) string {
	if len(all) == 1 {
		return all[0]
	}
	parts := make([]string, 0, len(all))
	for _, s := range all {
		parts = append(parts, "("+s+" | values)?")
	}
	return "first(" + strings.Join(parts, ", ") + ")"
}

func piped(path, function string) string {
	if path == "." {
		return function
	}
	return path + " | " + function
}

// putField adds a field. If there is a field with that name already, the new field replaces it, but an item that does not have the new
// field keeps the value of the old one.
func (b *block) putField(f fieldOut) {
	i := slices.IndexFunc(b.fields, func(o fieldOut) bool { return o.name == f.name })
	if i < 0 {
		b.fields = append(b.fields, f)
		return
	}
	b.fields[i] = f.or(b.fields[i])
}

// renameField gives a field another name. If there already is a field with that name, the renamed field replaces it, but as in Telegraf
// only in items that have the renamed field.
func (b *block) renameField(from, to string) {
	i := slices.IndexFunc(b.fields, func(f fieldOut) bool { return f.name == from })
	if i < 0 || from == to {
		return
	}
	f := b.fields[i]
	f.name = to
	b.fields = slices.Delete(b.fields, i, i+1)
	b.putField(f)
}

// unique removes fields that have the same name as a later field.
func unique(all []fieldOut) []fieldOut {
	var kept []fieldOut
	for i, f := range all {
		if !slices.ContainsFunc(all[i+1:], func(o fieldOut) bool { return o.name == f.name }) {
			kept = append(kept, f)
		}
	}
	return kept
}
