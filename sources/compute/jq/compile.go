package jq

import (
	"fmt"
	"slices"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/jq"
)

// step computes a value from a value without jq. It either means exactly what jq means or is not ok, and then jq is asked:
// for every error, and for whatever is too rare to be worth its code here, such as integers of more than 64 bits.
type step func(m *machine, in value) (out value, ok bool)

// needsJQ is the part of an expression that only jq can compute.
type needsJQ struct{ part string }

func (e *needsJQ) Error() string { return e.part }

func needs(part fmt.Stringer) error { return &needsJQ{part.String()} }

// plain tells whether the expression neither defines functions nor names variables.
func plain(q *gojq.Query) bool {
	return q.Meta == nil && len(q.Imports)+len(q.FuncDefs)+len(q.Patterns) == 0
}

// compile compiles an expression that gives one value, or none. Its only error is needsJQ.
func (p *place) compile(q *gojq.Query) (step, error) {
	if q.Term != nil && plain(q) {
		return p.compileTerm(q.Term)
	}
	join := joint(q.Op)
	if join == nil || !plain(q) {
		return nil, needs(q)
	}
	left, err := p.compile(q.Left)
	if err != nil {
		return nil, err
	}
	if q.Op == gojq.OpPipe {
		p = p.after(q.Left)
	}
	right, err := p.compile(q.Right)
	if err != nil {
		return nil, err
	}
	return join(left, right), nil
}

// joint makes a step of the two beside an operator; nil where only jq can.
func joint(op gojq.Operator) func(left, right step) step {
	switch op {
	case gojq.OpPipe:
		return pipe
	case gojq.OpAlt:
		return alternative
	case gojq.OpAnd, gojq.OpOr:
		return func(left, right step) step { return logic(left, right, op == gojq.OpOr) }
	}
	if o := operators(op); o != nil {
		return func(left, right step) step { return binary(left, right, o) }
	}
	return nil
}

func (p *place) compileTerm(t *gojq.Term) (step, error) {
	if path, each := jq.Path(&gojq.Query{Term: t}); path != nil && !each {
		return p.follow(path), nil
	}
	if n := len(t.SuffixList); n > 0 {
		return p.compileSuffix(t, n-1)
	}
	switch t.Type {
	case gojq.TermTypeIndex:
		return p.compileIndex(t.Index, false, t)
	case gojq.TermTypeQuery:
		return p.compile(t.Query)
	case gojq.TermTypeNull:
		return constant(value{})
	case gojq.TermTypeTrue, gojq.TermTypeFalse:
		return constant(boolValue(t.Type == gojq.TermTypeTrue))
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
	case gojq.TermTypeIf:
		return p.compileIf(t.If)
	case gojq.TermTypeFunc:
		return p.compileFunc(t.Func)
	}
	return nil, needs(t)
}

func (p *place) compileIf(i *gojq.If) (step, error) {
	otherwise := identity
	var err error
	if i.Else != nil {
		if otherwise, err = p.compile(i.Else); err != nil {
			return nil, err
		}
	}
	branches := append([]*gojq.IfElif{{Cond: i.Cond, Then: i.Then}}, i.Elif...)
	for _, b := range slices.Backward(branches) {
		condition, err := p.compile(b.Cond)
		if err != nil {
			return nil, err
		}
		then, err := p.compile(b.Then)
		if err != nil {
			return nil, err
		}
		otherwise = choice(condition, then, otherwise)
	}
	return otherwise, nil
}

func constant(v value) (step, error) {
	return func(*machine, value) (value, bool) { return v, true }, nil
}
