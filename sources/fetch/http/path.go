package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
)

// selector is a jq expression that selects one value of a document. A plain path such as .a.b is evaluated without converting the
// document for jq. The zero value selects nothing.
type selector struct {
	jq.Expression
	path  []string  // keys of a plain path; nil if the expression is not a plain path
	reads []jq.Read // the plain paths that the expression reads
}

// UnmarshalText compiles the expression. An empty text gives the zero value.
func (p *selector) UnmarshalText(text []byte) error {
	*p = selector{}
	if err := p.Expression.UnmarshalText(text); err != nil || p.IsZero() {
		return err
	}
	if path, each := p.Path(); !each {
		p.path = path
	}
	query, _, err := jq.Compile(string(text))
	if err == nil {
		p.reads = jq.Reads(query)
	}
	return err
}

// from returns the selected value of a document.
func (p *selector) from(ctx context.Context, root document.Value) (any, error) {
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

// textOf returns a string or number as text for a request; "" for null and false.
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
			return "", nil // some APIs send false if there is no next page
		}
	}
	if number, ok := numberText(v); ok {
		return number, nil
	}
	return "", fmt.Errorf("want a string or a number, got %.40s", gojq.Preview(v))
}

// numberText returns a number of jq with all its digits.
func numberText(v any) (string, bool) {
	if gojq.TypeOf(v) != "number" {
		return "", false
	}
	text, err := gojq.Marshal(v)
	return string(text), err == nil
}

// isTrue reports whether a value is true in jq: neither null nor false.
func isTrue(v any) bool { return v != nil && v != false }

var errNotObject = errors.New("not an object")

// follow returns the value at a path of keys, as jq does. The text of its error is not the same as in jq.
func follow(v document.Value, path []string) (document.Value, error) {
	for _, name := range path {
		if kind := v.Kind(); kind != document.Object && kind != document.Null {
			return v, errNotObject
		}
		v = v.Get(name)
	}
	return v, nil
}

// has reports whether a document has a member at a path of keys, which may be null.
func has(v document.Value, path []string) bool {
	for _, name := range path {
		if v = v.Get(name); v == (document.Value{}) {
			return false
		}
	}
	return true
}

// listPath is the path of a list in a document, such as .data. The zero value is the document itself.
type listPath struct {
	text string
	path []string
}

// UnmarshalText parses a jq expression that is a plain path.
func (l *listPath) UnmarshalText(text []byte) error {
	query, _, err := jq.Compile(string(text))
	if err != nil {
		return err
	}
	path, each := jq.Path(query)
	switch {
	case each:
		return errors.New("want the list, not its items: leave out the []")
	case path == nil:
		return errors.New("want the path of a list, such as .data or .result.items")
	}
	*l = listPath{string(text), path}
	return nil
}

// in returns the list at the path in a document.
func (l *listPath) in(root document.Value) (document.Value, error) {
	v, err := follow(root, l.path)
	if err != nil || v.Kind() != document.Array {
		return v, fmt.Errorf("want a list at %s, got %s: set paginate.items to the path of the list", l, v.Kind())
	}
	return v, nil
}

// Verbatim implements setting.Verbatim.
func (*listPath) Verbatim() {}

func (l *listPath) String() string {
	if l.text == "" {
		return "."
	}
	return l.text
}

// bodyPath is a path in a JSON body, such as .variables.after. nil means no path.
type bodyPath []string

// UnmarshalText parses a jq expression that is a plain path.
func (p *bodyPath) UnmarshalText(text []byte) error {
	query, _, err := jq.Compile(string(text))
	if err != nil {
		return err
	}
	path, each := jq.Path(query)
	if each || len(path) == 0 {
		return errors.New("want a path in the body, such as .variables.after")
	}
	*p = path
	return nil
}

// Verbatim implements setting.Verbatim.
func (*bodyPath) Verbatim() {}

func (p bodyPath) String() string { return "." + strings.Join(p, ".") }

// set returns the body with the JSON value set at the path. It adds objects on the path that are missing or null.
func (p bodyPath) set(body, value string) (string, error) {
	var parser document.Parser
	root, err := parser.Parse([]byte(body))
	if err != nil || root.Kind() != document.Object {
		return "", fmt.Errorf("want a JSON object that %s can be set in", p)
	}
	text, err := p.with(nil, root, value)
	return string(text), err
}

// with appends a copy of the object to the slice "into". In the copy, the member at the path has the value.
func (p bodyPath) with(into []byte, object document.Value, value string) ([]byte, error) {
	if len(p) == 0 {
		return append(into, value...), nil
	}
	if kind := object.Kind(); kind != document.Object && kind != document.Null {
		return nil, fmt.Errorf("%s cannot be set: want an object, got %s", p, kind)
	}
	into = append(into, '{')
	for key, member := range object.Members {
		if key != p[0] {
			into = append(document.AppendQuoted(into, key), ':')
			into = append(member.AppendJSON(into, maxJSON), ',')
		}
	}
	into = append(document.AppendQuoted(into, p[0]), ':')
	into, err := p[1:].with(into, object.Get(p[0]), value)
	return append(into, '}'), err
}

// maxJSON is the maximum size of a member of a rewritten body, in bytes. Templates have a lower limit.
const maxJSON = 16 << 20
