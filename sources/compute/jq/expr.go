package jq

import (
	"context"
	"errors"
	"fmt"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
)

// Expr is a compiled jq expression. The variables $start and $end are the tick's window in Unix seconds, and the function "now" returns the
// tick's time.
type Expr struct {
	text    string
	query   *gojq.Query
	path    []string // the path if the expression is only a path, with or without [] at its end; else nil
	each    bool     // the path ends in []
	stages  []stage  // the expression compiled by atNode to run without gojq; nil if it needs gojq
	step    step     // the step if stages is a single step; else nil
	counted []string // the path if the expression is the length at a path; else nil
	needs   string   // the part of the expression that needs gojq
	code    *jq.Code
}

// UnmarshalText compiles the expression.
func (x *Expr) UnmarshalText(text []byte) error {
	query, code, err := jq.CompileAt(string(text), "$start", "$end")
	if err != nil {
		return err
	}
	*x = Expr{text: string(text), query: query, code: code}
	x.path, x.each = jq.Path(query)
	x.counted = countedPath(query)
	return nil
}

// Verbatim implements setting.Verbatim.
func (*Expr) Verbatim() {}

// atNode returns the expression, with its steps and stages compiled for values at a node.
func (x *Expr) atNode(p *pathNode) *Expr {
	if x == nil {
		return nil
	}
	placed := *x
	if whole, err := p.compile(x.query); err == nil {
		placed.step, placed.stages = whole, []stage{{step: whole}}
	} else if placed.stages, err = p.compileStages(x.query); err != nil {
		placed.stages, placed.needs = nil, err.Error()
	}
	return &placed
}

// String returns the expression as it was written.
func (x *Expr) String() string {
	if x == nil {
		return "-"
	}
	return x.text
}

var errSeveral = errors.New("returns more than one value: iterate with items instead")

// evalOne evaluates an expression that returns at most one value. If it returns no value, the result is null. Several values are an
// error.
func (x *Expr) evalOne(ctx context.Context, e *evaluator, in *item) (value, error) {
	if x.step != nil && in.form == formDoc {
		out, ok := x.step(e, in.value)
		switch {
		case ok && out.form == formEmpty:
			return value{}, nil
		case ok:
			return out, nil
		}
		if x.path != nil {
			_, err := resolvePath(in.doc(), x.path)
			return value{}, err
		}
	}
	if e.ended != nil {
		return value{}, e.ended
	}
	var only any
	some := false
	err := x.code.Each(ctx, in.forJQ(), func(v any) error {
		if some {
			return errSeveral
		}
		only, some = v, true
		return nil
	}, e.variables...)
	if err != nil {
		return value{}, x.ended(ctx, e, err)
	}
	return ofJQ(only), nil
}

// evalAll evaluates the expression and passes all its values to yield.
func (x *Expr) evalAll(ctx context.Context, e *evaluator, in *item, yield func(value) error) error {
	known := 0
	if in.form == formDoc && x.stages != nil {
		err := run(ctx, e, x.stages, in.value, func(v value) error { known++; return yield(v) })
		if !errors.Is(err, errUnsupported) {
			return err
		}
		if x.path != nil {
			return x.explainPath(in.doc())
		}
	}
	return x.ended(ctx, e, x.code.Each(ctx, in.forJQ(), func(next any) error {
		if known--; known >= 0 {
			return nil // already yielded by the stages before they failed
		}
		return yield(ofJQ(next))
	}, e.variables...))
}

// ended returns err, an error of gojq. If the run has exceeded its limits, or ctx has ended, the first such error also ends the
// tick.
func (x *Expr) ended(ctx context.Context, e *evaluator, err error) error {
	if err == nil || e.ended != nil {
		return err
	}
	if _, over := errors.AsType[*jq.Exceeded](err); over || ctx.Err() != nil {
		e.ended = fmt.Errorf("%s: %w", short(x.text), err)
	}
	return err
}

// resolvePath evaluates a path as jq does. A member of null is null. A member of any other value except an object is an error.
func resolvePath(v document.Value, path []string) (document.Value, error) {
	for _, name := range path {
		if kind := v.Kind(); kind != document.Object && kind != document.Null {
			return v, fmt.Errorf("cannot look up %q in %s%s", name, describe(v), inList(v))
		}
		v = v.Get(name)
	}
	return v, nil
}

// inList returns a hint if v is a list: the path should then be applied to each item. Otherwise it returns "".
func inList(v document.Value) string {
	if v.Kind() == document.Array {
		return "; write [] to iterate over its items"
	}
	return ""
}

// missingMember returns a hint if a member of the path does not exist: the names of the members that the object has instead. It returns ""
// if no member is missing, or if the object has no members.
func (x *Expr) missingMember(v document.Value) string {
	at := ""
	for _, name := range x.path {
		if v.Kind() != document.Object {
			return ""
		}
		var names []string
		found := false
		for key := range v.Members {
			found = found || key == name
			names = append(names, key)
		}
		if !found {
			return thereAre(at, names)
		}
		v, at = v.Get(name), memberOf(at, name)
	}
	return ""
}

// explainPath returns the error for an expression that is only a path, if the path has no values.
func (x *Expr) explainPath(whole document.Value) error {
	v, err := resolvePath(whole, x.path)
	switch {
	case err != nil:
		return err
	case v.Kind() == document.Null:
		if hint := x.missingMember(whole); hint != "" {
			return errors.New("cannot iterate over null" + hint)
		}
		return errors.New("cannot iterate over null; write []? if the list may be missing")
	}
	return fmt.Errorf("cannot iterate over %s", describe(v))
}
