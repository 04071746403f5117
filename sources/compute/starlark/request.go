package starlark

import (
	"fmt"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/collectington/collectington/sources"
)

// unpackRequest reads the arguments of fetch: what to ask for, and how old an answer may be.
func unpackRequest(name string, args starlark.Tuple, kwargs []starlark.Tuple) (r sources.Request, maxAge time.Duration, err error) {
	var headers, params, body, expires starlark.Value
	if err = starlark.UnpackArgs(name, args, kwargs, "url??", &r.URL, "method??", &r.Method, "headers?", &headers, "params?", &params, "body?", &body, "expires?", &expires); err != nil {
		return r, 0, err
	}
	if maxAge, err = durationOf(name, expires); err != nil {
		return r, 0, err
	}
	r.Method, r.URL = strings.ToUpper(r.Method), strings.Clone(r.URL) // see parameters
	if r.Query, err = parameters("params", params); err != nil {
		return r, 0, err
	}
	if r.Headers, err = parameters("headers", headers); err != nil {
		return r, 0, err
	}
	switch x := body.(type) {
	case nil, starlark.NoneType:
	case starlark.String:
		text := string(x)
		r.Body = &text
	case starlark.IterableMapping, *starlark.List:
		text, err := encodeJSON(x)
		if err != nil {
			return r, 0, fmt.Errorf("%s: body: %w", name, err)
		}
		r.Body = &text
	default:
		return r, 0, fmt.Errorf("%s: body: want a text, or a dict or list that is sent as JSON, got %s", name, body.Type())
	}
	return r, maxAge, nil
}

// parameters reads a dict of texts and numbers; a list as a value gives a parameter several times. None is no dict.
func parameters(what string, v starlark.Value) ([]sources.Parameter, error) {
	if v == nil || v == starlark.None {
		return nil, nil
	}
	d, ok := asDict(v)
	if !ok {
		return nil, fmt.Errorf("%s: want a dict, got %s", what, v.Type())
	}
	all := []sources.Parameter{}
	for key, value := range d.Entries() {
		name, ok := key.(starlark.String)
		if !ok {
			return nil, fmt.Errorf("%s: want texts as keys, got %s", what, key.Type())
		}
		several, ok := value.(*starlark.List)
		if !ok {
			several = starlark.NewList([]starlark.Value{value})
		}
		for one := range several.Elements() {
			text, ok := labelText(one)
			if !ok {
				return nil, fmt.Errorf("%s: %s: want a text or number, got %s", what, string(name), one.Type())
			}
			// Cloned, since a text of a document would hold all of it for as long as somebody remembers the value.
			all = append(all, sources.Parameter{Name: string(name), Value: strings.Clone(text)})
		}
	}
	return all, nil
}
