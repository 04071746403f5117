package rules

import (
	"fmt"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
)

// step computes a value from a value without jq. It either means exactly what jq means or is not ok, and then jq is asked:
// for every error, and for whatever is too rare to be worth its code here, such as integers of more than 64 bits.
type step func(m *machine, in value) (out value, ok bool)

// stage is one part of an expression that may give several values: a step, or the items of a list or object.
type stage struct {
	step     step // nil = items
	optional bool // of items: what has none gives none, as jq's []? does
}

// needsJQ is the part of an expression that only jq can compute.
type needsJQ struct{ part string }

func (e *needsJQ) Error() string { return e.part }

func needs(part fmt.Stringer) error { return &needsJQ{part.String()} }

// compileStages takes an expression that may have .[] in it apart. Its only error is needsJQ.
func compileStages(q *gojq.Query) ([]stage, error) {
	if q.Op == gojq.OpPipe && plain(q) {
		left, err := compileStages(q.Left)
		if err != nil {
			return nil, err
		}
		right, err := compileStages(q.Right)
		return append(left, right...), err
	}
	if q.Term == nil || !plain(q) {
		s, err := compile(q)
		return []stage{{step: s}}, err
	}
	base := *q.Term
	var stages []stage
	for i := 0; i < len(base.SuffixList); i++ {
		if !base.SuffixList[i].Iter {
			continue
		}
		before, after := base, base.SuffixList[i+1:]
		before.SuffixList = before.SuffixList[:i]
		s, err := compileTerm(&before)
		if err != nil {
			return nil, err
		}
		optional := len(after) > 0 && after[0].Optional
		if optional {
			after = after[1:]
		}
		stages = append(stages, stage{step: s}, stage{optional: optional})
		if len(after) == 0 {
			return stages, nil
		}
		base, i = gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: after}, -1
	}
	s, err := compileTerm(&base)
	return append(stages, stage{step: s}), err
}

// plain tells whether the expression neither defines functions nor names variables.
func plain(q *gojq.Query) bool {
	return q.Meta == nil && len(q.Imports)+len(q.FuncDefs)+len(q.Patterns) == 0
}

// compile compiles an expression that gives one value, or none. Its only error is needsJQ.
func compile(q *gojq.Query) (step, error) {
	switch {
	case !plain(q):
		return nil, needs(q)
	case q.Term != nil:
		return compileTerm(q.Term)
	case q.Op == gojq.OpPipe, q.Op == gojq.OpAlt, q.Op == gojq.OpAnd, q.Op == gojq.OpOr, operators(q.Op) != nil:
	default:
		return nil, needs(q)
	}
	left, err := compile(q.Left)
	if err != nil {
		return nil, err
	}
	right, err := compile(q.Right)
	if err != nil {
		return nil, err
	}
	switch q.Op {
	case gojq.OpPipe:
		return pipe(left, right), nil
	case gojq.OpAlt:
		return alternative(left, right), nil
	case gojq.OpAnd, gojq.OpOr:
		return logic(left, right, q.Op == gojq.OpOr), nil
	}
	return binary(left, right, operators(q.Op)), nil
}

func compileTerm(t *gojq.Term) (step, error) {
	if n := len(t.SuffixList); n > 0 {
		return compileSuffix(t, n-1)
	}
	switch t.Type {
	case gojq.TermTypeIdentity:
		return func(_ *machine, in value) (value, bool) { return in, true }, nil
	case gojq.TermTypeIndex:
		return compileIndex(t.Index, false, t)
	case gojq.TermTypeQuery:
		return compile(t.Query)
	case gojq.TermTypeNull:
		return constant(value{})
	case gojq.TermTypeTrue, gojq.TermTypeFalse:
		return constant(value{data: t.Type == gojq.TermTypeTrue})
	case gojq.TermTypeString:
		if t.Str.Queries == nil {
			return constant(textValue(t.Str.Str))
		}
	case gojq.TermTypeNumber:
		if n, ok := numberOf(t.Number); ok {
			return constant(n)
		}
	case gojq.TermTypeUnary:
		if u := t.Unary; u.Op == gojq.OpSub && u.Term.Type == gojq.TermTypeNumber && len(u.Term.SuffixList) == 0 {
			if n, ok := numberOf("-" + u.Term.Number); ok {
				return constant(n)
			}
		}
	case gojq.TermTypeFunc:
		return compileFunc(t.Func)
	}
	return nil, needs(t)
}

func constant(v value) (step, error) {
	return func(*machine, value) (value, bool) { return v, true }, nil
}

// compileSuffix compiles a term that ends in .name, [0] or one of these and ?.
func compileSuffix(t *gojq.Term, last int) (step, error) {
	s, optional := t.SuffixList[last], false
	base := *t
	if s.Optional {
		optional = true
		if last--; last < 0 { // .name?
			if base.SuffixList = nil; t.Type != gojq.TermTypeIndex {
				return nil, needs(t)
			}
			return compileIndex(t.Index, true, t)
		}
		s = t.SuffixList[last]
	}
	if s.Index == nil {
		return nil, needs(t)
	}
	base.SuffixList = t.SuffixList[:last]
	before, err := compileTerm(&base)
	if err != nil {
		return nil, err
	}
	index, err := compileIndex(s.Index, optional, t)
	if err != nil {
		return nil, err
	}
	return pipe(before, index), nil
}

// compileIndex compiles .name and .[0]; with ? what has no members gives nothing.
func compileIndex(i *gojq.Index, optional bool, in *gojq.Term) (step, error) {
	if name, ok := i.Name, i.Name != ""; ok || i.Str != nil && i.Str.Queries == nil {
		if !ok {
			name = i.Str.Str
		}
		return member(name, optional), nil
	}
	if i.IsSlice || i.Start == nil || optional || i.Start.Term == nil {
		return nil, needs(in)
	}
	key, err := compileTerm(i.Start.Term)
	if err != nil || i.Start.Term.Type != gojq.TermTypeNumber && i.Start.Term.Type != gojq.TermTypeUnary && i.Start.Term.Type != gojq.TermTypeString {
		return nil, needs(in)
	}
	switch k, _ := key(nil, value{}); k.form {
	case text:
		return member(k.text, optional), nil
	case integer:
		return element(k.int()), nil
	}
	return nil, needs(in)
}

func member(name string, optional bool) step {
	return func(_ *machine, in value) (value, bool) {
		if in.isNull() {
			return value{}, true
		}
		if in.form == inDoc && in.doc.Kind() == document.Object {
			return ofDocument(in.doc.Get(name)), true
		}
		return value{form: none}, optional
	}
}

// element is the n-th item of a list, from its end where n is negative.
func element(n int64) step {
	return func(_ *machine, in value) (value, bool) {
		if in.isNull() {
			return value{}, true
		}
		if in.form != inDoc || in.doc.Kind() != document.Array {
			return value{}, false
		}
		at := n
		if at < 0 {
			at += int64(in.doc.Len())
		}
		for item := range in.doc.Items {
			if at == 0 {
				return ofDocument(item), true
			}
			at--
		}
		return value{}, true
	}
}
