package jq

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
)

// stage is one part of an expression that may give several values: a step, or the items of a list or object.
type stage struct {
	step     step // nil = items
	optional bool // of items: what has none gives none, as jq's []? does
}

// compileStages takes an expression that may have .[] in it apart. Its only error is needsJQ.
func (p *place) compileStages(q *gojq.Query) ([]stage, error) {
	if q.Op == gojq.OpPipe && plain(q) {
		left, err := p.compileStages(q.Left)
		if err != nil {
			return nil, err
		}
		right, err := p.compileStages(q.Right)
		return append(left, right...), err
	}
	if q.Term == nil || !plain(q) {
		s, err := p.compile(q)
		return []stage{{step: s}}, err
	}
	at := slices.IndexFunc(q.Term.SuffixList, func(s *gojq.Suffix) bool { return s.Iter })
	if at < 0 {
		s, err := p.compileTerm(q.Term)
		return []stage{{step: s}}, err
	}
	before, after := *q.Term, q.Term.SuffixList[at+1:]
	before.SuffixList = before.SuffixList[:at]
	s, err := p.compileTerm(&before)
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
	rest, err := p.compileStages(&gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: after}})
	return append(stages, rest...), err
}

// errUnsure says that jq has to be asked.
var errUnsure = errors.New("only jq can tell")

// run yields what the stages give. Without jq that may end in errUnsure, after what came before.
func run(ctx context.Context, m *machine, stages []stage, in value, yield func(value) error) error {
	if len(stages) == 0 {
		return yield(in)
	}
	if s := stages[0].step; s != nil {
		out, ok := s(m, in)
		if !ok {
			return errUnsure
		}
		if out.form == none {
			return nil
		}
		return run(ctx, m, stages[1:], out, yield)
	}
	each := func(v value) error {
		if m.visited++; m.visited%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return run(ctx, m, stages[1:], v, yield)
	}
	if in.form == inDoc && in.doc().Kind() == document.Object {
		return sortedMembers(in.doc(), each)
	}
	if in.form != inDoc || in.doc().Kind() != document.Array {
		if stages[0].optional {
			return nil
		}
		return errUnsure
	}
	for v := range in.doc().Items {
		if err := each(ofDocument(v)); err != nil {
			return err
		}
	}
	return nil
}

// sortedMembers yields an object's values in the order of their keys, each key once.
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
