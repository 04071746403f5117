package jq

import (
	"context"
)

// Expression is a compiled expression, for use as the type of a setting. The zero value means that there is no expression.
type Expression struct {
	text string
	code *Code
	path []string
	each bool
}

// UnmarshalText compiles an expression. An empty text means that there is no expression.
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

// Verbatim implements setting.Verbatim.
func (Expression) Verbatim() {}

// String returns the expression as it was written.
func (e Expression) String() string { return e.text }

// IsZero reports whether there is no expression.
func (e Expression) IsZero() bool { return e.code == nil }

// Path returns the [Path] of the expression.
func (e Expression) Path() (path []string, each bool) { return e.path, e.each }

// Each yields the values of the expression for an input, as [Code.Each] does.
func (e Expression) Each(ctx context.Context, in any, yield func(any) error) error {
	return e.code.Each(ctx, in, yield)
}

// Run returns the value of the expression for an input, as [Code.One] does.
func (e Expression) Run(ctx context.Context, in any) (any, error) { return e.code.One(ctx, in) }
