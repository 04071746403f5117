package convert

import (
	"regexp"
	"slices"
)

// tagOut is a tag of a block. Its value is a constant, or a jq expression within an item that gives a text. For an item without the tag, the
// expression gives null or nothing. As in Telegraf, a tag with an empty value is not a missing tag.
type tagOut struct {
	name, value string
	constant    bool
	filled      bool // the expression has a value for each item
	machine     bool // Telegraf gives items without the tag the name of its machine, which is not known here
	origin
}

// origin has what must be known about the texts of the configuration that are part of a tag.
type origin struct {
	variable bool   // one of them has a variable, which Telegraf replaces by its value and cton does not
	notes    []note // what is lost if the tag becomes a label
}

func (o origin) with(more origin) origin {
	return origin{o.variable || more.variable, slices.Concat(o.notes, more.notes)}
}

// constantTag returns a tag whose value is a text of the configuration. The arguments "line" and "key" say which setting has the text.
func constantTag(name, text string, line int, key string) tagOut {
	public, about := configured(line, key, text)
	return tagOut{name: name, value: public, constant: true, origin: about}
}

// configured returns a text of the configuration for a tag, without the parts of an address that can be secret.
func configured(line int, key, text string) (public string, about origin) {
	public, changed := publicValue(text)
	if changed {
		about.notes = append(about.notes, note{line, key, publicNote})
	}
	if name := variableIn(public); name != "" {
		about.variable = true
		about.notes = append(about.notes, note{line, key, "it refers to a variable, which stays as it is: const_labels takes env:" + name + " as a whole value, an expression only the value itself"})
	}
	return public, about
}

// variableIn returns the name of the first environment variable in a text, or "" if there is none. Telegraf replaces such a variable by
// its value.
func variableIn(text string) string {
	if found := regexp.MustCompile(`\$\{?([A-Za-z_]\w*)`).FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

// machineTag returns the tag that Telegraf adds with the name of its machine.
func machineTag() tagOut { return tagOut{name: "host", constant: true, machine: true} }

// always reports whether each item has the tag in Telegraf.
func (x tagOut) always() bool { return x.constant || x.filled || x.machine }

// unknown returns why the value of a tag is not known before Telegraf runs, or "" if it is known.
func (x tagOut) unknown() string {
	switch {
	case x.variable:
		return "has a variable"
	case x.constant && x.machine:
		return "has the name of the machine in Telegraf"
	}
	return ""
}

// text returns a jq expression for the value of a tag. It gives null for an item without the tag.
func (x tagOut) text() string {
	switch {
	case x.constant:
		return quote(x.value)
	case x.filled:
		return "(" + x.value + ")"
	case x.value == "null":
		return x.value
	}
	return "((" + x.value + ") // null)"
}

// label returns a jq expression for the value of a label that is made from the tag. The tag must not be a constant.
func (x tagOut) label() string {
	if x.filled {
		return x.value
	}
	return "(" + x.value + `) // ""`
}

// or combines two tags. The result is the tag x, but for items without x it has the value of the other tag.
func (x tagOut) or(other tagOut) tagOut {
	if x.always() {
		return x
	}
	x.origin, x.machine = x.with(other.origin), other.machine
	if !other.constant || !other.machine {
		x.value, x.filled = "("+x.value+") // "+other.text(), other.constant || other.filled
	}
	return x
}

// find returns the tag with a name.
func (b *block) find(name string) (tagOut, bool) {
	i := slices.IndexFunc(b.tags, func(x tagOut) bool { return x.name == name })
	if i < 0 {
		return tagOut{name: name, value: "null"}, false
	}
	return b.tags[i], true
}

// removeTag removes the tag with a name.
func (b *block) removeTag(name string) {
	b.tags = slices.DeleteFunc(b.tags, func(x tagOut) bool { return x.name == name })
}

// replaceTag sets a tag. An older tag with the same name is removed.
func (b *block) replaceTag(x tagOut) {
	b.removeTag(x.name)
	b.tags = append(b.tags, x)
}

// putTag sets a tag. Items without the tag keep the value of an older tag with the same name.
func (b *block) putTag(x tagOut) {
	if old, ok := b.find(x.name); ok {
		x = x.or(old)
	}
	b.replaceTag(x)
}

// addTag sets a tag for the items that do not have it yet.
func (b *block) addTag(x tagOut) {
	if old, ok := b.find(x.name); ok {
		x = old.or(x)
	}
	b.replaceTag(x)
}

// renameTag gives a tag another name. If there already is a tag with that name, the renamed tag replaces it, but as in Telegraf only in
// items that have the renamed tag.
func (b *block) renameTag(from, to string) {
	x, ok := b.find(from)
	if !ok || from == to {
		return
	}
	b.removeTag(from)
	x.name = to
	b.putTag(x)
}

// labels returns the tags of a block as labels and as constant labels. It adds notes about what the labels lose.
func (t *telegraf) labels(j *job, b *block) (labels, constant map[string]string) {
	labels, constant = map[string]string{}, map[string]string{}
	names := map[string]bool{}
	for _, x := range b.tags {
		name := sanitize(x.name, false)
		switch {
		case x.constant && x.value == "" && !x.machine: // an empty label is no label
			continue
		case !labelName(name):
			t.out.lose(&j.notes, b.line, "tags", "a tag cannot be a label")
			continue
		case names[name]:
			t.out.lose(&j.notes, b.line, x.name, "the tag is left out, since another tag makes the label %s too", name)
			continue
		}
		names[name] = true
		t.out.loseAll(&j.notes, x.notes)
		if x.machine {
			t.machineNote(name)
		}
		switch {
		case !x.constant:
			labels[name] = x.label()
		case !x.machine:
			constant[name] = x.value
		}
	}
	return labels, constant
}

// machineNote adds a note about a label that has the name of the machine in Telegraf, unless there already is such a note.
func (t *telegraf) machineNote(label string) {
	n := note{0, "hostname", "Telegraf gives series the name of its machine in the label " + label + ", which is left out here: set hostname in [agent] and convert again to keep it"}
	if !slices.Contains(t.out.problems, n) {
		t.out.problems = append(t.out.problems, n)
	}
}
