package format

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/document"
)

// lines reads a YAML document of the kind that programs write: block mappings and block sequences, in which each scalar and each flow
// collection ends on the line on which it begins. The library takes many times as long and allocates memory several times for each
// value, so it reads only the other documents, such as those with anchors, tags, block scalars, tabs or errors.
type lines struct {
	built  *document.Builder
	rest   []byte // the lines after the current one
	line   []byte // what has not been read of the current line, without spaces at its ends; empty after the last line
	indent int    // the column at which the text in "line" begins, counted from 0; -1 after the last line
	text   []byte // memory for a scalar without its escapes
}

// scalar is a scalar or a key.
type scalar struct {
	text   []byte // valid until the next scalar is read
	quoted bool
	rest   []byte // what follows on the line
}

// read builds the document. It returns false if the document has something that the type lines cannot read. Then the document is not
// complete, and the builder must be reset.
func (l *lines) read(text []byte) bool {
	if !isReadable(text) {
		return false
	}
	l.rest = text
	l.next()
	if l.indent == 0 && string(l.line) == "---" {
		l.next()
	}
	return l.indent >= 0 && l.value(0) && l.indent < 0
}

// isReadable reports whether a text is UTF-8 without tabs and other control characters, byte order marks, and characters that were line
// breaks in YAML 1.1.
func isReadable(text []byte) bool {
	ascii := true
	for i, c := range text {
		switch {
		case c >= ' ' && c < 0x7F, c == '\n':
		case c >= utf8.RuneSelf:
			ascii = false
		case c != '\r' || i+1 == len(text) || text[i+1] != '\n':
			return false
		}
	}
	if ascii {
		return true
	}
	for _, r := range string(text) {
		switch {
		case r >= 0x80 && r < 0xA0, r == '\u2028', r == '\u2029', r == '\uFEFF', r == '\uFFFE', r == '\uFFFF':
			return false
		}
	}
	return utf8.Valid(text)
}

// next goes to the next line that is neither empty nor a comment.
func (l *lines) next() {
	for len(l.rest) > 0 {
		line, rest, _ := bytes.Cut(l.rest, []byte("\n"))
		l.rest = rest
		content := bytes.TrimLeft(line, " ")
		l.line, l.indent = bytes.TrimRight(content, " \r"), len(line)-len(content)
		if len(l.line) > 0 && l.line[0] != '#' {
			return
		}
	}
	l.line, l.indent = nil, -1
}

// end is called after a scalar or a flow collection. It checks that only a comment follows on the line, and goes to the next line. A next
// line that is indented more than the collection around the scalar would continue the scalar, or be an error. No collection accepts such a
// line, since all lines of a collection have the same indentation. So such a line remains unread, and the method "read" returns false.
func (l *lines) end(rest []byte) bool {
	if len(rest) > 0 && (rest[0] != ' ' || bytes.TrimLeft(rest, " ")[0] != '#') {
		return false
	}
	l.next()
	return true
}

// value reads a value that begins on a new line or after the dash of an entry.
func (l *lines) value(depth int) bool {
	switch {
	case isEntry(l.line):
		return l.sequence(depth)
	case isFlow(l.line):
		rest, ok := l.flow(l.line, depth)
		return ok && l.end(rest)
	}
	s, ok := l.scalar(l.line, false)
	switch {
	case !ok:
		return false
	case isColon(s.rest):
		return l.mapping(s, depth)
	}
	l.add(s)
	return l.end(s.rest)
}

// isEntry reports whether a line begins with an entry of a block sequence.
func isEntry(line []byte) bool {
	return len(line) > 0 && line[0] == '-' && (len(line) == 1 || line[1] == ' ')
}

// isFlow reports whether a text begins with a flow collection.
func isFlow(text []byte) bool { return len(text) > 0 && (text[0] == '[' || text[0] == '{') }

// isColon reports whether a text begins with a colon, which makes a key of the scalar before it.
func isColon(text []byte) bool { return len(text) > 0 && text[0] == ':' }

// sequence reads a block sequence. Its first dash is at the beginning of the current line.
func (l *lines) sequence(depth int) bool {
	if depth >= document.MaxDepth {
		return false
	}
	at := l.indent
	l.built.Begin(document.Array)
	for l.indent == at && isEntry(l.line) {
		after := bytes.TrimLeft(l.line[1:], " ")
		if len(after) > 0 {
			l.indent += len(l.line) - len(after)
			l.line = after
		} else if l.next(); l.indent <= at {
			l.built.Literal(document.Null)
			continue
		}
		if !l.value(depth + 1) {
			return false
		}
	}
	l.built.End()
	return true
}

// mapping reads a block mapping whose first key is at the beginning of the current line.
func (l *lines) mapping(key scalar, depth int) bool {
	if depth >= document.MaxDepth {
		return false
	}
	at, seen := l.indent, keys{}
	l.built.Begin(document.Object)
	for {
		if !l.key(key, &seen) || !l.member(key.rest[1:], at, depth+1) {
			return false
		}
		if l.indent != at {
			l.built.End()
			return true
		}
		var ok bool
		if key, ok = l.scalar(l.line, false); !ok || !isColon(key.rest) {
			return false
		}
	}
}

// member reads the value of a key. The argument "rest" is the text after the colon.
func (l *lines) member(rest []byte, at, depth int) bool {
	if len(rest) > 0 && rest[0] != ' ' {
		return false
	}
	if rest = bytes.TrimLeft(rest, " "); len(rest) > 0 && rest[0] != '#' {
		rest, ok := l.inline(rest, false, depth)
		return ok && l.end(rest)
	}
	l.next()
	switch {
	case l.indent > at:
		return l.value(depth)
	case l.indent == at && isEntry(l.line):
		return l.sequence(depth)
	}
	l.built.Literal(document.Null)
	return true
}

// flow reads the flow collection at the beginning of the text. It returns the text after the collection.
func (l *lines) flow(text []byte, depth int) (rest []byte, ok bool) {
	if depth >= document.MaxDepth {
		return nil, false
	}
	kind, last, seen := document.Array, byte(']'), keys{}
	if text[0] == '{' {
		kind, last = document.Object, '}'
	}
	l.built.Begin(kind)
	text = bytes.TrimLeft(text[1:], " ")
	if len(text) > 0 && text[0] == last {
		l.built.End()
		return text[1:], true
	}
	for {
		if kind == document.Object {
			key, ok := l.scalar(text, true)
			if !ok || !isColon(key.rest) || !key.quoted && !bytes.HasPrefix(key.rest, []byte(": ")) || !l.key(key, &seen) {
				return nil, false
			}
			text = bytes.TrimLeft(key.rest[1:], " ")
		}
		text, ok = l.inline(text, true, depth+1)
		if text = bytes.TrimLeft(text, " "); !ok || len(text) == 0 {
			return nil, false
		}
		switch text[0] {
		case last:
			l.built.End()
			return text[1:], true
		case ',':
			text = bytes.TrimLeft(text[1:], " ")
		default:
			return nil, false
		}
	}
}

// inline reads the flow collection or the scalar at the beginning of the text. It returns the text after it.
func (l *lines) inline(text []byte, flow bool, depth int) (rest []byte, ok bool) {
	if isFlow(text) {
		return l.flow(text, depth)
	}
	s, ok := l.scalar(text, flow)
	if ok {
		l.add(s)
	}
	return s.rest, ok
}

// add adds a scalar as a value (YAML 1.2 section 10.3.2).
func (l *lines) add(s scalar) {
	if s.quoted {
		l.built.Text(s.text)
		return
	}
	switch string(s.text) {
	case "~", "null", "Null", "NULL":
		l.built.Literal(document.Null)
	case "true", "True", "TRUE":
		l.built.Literal(document.True)
	case "false", "False", "FALSE":
		l.built.Literal(document.False)
	default:
		if !number(l.built, s.text) {
			l.built.Text(s.text)
		}
	}
}

// key adds a key. It returns false for a key that the mapping already has, and for a merge key.
func (l *lines) key(s scalar, seen *keys) bool {
	if !s.quoted && string(s.text) == "<<" {
		return false
	}
	kept := l.built.Keep(s.text)
	l.built.TextAt(kept)
	return seen.add(l.built, kept)
}

// keys are the keys of a mapping.
type keys struct {
	few  [16]document.TextRef
	n    int             // how many there are in few
	many map[string]bool // all keys, if there are more than fit into the field "few"
}

// add adds a key. It returns false if the mapping already has this key.
func (k *keys) add(built *document.Builder, key document.TextRef) bool {
	text := built.At(key)
	if k.many == nil {
		for _, other := range k.few[:k.n] {
			if bytes.Equal(built.At(other), text) {
				return false
			}
		}
		if k.n < len(k.few) {
			k.few[k.n] = key
			k.n++
			return true
		}
		k.many = map[string]bool{}
		for _, other := range k.few {
			k.many[string(built.At(other))] = true
		}
	}
	if k.many[string(text)] {
		return false
	}
	k.many[string(text)] = true
	return true
}

// scalar reads the scalar at the beginning of the text. In a flow collection, brackets, braces and commas end a plain scalar.
func (l *lines) scalar(text []byte, flow bool) (s scalar, ok bool) {
	if len(text) == 0 {
		return s, false
	}
	switch text[0] {
	case '"':
		return l.doubleQuoted(text[1:])
	case '\'':
		return l.singleQuoted(text[1:])
	case '-':
		if len(text) == 1 || text[1] == ' ' || flow && isFlowIndicator(text[1]) || bytes.HasPrefix(text, []byte("---")) {
			return s, false // three dashes may begin another document
		}
	case '.':
		if bytes.HasPrefix(text, []byte("...")) {
			return s, false // these may end the document
		}
	case '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '%', '@', '`': // the indicators of YAML 1.2 section 5.3
		return s, false
	}
	s.text = bytes.TrimRight(text[:plainEnd(text, flow)], " ")
	s.rest = text[len(s.text):]
	return s, true
}

func isFlowIndicator(c byte) bool { return c == ',' || c == '[' || c == ']' || c == '{' || c == '}' }

// plainEnd returns the position at which a plain scalar ends (YAML 1.2 section 7.3.3), including spaces at its end.
func plainEnd(text []byte, flow bool) int {
	for i, c := range text {
		switch c {
		case ':':
			if i+1 == len(text) || text[i+1] == ' ' || flow && isFlowIndicator(text[i+1]) {
				return i
			}
		case '#':
			if i > 0 && text[i-1] == ' ' {
				return i
			}
		case ',', '[', ']', '{', '}':
			if flow {
				return i
			}
		}
	}
	return len(text)
}

// singleQuoted reads the rest of a scalar in single quotes.
func (l *lines) singleQuoted(text []byte) (s scalar, ok bool) {
	l.text = l.text[:0]
	for {
		at := bytes.IndexByte(text, '\'')
		if at < 0 {
			return s, false
		}
		part, rest := text[:at], text[at+1:]
		if len(rest) == 0 || rest[0] != '\'' {
			if len(l.text) > 0 {
				l.text = append(l.text, part...)
				part = l.text
			}
			return scalar{part, true, rest}, true
		}
		l.text = append(append(l.text, part...), '\'')
		text = rest[1:]
	}
}

// doubleQuoted reads the rest of a scalar in double quotes, with the escapes of JSON. The library reads scalars with other escapes.
func (l *lines) doubleQuoted(text []byte) (s scalar, ok bool) {
	if at := bytes.IndexByte(text, '"'); at >= 0 && bytes.IndexByte(text[:at], '\\') < 0 {
		return scalar{text[:at], true, text[at+1:]}, true
	}
	l.text = l.text[:0]
	for len(text) > 0 {
		switch c := text[0]; c {
		case '"':
			return scalar{l.text, true, text[1:]}, true
		case '\\':
			if text, ok = l.escape(text[1:]); !ok {
				return s, false
			}
		default:
			l.text = append(l.text, c)
			text = text[1:]
		}
	}
	return s, false
}

// escape appends the character of an escape to l.text, and returns what follows the escape. The text begins after the backslash.
func (l *lines) escape(text []byte) (rest []byte, ok bool) {
	if len(text) == 0 {
		return nil, false
	}
	const size = 5 // of u and four digits
	if text[0] == 'u' && len(text) >= size {
		code, err := strconv.ParseUint(string(text[1:size]), 16, 16)
		r := rune(code)
		l.text = utf8.AppendRune(l.text, r)
		return text[size:], err == nil && utf8.ValidRune(r)
	}
	at := bytes.IndexByte([]byte(`"\/bfnrt`), text[0])
	if at < 0 {
		return nil, false
	}
	l.text = append(l.text, "\"\\/\b\f\n\r\t"[at])
	return text[1:], true
}
