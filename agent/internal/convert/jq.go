package convert

import (
	"encoding/json"
	"regexp"
	"strings"
)

// quote returns a text as a string of jq.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(strings.ToValidUTF8(s, "\ufffd")) // encoding a string cannot fail
	return strings.TrimSuffix(b.String(), "\n")
}

// plainKey reports whether jq accepts the key after a dot without quotes.
func plainKey(key string) bool {
	return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(key)
}

// field returns a jq expression for the value of a key: .name or ."a name".
func field(key string) string {
	if plainKey(key) {
		return "." + key
	}
	return "." + quote(key)
}

// jq returns the path as a jq expression.
func (p path) jq() string { return join(p.steps) }

// join joins steps to a jq expression.
func join(steps []step) string {
	b := ""
	pipe := false // the next step must follow a pipe
	for _, s := range steps {
		part := ""
		switch s.kind {
		case stepKey:
			part = field(s.key)
		case stepDeep:
			part = ".. | objects | select(has(" + quote(s.key) + ")) | " + field(s.key)
			if b != "" {
				b += " | "
			}
			b, pipe = b+part, false
			continue
		case stepUnion:
			if b != "" {
				b += " | "
			}
			b, pipe = b+s.jq, true
			continue
		default:
			part = s.jq
			if b == "" || pipe {
				part = "." + part
			}
		}
		if pipe {
			b += " | "
		}
		b += part
		pipe = s.kind == stepFilter
	}
	if b == "" {
		return "."
	}
	return b
}
