package format

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
)

// Limits of XML documents.
const (
	maxNames    = 10_000  // different names of elements and attributes
	maxElements = 2 << 20 // elements, attributes and pieces of text
)

// element is an element, an attribute or a piece of text. Attributes, texts and elements within an element are its children, which
// form a linked list. Links are indexes in elements.all; 0 means no element, since index 0 is the parent of the root.
type element struct {
	name        int32 // index in names, or noName
	value       document.TextRef
	first, next uint32 // the first child, and the next child of the same parent
	twin        uint32 // the next child of the same parent with the same name
	isTwin      bool   // an earlier child of the same parent has the same name
}

// noName is the name of a piece of text.
const noName = -1

// elements is an XML document (XML 1.0) while it is read. It is not known before the end of the document which elements become lists.
type elements struct {
	all   []element
	names []xml.Name // different names, with prefixes
	known map[xml.Name]int32
	open  []open
	built *document.Builder
	lists []string

	// By index in names:
	keys   []document.TextRef
	listed []bool
	parent []uint32 // the last element that has a child with this name
	last   []uint32 // the last child with this name in the element "parent"

	spare []byte // memory for joining texts
}

// open is an element whose end tag has not been read, and its last child so far.
type open struct{ at, last uint32 }

// xml decodes an element to an object of its attributes ("@name"), its text ("#text") and its children. An element without
// attributes and children becomes its text, or null. Children of the same name become a list. White space around texts is
// removed. Prefixes of names are removed, too, unless the document contains the same name with another prefix or without a prefix.
func (d *Decoder) xml(body []byte) error {
	x := d.elements(body)
	if !x.readPlain(body) {
		x = d.elements(body)
		if err := x.read(body); err != nil {
			return err
		}
	}
	return x.build()
}

// build builds the document of all elements.
func (x *elements) build() error {
	if len(x.open) > 1 {
		return fmt.Errorf("unexpected end: <%s> is not closed", x.nameOf(x.open[len(x.open)-1].at))
	}
	if x.all[0].first == 0 {
		return errors.New("is empty")
	}
	x.nameKeys()
	x.children(0)
	return nil
}

// elements returns an empty document with memory for the elements of body: most of them have a start tag, a text and an end tag.
func (d *Decoder) elements(body []byte) *elements {
	d.built.Reset(0, len(body))
	return &elements{
		all:   make([]element, 1, 1+min(bytes.Count(body, []byte("<")), maxElements)),
		known: map[xml.Name]int32{}, open: []open{{}}, built: &d.built, lists: d.set.XML.Lists,
	}
}

// read reads a document with encoding/xml.
func (x *elements) read(body []byte) error {
	r := xml.NewDecoder(bytes.NewReader(body))
	r.CharsetReader = func(_ string, body io.Reader) (io.Reader, error) { return body, nil } // the body is in UTF-8 already
	for {
		token, err := r.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return xmlError(err)
		}
		if len(x.all) > maxElements {
			return document.ErrMany
		}
		if err := x.token(token); err != nil {
			line, _ := r.InputPos()
			return inLine(line, "%w", err)
		}
	}
}

// xmlError returns an error of encoding/xml with the number of the line.
func xmlError(err error) error {
	e, ok := errors.AsType[*xml.SyntaxError](err)
	if !ok {
		return errors.New(sources.Excerpt([]byte(err.Error()), 100))
	}
	said := sources.Excerpt([]byte(e.Msg), 100)
	if strings.HasPrefix(e.Msg, "invalid character entity") {
		return inLine(e.Line, "%s: only &amp; &lt; &gt; &quot; &apos; and numeric entities are supported", said)
	}
	return inLine(e.Line, "%s", said)
}

// token adds a token to the document, or returns why the document is not well-formed.
func (x *elements) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return x.start(t)
	case xml.EndElement:
		at := x.open[len(x.open)-1].at
		switch {
		case at == 0:
			return fmt.Errorf("</%s> has no start tag", cut(written(t.Name)))
		case x.names[x.all[at].name] != t.Name:
			return fmt.Errorf("</%s> closes <%s>", cut(written(t.Name)), x.nameOf(at))
		}
		x.open = x.open[:len(x.open)-1]
	case xml.CharData:
		switch {
		case len(x.open) > 1:
			x.add(element{name: noName, value: x.built.Keep(t)})
		case len(bytes.TrimSpace(t)) > 0:
			return fmt.Errorf("text outside the root element: %s%s", sources.Excerpt(t, 40), hintJSON(t))
		}
	}
	return nil
}

// start adds an element and its attributes.
func (x *elements) start(t xml.StartElement) error {
	name, err := x.intern(t.Name)
	if err != nil {
		return err
	}
	if err := x.begin(name); err != nil {
		return err
	}
	for _, a := range t.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		a.Name.Local = "@" + a.Name.Local
		if name, err = x.intern(a.Name); err != nil {
			return err
		}
		if err := x.attribute(name, []byte(a.Value)); err != nil {
			return err
		}
	}
	return nil
}

// begin adds an element and opens it: what is added next becomes its child.
func (x *elements) begin(name int32) error {
	if len(x.open) > document.MaxDepth {
		return document.ErrDepth
	}
	if len(x.open) == 1 && x.all[0].first != 0 {
		return fmt.Errorf("has a second root element, <%s>", cut(written(x.names[name])))
	}
	x.open = append(x.open, open{at: x.add(element{name: name})})
	return nil
}

// attribute adds an attribute to the innermost open element.
func (x *elements) attribute(name int32, value []byte) error {
	at := x.open[len(x.open)-1].at
	if x.parent[name] == at {
		return fmt.Errorf("duplicate attribute %s", cut(written(x.names[name])))
	}
	x.parent[name] = at
	x.add(element{name: name, value: x.built.Keep(bytes.TrimSpace(value))})
	return nil
}

// intern returns the index of a name in names, and adds the name if it is new.
func (x *elements) intern(name xml.Name) (int32, error) {
	at, ok := x.known[name]
	if !ok {
		if len(x.names) == maxNames {
			return 0, fmt.Errorf("more than %d different names", maxNames)
		}
		at = int32(len(x.names))
		x.known[name] = at
		x.names, x.parent = append(x.names, name), append(x.parent, noElement)
	}
	return at, nil
}

// add adds a child to the innermost open element.
func (x *elements) add(e element) uint32 {
	at := uint32(len(x.all))
	x.all = append(x.all, e)
	parent := &x.open[len(x.open)-1]
	if parent.last == 0 {
		x.all[parent.at].first = at
	} else {
		x.all[parent.last].next = at
	}
	parent.last = at
	return at
}

func (x *elements) nameOf(at uint32) string { return cut(written(x.names[x.all[at].name])) }

// hintJSON returns a hint if a text looks like JSON, and otherwise "".
func hintJSON(text []byte) string {
	if text = bytes.TrimSpace(text); text[0] == '{' || text[0] == '[' {
		return ": if it is JSON, set format: json"
	}
	return ""
}

// written returns a name with its prefix, as the document contains it; an attribute begins with @.
func written(name xml.Name) string {
	local, attribute := strings.CutPrefix(name.Local, "@")
	if name.Space != "" {
		local = name.Space + ":" + local
	}
	if attribute {
		return "@" + local
	}
	return local
}

// cut returns the beginning of a name, for messages.
func cut(name string) string { return strings.ToValidUTF8(name[:min(len(name), 40)], "") }

// noElement is an index that no element has.
const noElement = ^uint32(0)

// nameKeys sets the key of each name. It also sets whether elements of this name always become a list. A key includes the prefix if it
// would not be unique without the prefix.
func (x *elements) nameKeys() {
	locals := map[string]int{}
	for _, name := range x.names {
		locals[name.Local]++
	}
	for i, name := range x.names {
		key := name.Local
		if locals[key] > 1 {
			key = written(name)
		}
		x.keys = append(x.keys, x.built.Keep([]byte(key)))
		x.listed = append(x.listed, slices.Contains(x.lists, key))
		x.parent[i] = noElement
	}
	x.last = make([]uint32, len(x.names))
}

// value builds the value of an element or attribute.
func (x *elements) value(at uint32) {
	e := &x.all[at]
	switch {
	case x.isAttribute(at):
		x.built.TextAt(e.value)
	case x.hasMembers(at):
		x.children(at)
	default:
		if p, some := x.textOf(at); some {
			x.built.TextAt(p)
		} else {
			x.built.Literal(document.Null)
		}
	}
}

func (x *elements) isAttribute(at uint32) bool { return x.names[x.all[at].name].Local[0] == '@' }

func (x *elements) hasMembers(at uint32) bool {
	for c := x.all[at].first; c != 0; c = x.all[c].next {
		if x.all[c].name != noName {
			return true
		}
	}
	return false
}

// children builds the object of an element's children.
func (x *elements) children(at uint32) {
	for c := x.all[at].first; c != 0; c = x.all[c].next {
		name := x.all[c].name
		if name == noName {
			continue
		}
		if x.parent[name] == at {
			x.all[x.last[name]].twin = c
			x.all[c].isTwin = true
		}
		x.parent[name], x.last[name] = at, c
	}
	x.built.Begin(document.Object)
	for c := x.all[at].first; c != 0; c = x.all[c].next {
		if x.all[c].name != noName && !x.all[c].isTwin {
			x.member(c)
		}
	}
	if p, some := x.textOf(at); some {
		x.built.Text([]byte("#text"))
		x.built.TextAt(p)
	}
	x.built.End()
}

// member builds a key and its value: a child, or the list of all children of that name.
func (x *elements) member(c uint32) {
	name := x.all[c].name
	x.built.TextAt(x.keys[name])
	if x.all[c].twin == 0 && !x.listed[name] {
		x.value(c)
		return
	}
	x.built.Begin(document.Array)
	for ; c != 0; c = x.all[c].twin {
		x.value(c)
	}
	x.built.End()
}

// textOf returns the text of an element: all its pieces of text, joined. It returns false if there is only white space.
func (x *elements) textOf(at uint32) (document.TextRef, bool) {
	x.spare = x.spare[:0]
	for c := x.all[at].first; c != 0; c = x.all[c].next {
		if x.all[c].name == noName {
			x.spare = append(x.spare, x.built.At(x.all[c].value)...)
		}
	}
	trimmed := bytes.TrimSpace(x.spare)
	if len(trimmed) == 0 {
		return document.TextRef{}, false
	}
	return x.built.Keep(trimmed), true
}
