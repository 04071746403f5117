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

// maxNames is how many different names elements and attributes may have.
const maxNames = 10_000

// maxElements is how many elements, attributes and pieces of text there may be.
const maxElements = 2 << 20

// element is an element, an attribute or a piece of text, which are all children of their element. Children hang
// together by next; 0 is none, since the first is the root's parent.
type element struct {
	name        int32 // in names, or noName
	value       document.TextRef
	first, next uint32
	twin        uint32 // the next child of the same name
	isTwin      bool
}

// noName is that of a piece of text.
const noName = -1

// elements is an XML document (XML 1.0) before it is known which children are lists.
type elements struct {
	all   []element
	names []xml.Name // as they are written: with prefixes
	known map[xml.Name]int32
	open  []open
	built *document.Builder
	lists []string

	// Of names:
	keys   []document.TextRef
	listed []bool
	parent []uint32 // the last element that was seen to have a child of the name …
	last   []uint32 // … and the last of these children

	spare []byte
}

// open is an element under way.
type open struct{ at, last uint32 }

// xml decodes an element to an object of its attributes ("@name"), its text ("#text") and its children; one without
// attributes and children is its text, or null. Children of one name become a list. White space around texts is left out.
// A prefix is left out too, unless the document uses the name with another prefix or with none.
func (d *Decoder) xml(body []byte) error {
	x := &elements{all: make([]element, 1), known: map[xml.Name]int32{}, open: []open{{}}, built: &d.built, lists: d.set.XML.Lists}
	d.built.Reset(0, len(body))
	r := xml.NewDecoder(bytes.NewReader(body))
	r.CharsetReader = func(_ string, body io.Reader) (io.Reader, error) { return body, nil } // it is in UTF-8 by now
	for {
		token, err := r.RawToken()
		if errors.Is(err, io.EOF) {
			break
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
	if len(x.open) > 1 {
		return fmt.Errorf("it is cut short: <%s> is not closed", x.nameOf(x.open[len(x.open)-1].at))
	}
	if x.all[0].first == 0 {
		return errors.New("it is empty")
	}
	x.nameKeys()
	x.children(0)
	return nil
}

func xmlError(err error) error {
	e, ok := errors.AsType[*xml.SyntaxError](err)
	if !ok {
		return errors.New(sources.Excerpt([]byte(err.Error()), 100))
	}
	said := sources.Excerpt([]byte(e.Msg), 100)
	if strings.HasPrefix(e.Msg, "invalid character entity") {
		return inLine(e.Line, "%s: only &amp; &lt; &gt; &quot; &apos; and numbers are known", said)
	}
	return inLine(e.Line, "%s", said)
}

func (x *elements) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return x.start(t)
	case xml.EndElement:
		at := x.open[len(x.open)-1].at
		switch {
		case at == 0:
			return fmt.Errorf("</%s> closes nothing", cut(written(t.Name)))
		case x.names[x.all[at].name] != t.Name:
			return fmt.Errorf("<%s> is closed by </%s>", x.nameOf(at), cut(written(t.Name)))
		}
		x.open = x.open[:len(x.open)-1]
	case xml.CharData:
		switch {
		case len(x.open) > 1:
			x.add(element{name: noName, value: x.built.Keep(t)})
		case len(bytes.TrimSpace(t)) > 0:
			return fmt.Errorf("text outside of all elements: %s", sources.Excerpt(t, 40))
		}
	}
	return nil
}

func (x *elements) start(t xml.StartElement) error {
	if len(x.open) > document.MaxDepth {
		return document.ErrDepth
	}
	if len(x.open) == 1 && x.all[0].first != 0 {
		return fmt.Errorf("a second root element, <%s>", cut(written(t.Name)))
	}
	name, err := x.intern(t.Name)
	if err != nil {
		return err
	}
	x.open = append(x.open, open{at: x.add(element{name: name})})
	for _, a := range t.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		a.Name.Local = "@" + a.Name.Local
		if name, err = x.intern(a.Name); err != nil {
			return err
		}
		if at := x.open[len(x.open)-1].at; x.parent[name] == at {
			return fmt.Errorf("two attributes are called %s", cut(written(a.Name)))
		} else {
			x.parent[name] = at
		}
		x.add(element{name: name, value: x.built.Keep([]byte(strings.TrimSpace(a.Value)))})
	}
	return nil
}

func (x *elements) intern(name xml.Name) (int32, error) {
	at, ok := x.known[name]
	if !ok {
		if len(x.names) == maxNames {
			return 0, fmt.Errorf("more than %d different names", maxNames)
		}
		at = int32(len(x.names))
		x.known[name] = at
		x.names, x.parent = append(x.names, name), append(x.parent, nobody)
	}
	return at, nil
}

// add makes a child of the element under way.
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

// written is a name with its prefix.
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

func cut(name string) string { return strings.ToValidUTF8(name[:min(len(name), 40)], "") }

// nobody is no element.
const nobody = ^uint32(0)

// nameKeys finds the key of each name, which is without its prefix where no other has the same, and whether it is a list.
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
		x.parent[i] = nobody
	}
	x.last = make([]uint32, len(x.names))
}
