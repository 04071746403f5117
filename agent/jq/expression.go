package jq

import (
	"context"
	"errors"

	"github.com/itchyny/gojq"
)

// Expression is a compiled expression, as the type of a setting. The zero value is no expression.
type Expression struct {
	text string
	code *gojq.Code
	path []string
	each bool
}

// UnmarshalText compiles an expression. An empty text is no expression.
func (e *Expression) UnmarshalText(text []byte) error {
	*e = Expression{}
	if len(text) == 0 {
		return nil
	}
	query, code, err := Compile(string(text))
	if err != nil {
		return err
	}
	path, each := Path(query)
	*e = Expression{string(text), code, path, each}
	return nil
}

// String returns the expression as it was written.
func (e Expression) String() string { return e.text }

// IsZero reports whether there is no expression.
func (e Expression) IsZero() bool { return e.code == nil }

var errSeveral = errors.New("returns more than one value")

// Path returns the [Path] of the expression.
func (e Expression) Path() (path []string, each bool) { return e.path, e.each }

// All returns an iterator over the values of the expression for an input. An error is the last value.
func (e Expression) All(ctx context.Context, in any) gojq.Iter { return e.code.RunWithContext(ctx, in) }

// Run returns the value of the expression for an input. No value is nil, and more than one is an error. The text of an error
// may contain parts of the input.
func (e Expression) Run(ctx context.Context, in any) (any, error) {
	iter := e.All(ctx, in)
	first, some := iter.Next()
	if !some {
		return nil, nil
	}
	if err, failed := first.(error); failed {
		return nil, err
	}
	if _, more := iter.Next(); more {
		return nil, errSeveral
	}
	return first, nil
}
