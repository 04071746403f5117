package convert

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode"
)

// This file translates the JSONPath of Kubernetes (k8s.io/client-go/util/jsonpath), which json_exporter uses, to jq.

// stepKind is the kind of a step in a path.
type stepKind uint8

const (
	stepKey    stepKind = iota // .name
	stepEach                   // [*] or .*
	stepSlice                  // [1:3]
	stepIndex                  // [0]
	stepUnion                  // [0,2]
	stepFilter                 // [?(…)]
	stepDeep                   // ..name
)

// step is a step in a path.
type step struct {
	kind stepKind
	key  string // for stepKey and stepDeep
	jq   string // for other kinds: jq expression that follows the previous steps
}

// path is a parsed JSONPath.
type path struct {
	steps []step
	notes []string // what json_exporter does differently
}

// many reports whether the path can match several values.
func (p path) many() bool {
	for _, s := range p.steps {
		if s.kind != stepKey && s.kind != stepIndex {
			return true
		}
	}
	return false
}

// parsePath parses a path that is given without its braces.
func parsePath(text string) (path, error) {
	p := pathParser{rest: strings.TrimSpace(text)}
	if p.rest == "." {
		p.note("json_exporter finds nothing for { . }; {$} was meant")
		p.rest = ""
	}
	if len(p.rest) > 4096 {
		return path{}, fmt.Errorf("the path is longer than 4096 characters")
	}
	p.rest = strings.TrimPrefix(p.rest, "$")
	p.rest = strings.TrimPrefix(p.rest, "@")
	if p.rest != "" && !strings.ContainsAny(p.rest[:1], ".[") {
		p.note("json_exporter finds nothing for a path without a leading dot; ." + word(p.rest) + " was meant")
		p.rest = "." + p.rest
	}
	for p.rest != "" {
		if err := p.step(); err != nil {
			return path{}, err
		}
	}
	return p.path, nil
}

type pathParser struct {
	path
	rest string
}

func (p *pathParser) note(text string) { p.notes = append(p.notes, text) }

func (p *pathParser) add(s step) { p.steps = append(p.steps, s) }

func (p *pathParser) step() error {
	switch {
	case strings.HasPrefix(p.rest, ".."):
		p.rest = p.rest[2:]
		name := p.name()
		if name == "" || name == "*" {
			return fmt.Errorf("%q after .. is not supported", name)
		}
		p.add(step{kind: stepDeep, key: name})
		return nil
	case strings.HasPrefix(p.rest, ".["):
		p.rest = p.rest[1:]
		return p.bracket()
	case strings.HasPrefix(p.rest, "."):
		p.rest = p.rest[1:]
		name := p.name()
		switch name {
		case "":
			return fmt.Errorf("a dot without a name")
		case "*":
			p.add(step{kind: stepEach, jq: "[]"})
		default:
			p.add(step{kind: stepKey, key: name})
		}
		return nil
	case strings.HasPrefix(p.rest, "["):
		return p.bracket()
	case strings.HasPrefix(p.rest, "?("): // json_exporter 0.1 writes [*]?(…)
		if n := len(p.steps); n > 0 && p.steps[n-1].kind == stepEach {
			p.steps = p.steps[:n-1]
		}
		end := closing(p.rest[1:], '(', ')')
		if end < 0 {
			return fmt.Errorf("the filter has no closing )")
		}
		filter := p.rest[2 : end+1]
		p.rest = strings.TrimSpace(p.rest[end+2:])
		return p.filter(filter)
	}
	return fmt.Errorf("unexpected character after %d steps", len(p.steps))
}

// name reads the name of a key. A backslash escapes the next character.
func (p *pathParser) name() string {
	var b strings.Builder
	for i, r := range p.rest {
		if i > 0 && p.rest[i-1] == '\\' && (i < 2 || p.rest[i-2] != '\\') {
			b.WriteRune(r)
			continue
		}
		if r == '\\' {
			continue
		}
		if strings.ContainsRune(".,[]{}$@?", r) || unicode.IsSpace(r) {
			p.rest = strings.TrimSpace(p.rest[i:])
			return b.String()
		}
		b.WriteRune(r)
	}
	p.rest = ""
	return b.String()
}

// bracket reads a step that is written in brackets.
func (p *pathParser) bracket() error {
	end := closing(p.rest, '[', ']')
	if end < 0 {
		return fmt.Errorf("a bracket is not closed")
	}
	inner := strings.TrimSpace(p.rest[1:end])
	p.rest = strings.TrimSpace(p.rest[end+1:])
	switch {
	case inner == "*":
		p.add(step{kind: stepEach, jq: "[]"})
		return nil
	case strings.HasPrefix(inner, "?(") && strings.HasSuffix(inner, ")"):
		return p.filter(inner[2 : len(inner)-1])
	case inner != "" && (inner[0] == '\'' || inner[0] == '"'):
		name, err := unquote(inner)
		if err != nil {
			return err
		}
		if strings.Contains(name, ".") {
			p.note("json_exporter splits a name in brackets at its dots and finds nothing; the whole name was meant")
		}
		p.add(step{kind: stepKey, key: name})
		return nil
	case strings.Contains(inner, ":"):
		return p.slice(inner)
	case strings.Contains(inner, ","):
		var all []string
		for part := range strings.SplitSeq(inner, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(part))
			if err != nil {
				return fmt.Errorf("a list of names in brackets is not supported")
			}
			all = append(all, fmt.Sprintf(".[%d]", n))
		}
		p.add(step{kind: stepUnion, jq: strings.Join(all, ", ")})
		return nil
	}
	n, err := strconv.Atoi(inner)
	if err != nil {
		return fmt.Errorf("want a number, *, a name in quotes or a filter in brackets")
	}
	p.add(step{kind: stepIndex, jq: fmt.Sprintf("[%d]", n)})
	return nil
}

// slice reads a step such as [from:to] or [from:to:step].
func (p *pathParser) slice(inner string) error {
	parts := strings.Split(inner, ":")
	if len(parts) == 3 && strings.TrimSpace(parts[2]) == "1" {
		parts = parts[:2]
	}
	if len(parts) != 2 {
		return fmt.Errorf("a slice with steps is not supported")
	}
	for i, s := range parts {
		parts[i] = strings.TrimSpace(s)
		if _, err := strconv.Atoi(parts[i]); parts[i] != "" && err != nil {
			return fmt.Errorf("a slice wants numbers")
		}
	}
	if parts[0] == "" && parts[1] == "" {
		p.add(step{kind: stepEach, jq: "[]"})
		return nil
	}
	p.add(step{kind: stepSlice, jq: "[" + parts[0] + ":" + parts[1] + "][]"})
	return nil
}

// filter reads the condition in [?(…)].
func (p *pathParser) filter(condition string) error {
	left, op, right := condition, "", ""
	for _, o := range []string{"==", "!=", ">=", "<=", ">", "<"} {
		if i := outsideQuotes(condition, o); i >= 0 {
			left, op, right = condition[:i], o, condition[i+len(o):]
			break
		}
	}
	l, err := p.operand(left)
	if err != nil {
		return err
	}
	if op == "" {
		p.add(step{kind: stepFilter, jq: "[] | select(" + l + " != null)"})
		return nil
	}
	r, err := p.operand(right)
	if err != nil {
		return err
	}
	if _, err := strconv.ParseFloat(r, 64); err == nil {
		if !strings.ContainsAny(r, ".eE") {
			p.note("json_exporter never matches whole numbers in filters; converted as meant")
		}
	}
	p.add(step{kind: stepFilter, jq: "[] | select(" + l + " " + op + " " + r + ")"})
	return nil
}

// operand returns one side of a comparison as a jq expression.
func (p *pathParser) operand(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", fmt.Errorf("a filter without a value")
	case text[0] == '\'' || text[0] == '"':
		s, err := unquote(text)
		return quote(s), err
	case text == "true", text == "false":
		return text, nil
	case text[0] == '@' || text[0] == '$' || text[0] == '.':
		inner, err := parsePath(text)
		if err != nil {
			return "", err
		}
		if inner.many() {
			return "", fmt.Errorf("a filter over several values is not supported")
		}
		return inner.jq(), nil
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil {
		return "", fmt.Errorf("want a path, a text in quotes or a number in a filter")
	}
	return text, nil
}

// closing returns the index of the bracket that closes the first open bracket, or -1.
func closing(s string, open, end byte) int {
	depth := 0
	for i, c := range unquoted(s) {
		switch c {
		case open:
			depth++
		case end:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// outsideQuotes returns the index of the first sep that is not in quotes, or -1.
func outsideQuotes(s, sep string) int {
	for i := range unquoted(s) {
		if strings.HasPrefix(s[i:], sep) {
			return i
		}
	}
	return -1
}

// unquoted returns the bytes that are not in single or double quotes, with their indexes. In quotes, a backslash escapes the
// next character.
func unquoted(s string) iter.Seq2[int, byte] {
	return func(yield func(int, byte) bool) {
		var quote byte
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case quote != 0 && c == '\\':
				i++
			case quote != 0 && c == quote:
				quote = 0
			case quote != 0:
			case c == '\'' || c == '"':
				quote = c
			case !yield(i, c):
				return
			}
		}
	}
}

// unquote returns the text inside single or double quotes.
func unquote(s string) (string, error) {
	if len(s) < 2 || s[0] != s[len(s)-1] {
		return "", fmt.Errorf("a quote is not closed")
	}
	inner := s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' && i+1 < len(inner) {
			i++
		}
		b.WriteByte(inner[i])
	}
	return b.String(), nil
}
