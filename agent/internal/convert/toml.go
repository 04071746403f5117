package convert

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlReader builds the tree of a TOML file. It uses the low-level parser, since this parser gives the position of each key.
type tomlReader struct {
	parser unstable.Parser
	text   []byte
	starts []int // offset of each line from the second on
	left   int
}

// parseTOML returns the content of a TOML file as a tree.
func parseTOML(text []byte) (*node, error) {
	if nesting(text) > maxDepth {
		return nil, errTooBig
	}
	r := tomlReader{text: text, left: maxNodes}
	for i, c := range text {
		if c == '\n' {
			r.starts = append(r.starts, i+1)
		}
	}
	root := &node{kind: mapping, line: 1}
	at := root
	r.parser.Reset(text)
	for r.parser.NextExpression() {
		e := r.parser.Expression()
		var err error
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			at, err = r.table(root, e)
		case unstable.KeyValue:
			err = r.pair(at, e, 0)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := r.parser.Error(); err != nil {
		line := 0
		if p, ok := errors.AsType[*unstable.ParserError](err); ok && len(p.Highlight) > 0 {
			line = r.line(p.Highlight)
		}
		return nil, fmt.Errorf("not valid TOML, near line %d", line)
	}
	return root, nil
}

// nesting returns how many levels deep brackets are nested, outside of strings and comments.
func nesting(text []byte) int {
	depth, most := 0, 0
	var quoted byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted != 0:
			if c == '\\' && quoted == '"' {
				i++
			} else if c == quoted || c == '\n' {
				quoted = 0
			}
		case c == '"' || c == '\'':
			quoted = c
		case c == '#':
			if end := bytes.IndexByte(text[i:], '\n'); end >= 0 {
				i += end
			} else {
				i = len(text)
			}
		case c == '[' || c == '{':
			depth++
			most = max(most, depth)
		case c == ']' || c == '}':
			depth = max(0, depth-1)
		}
	}
	return most
}

// line returns the line number of a part of the text.
func (r *tomlReader) line(part []byte) int {
	if len(part) == 0 || cap(part) > cap(r.text) {
		return 0
	}
	return r.lineAt(cap(r.text) - cap(part))
}

func (r *tomlReader) lineAt(offset int) int {
	return sort.SearchInts(r.starts, offset+1) + 1
}

// table returns the mapping for a header such as [a.b] or [[a.b]].
func (r *tomlReader) table(root *node, e *unstable.Node) (*node, error) {
	at := root
	for it, depth := e.Key(), 0; it.Next(); depth++ {
		key, line := string(it.Node().Data), r.lineAt(int(it.Node().Raw.Offset))
		if r.left--; r.left < 0 || depth > maxDepth {
			return nil, errTooBig
		}
		next := at.get(key)
		switch {
		case e.Kind == unstable.ArrayTable && it.IsLast():
			item := &node{kind: mapping, line: line}
			if next == nil {
				next = &node{kind: list, line: line}
				at.set(key, line, next)
			}
			if next.kind != list {
				return nil, fmt.Errorf("line %d: %s is set twice", line, word(key))
			}
			next.items = append(next.items, item)
			next = item
		case next == nil:
			next = &node{kind: mapping, line: line}
			at.set(key, line, next)
		case next.kind == list && len(next.items) > 0:
			next = next.items[len(next.items)-1]
		}
		if next.kind != mapping {
			return nil, fmt.Errorf("line %d: %s is set twice", line, word(key))
		}
		at = next
	}
	return at, nil
}

// pair sets a key to its value. The key can have dots.
func (r *tomlReader) pair(at *node, e *unstable.Node, depth int) error {
	value, err := r.value(e.Value(), depth)
	if err != nil {
		return err
	}
	for it := e.Key(); it.Next(); {
		key, line := string(it.Node().Data), r.lineAt(int(it.Node().Raw.Offset))
		if value.line <= 1 {
			value.line = line
		}
		if it.IsLast() {
			at.set(key, line, value)
			return nil
		}
		if r.left--; r.left < 0 {
			return errTooBig
		}
		next := at.get(key)
		if next == nil {
			next = &node{kind: mapping, line: line}
			at.set(key, line, next)
		}
		if next.kind != mapping {
			return fmt.Errorf("line %d: %s is set twice", line, word(key))
		}
		at = next
	}
	return nil
}

func (r *tomlReader) value(v *unstable.Node, depth int) (*node, error) {
	if r.left--; r.left < 0 || depth > maxDepth {
		return nil, errTooBig
	}
	n := &node{text: string(v.Data)}
	if v.Raw.Length > 0 {
		n.line = r.lineAt(int(v.Raw.Offset))
	}
	switch v.Kind {
	case unstable.Array:
		n.kind, n.text = list, ""
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.Comment {
				continue
			}
			item, err := r.value(it.Node(), depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
	case unstable.InlineTable:
		n.kind, n.text = mapping, ""
		for it := v.Children(); it.Next(); {
			if it.Node().Kind != unstable.KeyValue {
				continue
			}
			if err := r.pair(n, it.Node(), depth+1); err != nil {
				return nil, err
			}
		}
	case unstable.Integer, unstable.Float:
		n.kind, n.text = scalarNumber, strings.ReplaceAll(n.text, "_", "")
	case unstable.Bool:
		n.kind = scalarBool
	default:
		n.kind = scalarString
	}
	return n, nil
}
