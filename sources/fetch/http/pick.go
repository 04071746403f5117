package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
)

// pick is a jq expression that takes one value out of a document. A plain path needs no conversion of the document. The
// zero value gives nothing.
type pick struct {
	jq.Expression
	path []string // of a plain path; nil otherwise
}

// UnmarshalText compiles the expression; an empty one is none.
func (p *pick) UnmarshalText(text []byte) error {
	*p = pick{}
	if err := p.Expression.UnmarshalText(text); err != nil || p.IsZero() {
		return err
	}
	if path, each := p.Path(); !each {
		p.path = path
	}
	return nil
}

// from is what the expression gives for a document.
func (p *pick) from(ctx context.Context, root document.Value) (any, error) {
	if p.IsZero() {
		return nil, nil
	}
	if p.path != nil {
		if v, err := follow(root, p.path); err == nil {
			return v.JQ(), nil
		}
	}
	return p.Run(ctx, root.JQ())
}

// textFrom is what the expression gives, as it stands in a request: a text or a number; "" where there is nothing.
func (p *pick) textFrom(ctx context.Context, root document.Value) (string, error) {
	v, err := p.from(ctx, root)
	if err != nil {
		return "", err
	}
	return textOf(v)
}

func textOf(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		if !v {
			return "", nil // some APIs say so that there is nothing
		}
	}
	if number, ok := numberText(v); ok {
		return number, nil
	}
	return "", fmt.Errorf("want a text or a number, got %.40s", gojq.Preview(v))
}

// numberText is a number that jq has computed, with all its digits.
func numberText(v any) (string, bool) {
	if gojq.TypeOf(v) != "number" {
		return "", false
	}
	text, err := gojq.Marshal(v)
	return string(text), err == nil
}

// isTrue tells whether jq takes the value for true.
func isTrue(v any) bool { return v != nil && v != false }

var errNoObject = errors.New("a field of what is no object")

// follow follows a path of keys as jq does, but for its words where it cannot.
func follow(v document.Value, path []string) (document.Value, error) {
	for _, name := range path {
		if kind := v.Kind(); kind != document.Object && kind != document.Null {
			return v, errNoObject
		}
		v = v.Get(name)
	}
	return v, nil
}

// listPath is where a list stands in a document: a path such as .data. The zero value is the document itself.
type listPath struct {
	text string
	path []string
}

// UnmarshalText reads a jq expression that is a plain path.
func (l *listPath) UnmarshalText(text []byte) error {
	query, _, err := jq.Compile(string(text))
	if err != nil {
		return err
	}
	path, each := jq.Path(query)
	switch {
	case each:
		return errors.New("want the list and not its items: leave out the []")
	case path == nil:
		return errors.New("want the path of a list, such as .data or .result.items")
	}
	*l = listPath{string(text), path}
	return nil
}

// in is the list in a document.
func (l *listPath) in(root document.Value) (document.Value, error) {
	v, err := follow(root, l.path)
	if err != nil || v.Kind() != document.Array {
		return v, fmt.Errorf("want a list at %s, got %s: say in paginate.items where the list stands", l, v.Kind())
	}
	return v, nil
}

func (l *listPath) String() string {
	if l.text == "" {
		return "."
	}
	return l.text
}
