package jq

import "github.com/itchyny/gojq"

// Path returns the path of a simple expression such as .a.b or .a.b[], which a caller can evaluate without gojq. The result "each" says
// whether the expression ends in []. The path of the identity (.) is empty but not nil. For any other expression, the path is nil.
func Path(q *gojq.Query) (path []string, each bool) {
	t := q.Term
	if t == nil || len(q.FuncDefs) > 0 || len(q.Imports) > 0 || q.Meta != nil {
		return nil, false
	}
	path = []string{}
	switch t.Type {
	case gojq.TermTypeIdentity:
	case gojq.TermTypeIndex:
		name, ok := plainName(t.Index)
		if !ok {
			return nil, false
		}
		path = append(path, name)
	default:
		return nil, false
	}
	for i, s := range t.SuffixList {
		if s.Iter && !s.Optional && i == len(t.SuffixList)-1 {
			return path, true
		}
		name, ok := plainName(s.Index)
		if !ok || s.Iter || s.Optional {
			return nil, false
		}
		path = append(path, name)
	}
	return path, false
}

// plainName returns the name in an index .name or ."name".
func plainName(i *gojq.Index) (string, bool) {
	if i == nil || i.IsSlice || i.Start != nil {
		return "", false
	}
	if i.Str != nil {
		return i.Str.Str, i.Str.Queries == nil
	}
	return i.Name, i.Name != ""
}
