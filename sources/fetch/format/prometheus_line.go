package format

import (
	"bytes"
	"errors"

	"github.com/collectington/collectington/sources"
)

func (x *exposition) space() { x.at = bytes.TrimLeft(x.at, " \t") }

func (x *exposition) took(c byte) bool {
	if len(x.at) == 0 || x.at[0] != c {
		return false
	}
	x.at = x.at[1:]
	return true
}

// word is what stands up to the next space.
func (x *exposition) word() []byte {
	n := bytes.IndexAny(x.at, " \t")
	if n < 0 {
		n = len(x.at)
	}
	word := x.at[:n]
	x.at = x.at[n:]
	return word
}

// name is a name of letters, digits, _ and :, or any text in quotes.
func (x *exposition) name() (string, error) {
	if len(x.at) > 0 && x.at[0] == '"' {
		text, err := x.quoted()
		return string(text), err
	}
	n := 0
	for n < len(x.at) && isNameByte(x.at[n], n) {
		n++
	}
	if n == 0 {
		return "", errors.New("want a name, got " + sources.Excerpt(x.at, 40))
	}
	name := x.at[:n]
	x.at = x.at[n:]
	return string(name), nil
}

func isNameByte(c byte, at int) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' || c >= '0' && c <= '9' && at > 0
}

// labels adds the labels up to the closing brace. The metric's name may stand among them in quotes if it is not known.
func (x *exposition) labels(nameless bool) (name string, err error) {
	clear(x.seen)
	for first := true; ; first = false {
		x.space()
		if !first && !x.took(',') && len(x.at) > 0 && x.at[0] != '}' {
			return "", errors.New("want a comma or } after a label, got " + sources.Excerpt(x.at, 40))
		}
		if x.space(); x.took('}') {
			return name, nil
		}
		inQuotes := len(x.at) > 0 && x.at[0] == '"'
		label, err := x.name()
		if err != nil {
			return "", err
		}
		if x.space(); !x.took('=') {
			if !inQuotes || !nameless || name != "" {
				return "", errors.New("want = after the label " + sources.Excerpt([]byte(label), 40))
			}
			name = label
			continue
		}
		if x.seen[label] {
			return "", errors.New("two labels are called " + sources.Excerpt([]byte(label), 40))
		}
		x.seen[label] = true
		x.built.Text([]byte(label))
		x.space()
		value, err := x.quoted()
		if err != nil {
			return "", err
		}
		x.built.Text(value)
	}
}

// quoted is a text in quotes, valid until the next.
func (x *exposition) quoted() ([]byte, error) {
	if !x.took('"') {
		return nil, errors.New("want a text in quotes, got " + sources.Excerpt(x.at, 40))
	}
	for i := 0; i < len(x.at); i++ {
		switch x.at[i] {
		case '\\':
			i++
		case '"':
			x.scratch = unescape(x.scratch[:0], x.at[:i])
			x.at = x.at[i+1:]
			return x.scratch, nil
		}
	}
	return nil, errors.New("a quote is opened and never closed")
}

// unescape appends a text without its backslashes: \\, \" and \n. Others stand for themselves.
func unescape(into, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) {
			switch next := text[i+1]; next {
			case 'n':
				c = '\n'
				i++
			case '\\', '"':
				c = next
				i++
			}
		}
		into = append(into, c)
	}
	return into
}
