package format

import (
	"bytes"
	"encoding/xml"
	"strings"
	"unicode/utf8"
)

// plain reads an XML document that consists of elements, attributes, texts with the five predefined entities, comments, and perhaps a
// declaration at its beginning, with ASCII names. Most documents contain nothing else. encoding/xml takes many times as long and allocates
// for each tag, so it reads only the other documents.
type plain struct {
	*elements
	rest       []byte           // what has not been read
	elementsOf map[string]int32 // index of the name of an element, by the name with its prefix
	attributes map[string]int32 // index of the name of an attribute, by the name with its prefix; noName for a namespace declaration
	text       []byte           // memory for texts with entities
}

// readPlain reads a document. It returns false if the document has something that the type plain cannot read, such as a syntax error. After
// that, x must not be used any more.
func (x *elements) readPlain(body []byte) bool {
	// Line ends need a conversion, and U+FFFE and U+FFFF are not allowed in a document.
	if !utf8.Valid(body) || bytes.IndexByte(body, '\r') >= 0 || bytes.Contains(body, []byte("\uFFFE")) || bytes.Contains(body, []byte("\uFFFF")) {
		return false
	}
	p := &plain{elements: x, rest: body, elementsOf: map[string]int32{}, attributes: map[string]int32{}}
	if p.skip("<?xml ") && !p.declaration() {
		return false
	}
	for len(p.rest) > 0 {
		if len(x.all) > maxElements || !p.next() {
			return false
		}
	}
	return true
}

// declaration skips the rest of the declaration. The declared encoding does not matter, since the body was converted to UTF-8 before.
func (p *plain) declaration() bool {
	text, rest, found := bytes.Cut(p.rest, []byte("?>"))
	p.rest = rest
	return found && allowed(text) && (bytes.HasPrefix(text, []byte(`version="1.0"`)) || bytes.HasPrefix(text, []byte(`version='1.0'`)))
}

// next reads a text, a tag or a comment.
func (p *plain) next() bool {
	switch {
	case p.rest[0] != '<':
		end := bytes.IndexByte(p.rest, '<')
		if end < 0 {
			end = len(p.rest)
		}
		text, ok := p.unescaped(p.rest[:end])
		if len(p.open) > 1 {
			p.add(element{name: noName, value: p.built.Keep(text)})
		} else if len(bytes.TrimSpace(text)) > 0 {
			return false
		}
		p.rest = p.rest[end:]
		return ok && !bytes.Contains(text, []byte("]]>"))
	case p.skip("</"):
		name := p.name()
		p.space()
		at := p.open[len(p.open)-1].at
		if of, ok := p.elementsOf[string(name)]; !ok || at == 0 || p.all[at].name != of {
			return false
		}
		p.open = p.open[:len(p.open)-1]
		return p.skip(">")
	case p.skip("<!--"):
		text, rest, found := bytes.Cut(p.rest, []byte("--"))
		p.rest = rest
		return found && allowed(text) && p.skip(">")
	}
	p.rest = p.rest[1:]
	return p.start()
}

// start reads a start tag after its <.
func (p *plain) start() bool {
	name, ok := p.index(p.elementsOf, "")
	if !ok || p.begin(name) != nil {
		return false
	}
	for {
		p.space()
		switch {
		case p.skip("/>"):
			p.open = p.open[:len(p.open)-1]
			return true
		case p.skip(">"):
			return true
		}
		name, ok := p.index(p.attributes, "@")
		if !ok {
			return false
		}
		value, ok := p.quoted()
		if !ok || name != noName && p.attribute(name, value) != nil {
			return false
		}
	}
}

// quoted reads an equals sign and a value in quotes.
func (p *plain) quoted() (value []byte, ok bool) {
	p.space()
	if !p.skip("=") {
		return nil, false
	}
	p.space()
	if len(p.rest) == 0 || p.rest[0] != '"' && p.rest[0] != '\'' {
		return nil, false
	}
	end := bytes.IndexByte(p.rest[1:], p.rest[0])
	if end < 0 {
		return nil, false
	}
	text := p.rest[1 : 1+end]
	p.rest = p.rest[2+end:]
	if bytes.IndexByte(text, '<') >= 0 {
		return nil, false
	}
	return p.unescaped(text)
}

// index reads a name and returns its index in names. It puts the argument "prefix" before the name: "@" for attributes, and "" for
// elements. The index of a namespace declaration is noName.
func (p *plain) index(known map[string]int32, prefix string) (int32, bool) {
	raw := p.name()
	if at, ok := known[string(raw)]; ok {
		return at, true
	}
	name := nameOf(raw)
	if name.Local == "" {
		return 0, false
	}
	at := int32(noName)
	if prefix == "" || name.Space != "xmlns" && (name.Space != "" || name.Local != "xmlns") {
		name.Local = prefix + name.Local
		var err error
		if at, err = p.intern(name); err != nil {
			return 0, false
		}
	}
	known[string(raw)] = at
	return at, true
}

// name reads the characters of a name.
func (p *plain) name() []byte {
	n := 0
	for n < len(p.rest) {
		c := p.rest[n]
		if lower := c | 0x20; (lower < 'a' || lower > 'z') && (c < '0' || c > '9') && c != '_' && c != ':' && c != '-' && c != '.' {
			break
		}
		n++
	}
	name := p.rest[:n]
	p.rest = p.rest[n:]
	return name
}

// nameOf divides a name into prefix and local name. It returns an empty name if the text is not a valid name, or an unusual one.
func nameOf(raw []byte) (name xml.Name) {
	if len(raw) == 0 || raw[0] != '_' && raw[0] < 'A' {
		return name
	}
	space, local, found := strings.Cut(string(raw), ":")
	if !found {
		return xml.Name{Local: space}
	}
	if space == "" || local == "" || strings.Contains(local, ":") {
		return name
	}
	return xml.Name{Space: space, Local: local}
}

// unescaped replaces the predefined entities of a text. It returns false if the text contains another entity, an & that begins no entity,
// or a character that only encoding/xml handles.
func (p *plain) unescaped(text []byte) ([]byte, bool) {
	if !allowed(text) {
		return nil, false
	}
	at := bytes.IndexByte(text, '&')
	if at < 0 {
		return text, true
	}
	p.text = p.text[:0]
	for ; at >= 0; at = bytes.IndexByte(text, '&') {
		p.text = append(p.text, text[:at]...)
		name, rest, ended := bytes.Cut(text[at+1:], []byte(";"))
		if !ended {
			return nil, false
		}
		switch string(name) {
		case "amp":
			p.text = append(p.text, '&')
		case "lt":
			p.text = append(p.text, '<')
		case "gt":
			p.text = append(p.text, '>')
		case "quot":
			p.text = append(p.text, '"')
		case "apos":
			p.text = append(p.text, '\'')
		default:
			return nil, false
		}
		text = rest
	}
	p.text = append(p.text, text...)
	return p.text, true
}

// allowed reports whether a text is free of the control characters that XML forbids.
func allowed(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\t' && c != '\n' {
			return false
		}
	}
	return true
}

// space skips white space.
func (p *plain) space() { p.rest = bytes.TrimLeft(p.rest, " \t\n") }

// skip skips a text if it comes next, and reports whether it did.
func (p *plain) skip(text string) bool {
	rest, ok := bytes.CutPrefix(p.rest, []byte(text))
	p.rest = rest
	return ok
}
