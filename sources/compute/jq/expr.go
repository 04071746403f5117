package jq

import (
	"context"
	"errors"
	"fmt"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
)

// Expr is a jq expression, compiled once. What is made of paths, arithmetic, comparisons and the commonest functions runs
// straight on the document and means exactly what jq means; the rest is converted and run by jq. It has $start and $end, the
// tick's window in Unix seconds, and now, the tick's time.
type Expr struct {
	text   string
	query  *gojq.Query
	path   []string // of a plain path, with or without [] at its end; nil otherwise
	stages []stage  // without jq; nil where needs tells what is in the way
	step   step     // the stages where they are one step; nil otherwise
	needs  string
	code   *gojq.Code
}

// UnmarshalText compiles the expression.
func (x *Expr) UnmarshalText(text []byte) error {
	query, code, err := jq.CompileAt(string(text), "$start", "$end")
	if err != nil {
		return err
	}
	*x = Expr{text: string(text), query: query, code: code}
	x.path, _ = jq.Path(query)
	*x = *x.at(&place{})
	return nil
}

// at is the expression for the items at a place.
func (x *Expr) at(p *place) *Expr {
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

// String is the expression as it was written.
func (x *Expr) String() string {
	if x == nil {
		return "-"
	}
	return x.text
}

var errSeveral = errors.New("gives more than one value; iterate with items instead")

// one evaluates the expression to a single value; nothing at all is null.
func (x *Expr) one(ctx context.Context, m *machine, in *item) (value, error) {
	if x.step != nil && in.form == inDoc {
		out, ok := x.step(m, in.value)
		switch {
		case ok && out.form == none:
			return value{}, nil
		case ok:
			return out, nil
		}
		if x.path != nil {
			_, err := walk(in.doc(), x.path)
			return value{}, err
		}
	}
	iter := x.code.RunWithContext(ctx, in.forJQ(), m.variables...)
	first, ok := iter.Next()
	if !ok {
		return value{}, nil
	}
	if err, failed := first.(error); failed {
		return value{}, err
	}
	if _, more := iter.Next(); more {
		return value{}, errSeveral
	}
	return ofJQ(first), nil
}

// all evaluates the expression to any number of values.
func (x *Expr) all(ctx context.Context, m *machine, in *item, yield func(value) error) error {
	known := 0
	if in.form == inDoc && x.stages != nil {
		err := run(ctx, m, x.stages, in.value, func(v value) error { known++; return yield(v) })
		if !errors.Is(err, errUnsure) {
			return err
		}
		if x.path != nil {
			return x.why(in.doc())
		}
	}
	iter := x.code.RunWithContext(ctx, in.forJQ(), m.variables...)
	for {
		next, ok := iter.Next()
		if !ok {
			return nil
		}
		if err, failed := next.(error); failed {
			return err
		}
		if known--; known >= 0 {
			continue // it was yielded before jq had to be asked
		}
		if err := yield(ofJQ(next)); err != nil {
			return err
		}
	}
}

// walk follows a path as jq does: a key of null is null, a key of anything but an object is an error.
func walk(v document.Value, path []string) (document.Value, error) {
	for _, name := range path {
		if kind := v.Kind(); kind != document.Object && kind != document.Null {
			return v, fmt.Errorf("cannot look up %q in %s%s", name, describe(v), inList(v))
		}
		v = v.Get(name)
	}
	return v, nil
}

// inList is the remedy where a list stands in the way.
func inList(v document.Value) string {
	if v.Kind() == document.Array {
		return "; write [] to have its items"
	}
	return ""
}

// why says what is wrong where a plain path gives no values.
func (x *Expr) why(v document.Value) error {
	v, err := walk(v, x.path)
	switch {
	case err != nil:
		return err
	case v.Kind() == document.Null:
		return errors.New("cannot iterate over null; write []? where a list may be missing")
	}
	return fmt.Errorf("cannot iterate over %s", describe(v))
}
