package convert

import (
	"errors"
	"fmt"
	"strings"
)

// parsed is a template of json_exporter: a text with paths in braces.
type parsed struct {
	parts []part
	notes []string
}

// part is either a text or a path.
type part struct {
	text string
	path *path
}

// parseTemplate parses a text with paths in braces. If the argument "old" is true, the text is a single path without braces, as in
// json_exporter 0.1.
func parseTemplate(s string, old bool) (parsed, error) {
	s = strings.TrimSpace(s)
	var t parsed
	if s == "" {
		return t, fmt.Errorf("there is no path")
	}
	if old || !strings.Contains(s, "{") {
		s = "{" + s + "}"
	}
	for s != "" {
		open := strings.IndexByte(s, '{')
		if open < 0 {
			t.parts = append(t.parts, part{text: s})
			break
		}
		if open > 0 {
			t.parts = append(t.parts, part{text: s[:open]})
		}
		end := closing(s[open:], '{', '}')
		if end < 0 {
			return t, fmt.Errorf("a brace is not closed")
		}
		inner := strings.TrimSpace(s[open+1 : open+end])
		s = s[open+end+1:]
		switch {
		case strings.HasPrefix(inner, "range ") || inner == "end":
			return t, errors.New("cton has no equivalent of range: write the jq expression by hand")
		case len(inner) > 1 && (inner[0] == '"' || inner[0] == '\''):
			text, err := unquote(inner)
			if err != nil {
				return t, err
			}
			t.parts = append(t.parts, part{text: text})
			continue
		}
		p, err := parsePath(inner)
		if err != nil {
			return t, err
		}
		t.notes = append(t.notes, p.notes...)
		t.parts = append(t.parts, part{path: &p})
	}
	return t, nil
}

// only returns the path if the template is a single path.
func (t parsed) only() (path, bool) {
	if len(t.parts) != 1 || t.parts[0].path == nil {
		return path{}, false
	}
	return *t.parts[0].path, true
}

// within reports whether all paths begin with these steps.
func (t parsed) within(prefix []step) bool {
	for _, p := range t.parts {
		if p.path == nil {
			continue
		}
		if len(p.path.steps) < len(prefix) {
			return false
		}
		for i, s := range prefix {
			if p.path.steps[i] != s {
				return false
			}
		}
	}
	return true
}

// label returns the template as a jq expression. The argument "skip" is the number of steps that are left out at the beginning of each
// path.
func (t parsed) label(skip int) string {
	if p, ok := t.only(); ok {
		return labelText(path{steps: p.steps[skip:]})
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, p := range t.parts {
		if p.path != nil {
			b.WriteString(`\(` + labelText(path{steps: p.path.steps[skip:]}) + `)`)
			continue
		}
		q := quote(p.text)
		b.WriteString(q[1 : len(q)-1])
	}
	b.WriteByte('"')
	return b.String()
}

// labelText returns a jq expression for a path's value as a label. As in json_exporter, it is "" if the path finds nothing,
// and the text null for null.
func labelText(p path) string {
	n := len(p.steps)
	if n == 0 {
		return "tostring"
	}
	last := p.steps[n-1]
	if p.many() {
		if last.kind == stepKey {
			return "([" + join(p.steps[:n-1]) + " | objects | select(has(" + quote(last.key) + "))" + field(last.key) + ` | tostring] | join(" "))? // ""`
		}
		return "([" + p.jq() + ` | tostring] | join(" "))? // ""`
	}
	if last.kind == stepIndex {
		return "(" + p.jq() + ` | values | tostring)? // ""`
	}
	parent := join(p.steps[:n-1])
	if parent == "." {
		parent = ""
	} else {
		parent += "? | "
	}
	return "(" + parent + "objects | select(has(" + quote(last.key) + "))" + field(last.key) + ` | tostring) // ""`
}

// numberText returns a jq expression that converts a value to a number as json_exporter does. The texts true and false are
// accepted.
func numberText(value string) string {
	if value == "." {
		value = ""
	} else {
		value += " | "
	}
	return value + "{true: 1, t: 1, false: 0, f: 0}[tostring | ascii_downcase] // ."
}
