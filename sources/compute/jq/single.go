package jq

import (
	"fmt"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/agent/metric"
)

// Some formats, such as XML, do not tell a list of one item from a single value: see sources.Document.Single. In such a document, the number of
// items and the iteration over them would be that of the members of the only item, or its length that of its text.

// countedPath returns the path in an expression such as .a.b | length. For any other expression, the path is nil.
func countedPath(q *gojq.Query) []string {
	if q.Op != gojq.OpPipe || len(q.Patterns)+len(q.FuncDefs) > 0 || q.Right.Term == nil || len(q.Right.FuncDefs) > 0 {
		return nil
	}
	t := q.Right.Term
	if t.Type != gojq.TermTypeFunc || t.Func.Name != "length" || len(t.Func.Args)+len(t.SuffixList) > 0 {
		return nil
	}
	if path, each := jq.Path(q.Left); !each && len(path) > 0 {
		return path
	}
	return nil
}

// singleKind returns the kind of the value at a path of an item, in a document in which it may be the only item of a list; else Null.
func (s *source) singleKind(in *item, path []string) document.Kind {
	if s.single == "" || len(path) == 0 || in.form != formDoc {
		return document.Null
	}
	v, err := resolvePath(in.doc(), path)
	if err != nil {
		return document.Null
	}
	return v.Kind()
}

// checkCount returns a problem if a value is the number of items of a list, and the list has only one item, which is not in a list.
func (s *source) checkCount(x *Expr, in *item) *itemProblem {
	if len(x.counted) == 0 {
		return nil
	}
	name := x.counted[len(x.counted)-1]
	switch s.singleKind(in, x.counted) {
	case document.Object:
	case document.String: // an element that has only a text
		if strings.HasPrefix(name, "@") || name == "#text" {
			return nil // an attribute or the text of an element cannot be several
		}
	default:
		return nil
	}
	return &itemProblem{metric.Expression, fmt.Sprintf("value %s: there is one %s, which is not in a list, so length would count its members or characters: set %s",
		x, name, s.singleSetting(x.counted)), nil}
}

// singleSetting returns the setting by which the last name of a path is a list, or "" if the document has no such setting.
func (s *source) singleSetting(path []string) string {
	if s.single == "" || len(path) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: [%s]", s.single, path[len(path)-1])
}

// singleWarning returns a warning if the items of a walk are the members of an object that may be the only item of a list; "" if not.
func (s *source) singleWarning(w *walk, root *item) string {
	if w.items == nil || !w.items.each || s.singleKind(root, w.items.path) != document.Object {
		return ""
	}
	return short(fmt.Sprintf("items %s: there is one %s, which is not in a list, so its members are the items: if it can be several, set %s; "+
		"if its members are meant, write %s | to_entries[] and .value", w.items, w.items.path[len(w.items.path)-1], s.singleSetting(w.items.path),
		strings.TrimSuffix(strings.TrimSpace(w.items.text), "[]")))
}
