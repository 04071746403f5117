package jq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
)

// step computes a value from a value without gojq. If "ok" is true, "out" is the result that jq would return. If "ok" is false, gojq
// evaluates the expression. The result "ok" is false for any value for which jq would return an error, and in cases that are too rare to
// implement, such as integers of more than 64 bits.
type step func(e *evaluator, in value) (out value, ok bool)

// needsJQ is the error for an expression that only gojq can evaluate. The field "part" is the part of the expression that needs gojq.
type needsJQ struct{ part string }

func (e *needsJQ) Error() string { return e.part }

func needJQ(part fmt.Stringer) error { return &needsJQ{part.String()} }

// isPlain reports whether the query has no definitions and no variables.
func isPlain(q *gojq.Query) bool {
	return q.Meta == nil && len(q.Imports)+len(q.FuncDefs)+len(q.Patterns) == 0
}

// compile compiles an expression that returns at most one value. Its only error is needsJQ.
func (n *pathNode) compile(q *gojq.Query) (step, error) {
	if q.Term != nil && isPlain(q) {
		return n.compileTerm(q.Term)
	}
	join := combinator(q.Op)
	if join == nil || !isPlain(q) {
		return nil, needJQ(q)
	}
	left, err := n.compile(q.Left)
	if err != nil {
		return nil, err
	}
	if q.Op == gojq.OpPipe {
		n = n.nodeAfter(q.Left)
	}
	right, err := n.compile(q.Right)
	if err != nil {
		return nil, err
	}
	return join(left, right), nil
}

// combinator returns the function that combines the steps of an operator's two operands. It returns nil for operators that only gojq
// evaluates.
func combinator(op gojq.Operator) func(left, right step) step {
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

// compileTerm compiles a term without iterations.
func (n *pathNode) compileTerm(t *gojq.Term) (step, error) {
	if path, each := jq.Path(&gojq.Query{Term: t}); path != nil && !each {
		return n.follow(path), nil
	}
	if last := len(t.SuffixList) - 1; last >= 0 {
		return n.compileSuffix(t, last)
	}
	switch t.Type {
	case gojq.TermTypeIndex:
		return n.compileIndex(t.Index, false, t)
	case gojq.TermTypeQuery:
		return n.compile(t.Query)
	case gojq.TermTypeNull:
		return constant(value{})
	case gojq.TermTypeTrue, gojq.TermTypeFalse:
		return constant(boolValue(t.Type == gojq.TermTypeTrue))
	case gojq.TermTypeString:
		if t.Str.Queries == nil {
			return constant(textValue(t.Str.Str))
		}
	case gojq.TermTypeNumber:
		if number, ok := numberOf(t.Number); ok {
			return constant(number)
		}
	case gojq.TermTypeUnary:
		if u := t.Unary; u.Op == gojq.OpSub && u.Term.Type == gojq.TermTypeNumber && len(u.Term.SuffixList) == 0 {
			if number, ok := numberOf("-" + u.Term.Number); ok {
				return constant(number)
			}
		}
	case gojq.TermTypeIf:
		return n.compileIf(t.If)
	case gojq.TermTypeFunc:
		return n.compileFunc(t.Func)
	}
	return nil, needJQ(t)
}

func (n *pathNode) compileIf(i *gojq.If) (step, error) {
	otherwise := identity
	var err error
	if i.Else != nil {
		if otherwise, err = n.compile(i.Else); err != nil {
			return nil, err
		}
	}
	branches := append([]*gojq.IfElif{{Cond: i.Cond, Then: i.Then}}, i.Elif...)
	for _, b := range slices.Backward(branches) {
		condition, err := n.compile(b.Cond)
		if err != nil {
			return nil, err
		}
		then, err := n.compile(b.Then)
		if err != nil {
			return nil, err
		}
		otherwise = choice(condition, then, otherwise)
	}
	return otherwise, nil
}

func constant(v value) (step, error) {
	return func(*evaluator, value) (value, bool) { return v, true }, nil
}

// compileSuffix compiles a term that ends in .name or [0], and perhaps a question mark.
func (n *pathNode) compileSuffix(t *gojq.Term, last int) (step, error) {
	s, optional := t.SuffixList[last], false
	base := *t
	if s.Optional {
		optional = true
		if last--; last < 0 { // the expression is .name?
			if base.SuffixList = nil; t.Type != gojq.TermTypeIndex {
				return nil, needJQ(t)
			}
			return n.compileIndex(t.Index, true, t)
		}
		s = t.SuffixList[last]
	}
	if s.Index == nil {
		return nil, needJQ(t)
	}
	base.SuffixList = t.SuffixList[:last]
	before, err := n.compileTerm(&base)
	if err != nil {
		return nil, err
	}
	index, err := n.nodeAfter(&gojq.Query{Term: &base}).compileIndex(s.Index, optional, t)
	if err != nil {
		return nil, err
	}
	return pipe(before, index), nil
}

// compileIndex compiles .name and .[0]. If "optional" is true, a question mark follows. The step then has no result for a value that has no
// members.
func (n *pathNode) compileIndex(i *gojq.Index, optional bool, in *gojq.Term) (step, error) {
	key := &gojq.Term{Type: gojq.TermTypeString, Str: i.Str}
	if i.Name != "" {
		key.Str = &gojq.String{Str: i.Name}
	} else if i.Str == nil {
		if i.IsSlice || i.Start == nil || i.Start.Term == nil || !isPlain(i.Start) {
			return nil, needJQ(in)
		}
		key = i.Start.Term
	}
	switch key.Type {
	case gojq.TermTypeString, gojq.TermTypeNumber, gojq.TermTypeUnary: // constants, whose steps do not use the evaluator
		s, err := n.compileTerm(key)
		if err != nil {
			return nil, needJQ(in)
		}
		switch k, _ := s(nil, value{}); {
		case k.form == formString && optional:
			return n.maybe(k.text()), nil
		case k.form == formString:
			return n.follow([]string{k.text()}), nil
		case k.form == formInt && !optional:
			return element(k.int()), nil
		}
	}
	return nil, needJQ(in)
}

// follow returns the step for a path of member names. An empty path is the identity.
func (n *pathNode) follow(path []string) step {
	members := n.lookups(path)
	return func(_ *evaluator, in value) (value, bool) {
		if in.form != formDoc {
			return in, len(members) == 0 || in.form == formNull
		}
		v := in.doc()
		for _, member := range members {
			switch v.Kind() {
			case document.Object:
				v = member.of.Get(v, member.slot)
			case document.Null:
				return value{}, true
			default:
				return value{}, false
			}
		}
		return ofDocument(v), true
	}
}

// maybe returns the step for .name?. If the value has no members, there is no result.
func (n *pathNode) maybe(name string) step {
	index := n.follow([]string{name})
	return func(e *evaluator, in value) (value, bool) {
		v, ok := index(e, in)
		if !ok {
			v = value{form: formEmpty}
		}
		return v, true
	}
}

// element returns the step for .[n]. A negative n counts from the end of the list.
func element(index int64) step {
	return func(_ *evaluator, in value) (value, bool) {
		if in.isNull() {
			return value{}, true
		}
		if in.form != formDoc || in.doc().Kind() != document.Array {
			return value{}, false
		}
		at := index
		if at < 0 {
			at += int64(in.doc().Len())
		}
		for item := range in.doc().Items {
			if at == 0 {
				return ofDocument(item), true
			}
			at--
		}
		return value{}, true
	}
}

// stage is one part of an expression that may return several values. It is either a step, or the iteration .[].
type stage struct {
	step     step // nil = the iteration .[]
	optional bool // the iteration is .[]?
}

// compileStages compiles an expression that may contain the iteration .[]. Its only error is needsJQ.
func (n *pathNode) compileStages(q *gojq.Query) ([]stage, error) {
	if q.Op == gojq.OpPipe && isPlain(q) {
		left, err := n.compileStages(q.Left)
		if err != nil {
			return nil, err
		}
		right, err := n.compileStages(q.Right)
		return append(left, right...), err
	}
	if q.Term == nil || !isPlain(q) {
		s, err := n.compile(q)
		return []stage{{step: s}}, err
	}
	at := slices.IndexFunc(q.Term.SuffixList, func(s *gojq.Suffix) bool { return s.Iter })
	if at < 0 {
		s, err := n.compileTerm(q.Term)
		return []stage{{step: s}}, err
	}
	before, after := *q.Term, q.Term.SuffixList[at+1:]
	before.SuffixList = before.SuffixList[:at]
	s, err := n.compileTerm(&before)
	if err != nil {
		return nil, err
	}
	optional := len(after) > 0 && after[0].Optional
	if optional {
		after = after[1:]
	}
	stages := []stage{{step: s}, {optional: optional}}
	if len(after) == 0 {
		return stages, nil
	}
	rest, err := n.compileStages(&gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: after}})
	return append(stages, rest...), err
}

// errUnsupported says that the result "ok" of a step was false, so gojq must evaluate the expression.
var errUnsupported = errors.New("needs gojq")

// run yields the results of the stages. It may return errUnsupported after it has yielded some results.
func run(ctx context.Context, e *evaluator, stages []stage, in value, yield func(value) error) error {
	if len(stages) == 0 {
		return yield(in)
	}
	if s := stages[0].step; s != nil {
		out, ok := s(e, in)
		if !ok {
			return errUnsupported
		}
		if out.form == formEmpty {
			return nil
		}
		return run(ctx, e, stages[1:], out, yield)
	}
	each := func(v value) error {
		if e.visited++; e.visited%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return run(ctx, e, stages[1:], v, yield)
	}
	if in.form == formDoc && in.doc().Kind() == document.Object {
		return sortedMembers(in.doc(), each)
	}
	if in.form != formDoc || in.doc().Kind() != document.Array {
		if stages[0].optional {
			return nil
		}
		return errUnsupported
	}
	for v := range in.doc().Items {
		if err := each(ofDocument(v)); err != nil {
			return err
		}
	}
	return nil
}

// sortedMembers yields the values of an object in the order of their keys. If several members have the same key, it yields only the value
// of the final one.
func sortedMembers(v document.Value, yield func(value) error) error {
	byKey := map[string]document.Value{}
	for key, member := range v.Members {
		byKey[key] = member
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		if err := yield(ofDocument(byKey[key])); err != nil {
			return err
		}
	}
	return nil
}
