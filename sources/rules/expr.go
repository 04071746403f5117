package rules

import (
	"context"
	"errors"
	"fmt"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
)

// Expr is a jq expression, compiled once. One that is a plain path (.a.b) runs straight on the document and means
// exactly what jq means.
type Expr struct {
	text string
	path []string // of a plain path; nil otherwise
	each bool     // the path ends in []
	code *gojq.Code
}

// UnmarshalText compiles the expression.
func (x *Expr) UnmarshalText(text []byte) error {
	query, code, err := jq.Compile(string(text))
	if err != nil {
		return err
	}
	*x = Expr{text: string(text), code: code}
	x.path, x.each = jq.Path(query)
	return nil
}

// String is the expression as it was written.
func (x *Expr) String() string {
	if x == nil {
		return "-"
	}
	return x.text
}

var errSeveral = errors.New("gives more than one value; iterate with items instead")

// one evaluates the expression to a single value; nothing at all is null. Variables are the values of those that it was
// compiled with.
func (x *Expr) one(ctx context.Context, in value, variables ...any) (value, error) {
	if x.path != nil && !x.each && in.inDoc {
		doc, err := walk(in.doc, x.path)
		return ofDocument(doc), err
	}
	iter := x.code.RunWithContext(ctx, in.jq(), variables...)
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
	return value{data: first}, nil
}

// all evaluates the expression to any number of values.
func (x *Expr) all(ctx context.Context, in value, yield func(value) error) error {
	if x.path != nil && in.inDoc {
		doc, err := walk(in.doc, x.path)
		if err != nil {
			return err
		}
		if !x.each {
			return yield(ofDocument(doc))
		}
		return members(doc, yield)
	}
	iter := x.code.RunWithContext(ctx, in.jq())
	for {
		next, ok := iter.Next()
		if !ok {
			return nil
		}
		if err, failed := next.(error); failed {
			return err
		}
		if err := yield(value{data: next}); err != nil {
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

// members are the values of a list or, in the order of their keys, of an object.
func members(v document.Value, yield func(value) error) error {
	switch v.Kind() {
	case document.Array:
		for item := range v.Items {
			if err := yield(ofDocument(item)); err != nil {
				return err
			}
		}
		return nil
	case document.Object:
		return sortedMembers(v, yield)
	case document.Null:
		return errors.New("cannot iterate over null; write []? where a list may be missing")
	}
	return fmt.Errorf("cannot iterate over %s", describe(v))
}
