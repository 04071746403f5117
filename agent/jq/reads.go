package jq

import (
	"slices"

	"github.com/itchyny/gojq"
)

// Read is a plain path, such as .a.b, that an expression reads from its input.
type Read struct {
	Path []string
	// Needed is true if the expression compares the value, or calculates with it, whatever the rest of the input is. In jq null is less than
	// any number and equal to null, so such an expression has a wrong result for an input without the value, and no error. What is only
	// added is not needed: the sum of null and a number is the number.
	Needed bool
}

// Reads returns the plain paths that an expression reads from its input. It returns no path on the left of //, which says what holds
// without the value, and no path below items, in functions that the expression defines, and in most arguments.
func Reads(q *gojq.Query) []Read {
	var r reader
	r.query(q, []string{}, true, false)
	return r.all
}

// reader collects what an expression reads. Its methods have these parameters: at is the path of the value to which a part of the
// expression is applied, nil if that is no plain path. sure is true if the part is evaluated for every input. needed is true if its value
// is compared or calculated with. They return the path of the part's value.
type reader struct{ all []Read }

func (r *reader) add(path []string, sure, needed bool) {
	needed = needed && sure
	known := func(k Read) bool { return k.Needed == needed && slices.Equal(k.Path, path) }
	if len(path) > 0 && !slices.ContainsFunc(r.all, known) {
		r.all = append(r.all, Read{path, needed})
	}
}

func (r *reader) query(q *gojq.Query, at []string, sure, needed bool) []string {
	switch {
	case q == nil || len(q.FuncDefs) > 0 || at == nil:
		return nil
	case q.Term != nil:
		return r.term(q.Term, at, sure, needed)
	}
	switch q.Op {
	case gojq.OpPipe:
		if len(q.Patterns) > 0 { // the value of the left is only kept in a variable
			r.query(q.Left, at, sure, false)
			return r.query(q.Right, at, sure, needed)
		}
		return r.query(q.Right, r.query(q.Left, at, sure, needed), sure, needed)
	case gojq.OpComma:
		r.query(q.Left, at, sure, needed)
		r.query(q.Right, at, sure, needed)
	case gojq.OpAlt:
		r.query(q.Right, at, false, needed)
	case gojq.OpAnd, gojq.OpOr:
		r.query(q.Left, at, sure, false)
		r.query(q.Right, at, false, false)
	case gojq.OpEq, gojq.OpNe: // with a constant, it is said what holds for null
		both := !isFixed(q.Left) && !isFixed(q.Right)
		r.query(q.Left, at, sure, both)
		r.query(q.Right, at, sure, both)
	case gojq.OpAdd: // null + n is n, as if the value were 0, which many APIs leave out
		r.query(q.Left, at, sure, false)
		r.query(q.Right, at, sure, false)
	case gojq.OpLt, gojq.OpLe, gojq.OpGt, gojq.OpGe, gojq.OpSub, gojq.OpMul, gojq.OpDiv, gojq.OpMod:
		r.query(q.Left, at, sure, true)
		r.query(q.Right, at, sure, true)
	}
	return nil
}

func (r *reader) term(t *gojq.Term, at []string, sure, needed bool) []string {
	from := r.begin(t, at, sure, needed)
	if from == nil {
		return nil
	}
	for _, s := range t.SuffixList {
		if s.Optional && s.Index == nil && !s.Iter {
			continue
		}
		name, plain := plainName(s.Index)
		if !plain || s.Iter {
			r.add(from, sure, false) // an item of the value is compared, not the value
			return nil
		}
		from = append(slices.Clip(from), name)
	}
	r.add(from, sure, needed)
	return from
}

// isFixed reports whether a query is a constant.
func isFixed(q *gojq.Query) bool {
	if t := q.Term; t != nil && len(t.SuffixList) == 0 {
		switch t.Type {
		case gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse:
			return true
		case gojq.TermTypeArray:
			return t.Array == nil || t.Array.Query == nil
		case gojq.TermTypeObject:
			return t.Object == nil || len(t.Object.KeyVals) == 0
		}
	}
	return isConstant(q)
}

// begin is term for the part of a term before its suffixes. It does not add the path that it returns.
func (r *reader) begin(t *gojq.Term, at []string, sure, needed bool) []string {
	switch t.Type {
	case gojq.TermTypeIdentity:
		return at
	case gojq.TermTypeIndex:
		if name, plain := plainName(t.Index); plain {
			return append(slices.Clip(at), name)
		}
		r.add(at, sure, false)
	case gojq.TermTypeQuery:
		if len(t.SuffixList) > 0 {
			needed = false
		}
		return r.query(t.Query, at, sure, needed)
	case gojq.TermTypeUnary:
		r.term(t.Unary.Term, at, sure, true)
	case gojq.TermTypeIf:
		r.query(t.If.Cond, at, sure, false)
		r.query(t.If.Then, at, false, needed)
		for _, e := range t.If.Elif {
			r.query(e.Cond, at, false, false)
			r.query(e.Then, at, false, needed)
		}
		r.query(t.If.Else, at, false, needed)
	case gojq.TermTypeString, gojq.TermTypeFormat:
		if t.Str != nil {
			for _, q := range t.Str.Queries {
				r.query(q, at, false, false)
			}
		}
	case gojq.TermTypeTry:
		r.query(t.Try.Body, at, false, false)
	case gojq.TermTypeArray:
		if t.Array != nil {
			r.query(t.Array.Query, at, false, false)
		}
	case gojq.TermTypeFunc:
		if t.Func.Name == "select" && len(t.Func.Args) == 1 {
			r.query(t.Func.Args[0], at, sure, false)
			return at // or no value
		}
	}
	return nil
}
