package http

import (
	"errors"
	"fmt"
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
)

// bodyPlace is where in a JSON body something belongs: a path such as .variables.after. The zero value is nowhere.
type bodyPlace []string

// UnmarshalText reads a jq expression that is a plain path.
func (p *bodyPlace) UnmarshalText(text []byte) error {
	query, _, err := jq.Compile(string(text))
	if err != nil {
		return err
	}
	path, each := jq.Path(query)
	if each || len(path) == 0 {
		return errors.New("want the path of a place in the body, such as .variables.after")
	}
	*p = path
	return nil
}

func (p bodyPlace) String() string { return "." + strings.Join(p, ".") }

// put is the body with a JSON value there. Objects on the way that are missing, or null, are made.
func (p bodyPlace) put(body, value string) (string, error) {
	var parser document.Parser
	root, err := parser.Parse([]byte(body))
	if err != nil || root.Kind() != document.Object {
		return "", fmt.Errorf("want a JSON object, in which %s has a place", p)
	}
	text, err := p.with(nil, root, value)
	return string(text), err
}

// with appends the object with the value in it.
func (p bodyPlace) with(into []byte, object document.Value, value string) ([]byte, error) {
	if len(p) == 0 {
		return append(into, value...), nil
	}
	if kind := object.Kind(); kind != document.Object && kind != document.Null {
		return nil, fmt.Errorf("%s has no place in it: want an object, got %s", p, kind)
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

// maxJSON bounds a body that is written out again, in bytes. Templates are held to less.
const maxJSON = 16 << 20
