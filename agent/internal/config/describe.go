package config

import (
	"regexp"
	"strings"
)

// described is the description of a setting, from an example, and of the settings within it.
type described struct {
	text   string
	within map[string]*described
}

// at returns the description of a setting within d. It is empty if the example has none.
func (d *described) at(name string) *described {
	if d == nil || d.within[name] == nil {
		return &described{}
	}
	return d.within[name]
}

// any returns the descriptions of all settings that are two levels below d. The names on the level between are chosen by the user.
func (d *described) any() *described {
	all := &described{within: map[string]*described{}}
	for _, one := range d.within {
		for name, of := range one.within {
			if have := all.within[name]; have == nil || have.text == "" {
				all.within[name] = of
			}
		}
	}
	return all
}

// isRequired reports whether the description says that the setting is required.
func (d *described) isRequired() bool {
	return regexp.MustCompile(`^required(:|;|$)`).MatchString(d.text)
}

// describe reads the comments of an example. The description of a setting is the comment in its line, and the comment lines
// below it that begin in the same column. Settings that are commented out are described too.
func describe(example string) *described {
	type open struct {
		indent int
		at     *described
	}
	root := &described{within: map[string]*described{}}
	stack := []open{{-1, root}}
	line := regexp.MustCompile(`^([ #-]*?)([A-Za-z_][\w.-]*):(?:\s+(?:[^#\s]|\S#)(?:[^#]|\S#)*?)?(?:\s+# +(.*))?$`)
	more := regexp.MustCompile(`^([ #]*)# +(.*)$`)
	var last *described
	column := 0 // column in which the comment begins that describes the setting in the variable "last"
	for text := range strings.Lines(example) {
		text = strings.TrimRight(text, "\n")
		if parts := more.FindStringSubmatch(text); parts != nil && last != nil && len([]rune(parts[1])) == column {
			last.text += " " + parts[2]
			continue
		}
		parts := line.FindStringSubmatch(text)
		if last = nil; parts == nil {
			continue
		}
		indent := len(parts[1])
		for stack[len(stack)-1].indent >= indent {
			stack = stack[:len(stack)-1]
		}
		in := stack[len(stack)-1].at
		one := in.within[parts[2]]
		if one == nil {
			one = &described{within: map[string]*described{}}
			in.within[parts[2]] = one
		}
		if parts[3] != "" && one.text == "" {
			one.text = parts[3]
			last, column = one, len([]rune(text[:len(text)-len(parts[3])]))-2
		}
		stack = append(stack, open{indent, one})
	}
	return root
}
