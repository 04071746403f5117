package jq

import (
	"context"
	"errors"

	"github.com/itchyny/gojq"
)

// Expression is an expression in a setting. The zero value is none.
type Expression struct {
	text string
	code *gojq.Code
	path []string
	each bool
}

// UnmarshalText compiles the expression; an empty one is none.
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

// String is the expression as it was written.
func (e Expression) String() string { return e.text }

// IsZero tells whether there is none.
func (e Expression) IsZero() bool { return e.code == nil }

var errSeveral = errors.New("it gives more than one value")

// Path is [Path] of the expression.
func (e Expression) Path() (path []string, each bool) { return e.path, e.each }

// All are the values that the expression gives, and at most one error, which ends them.
func (e Expression) All(ctx context.Context, in any) gojq.Iter { return e.code.RunWithContext(ctx, in) }

// Run is the one value that the expression gives; nothing at all is null. The text of an error may hold parts of the input.
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
