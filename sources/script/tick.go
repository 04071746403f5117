package script

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/collectington/collectington/sources"
)

// maxFetches bounds the distinct requests of one tick.
const maxFetches = 1000

// tick is what the functions of one tick share.
type tick struct {
	ctx     context.Context
	at      sources.Tick
	source  *source
	answers map[string]answer
	lost    error // why the job's own document could not be fetched, which fails the tick
	refused error // why the first other request failed, which fails the functions that want it
}

// answer is what came of one request, once a tick.
type answer struct {
	value starlark.Value
	err   error
}

// fetch is fetch(url, method, headers, params, body): the job's own document without arguments, else another of the job's
// fetcher. What it returns is frozen, since it is shared.
func (s *source) fetch(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r, err := unpackRequest(b.Name(), args, kwargs)
	if err != nil {
		return nil, err
	}
	return s.answer(r)
}

// stored is get_data_from_store(name): the job's own document, whatever the name.
func (s *source) stored(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name?", &name); err != nil {
		return nil, err
	}
	return s.answer(sources.Request{})
}

// answer asks, unless it was asked in this tick already.
func (s *source) answer(r sources.Request) (starlark.Value, error) {
	t := s.tick
	if t == nil {
		return nil, errTopLevel
	}
	key := keyOf(r)
	if a, ok := t.answers[key]; ok {
		return a.value, a.err
	}
	if len(t.answers) >= maxFetches {
		return nil, fmt.Errorf("more than %d requests in one tick", maxFetches)
	}
	value, err := t.ask(r)
	if t.answers == nil {
		t.answers = map[string]answer{}
	}
	t.answers[key] = answer{value, err}
	switch own := key == keyOf(sources.Request{}); {
	case err != nil && own:
		t.lost = err
	case err != nil && t.refused == nil:
		t.refused = err
	}
	return value, err
}

func (t *tick) ask(r sources.Request) (starlark.Value, error) {
	fetcher := t.source.env.Fetch
	if fetcher == nil {
		return nil, errors.New("the job has nothing to fetch with: add http beside script")
	}
	var doc *sources.Document
	var err error
	if keyOf(r) == keyOf(sources.Request{}) {
		doc, err = fetcher.Fetch(t.ctx, t.at)
	} else {
		doc, err = sources.Ask(t.ctx, fetcher, t.at, r)
	}
	if err != nil {
		return nil, err
	}
	value := ofDocument(doc.Root)
	value.Freeze()
	return value, nil
}

// keyOf is the same for two requests that ask the same.
func keyOf(r sources.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %q %q %t %q", r.URL, r.Method, r.Query, r.Query != nil, r.Headers)
	if r.Body != nil {
		fmt.Fprintf(&b, " %q", *r.Body)
	}
	return b.String()
}

func unpackRequest(name string, args starlark.Tuple, kwargs []starlark.Tuple) (r sources.Request, err error) {
	var headers, params, body starlark.Value
	if err = starlark.UnpackArgs(name, args, kwargs, "url??", &r.URL, "method??", &r.Method, "headers?", &headers, "params?", &params, "body?", &body); err != nil {
		return r, err
	}
	r.Method = strings.ToUpper(r.Method)
	if r.Query, err = parameters("params", params); err != nil {
		return r, err
	}
	if r.Headers, err = parameters("headers", headers); err != nil {
		return r, err
	}
	switch x := body.(type) {
	case nil, starlark.NoneType:
	case starlark.String:
		text := string(x)
		r.Body = &text
	case *starlark.Dict, *starlark.List:
		text, err := encodeJSON(x)
		if err != nil {
			return r, fmt.Errorf("%s: body: %w", name, err)
		}
		r.Body = &text
	default:
		return r, fmt.Errorf("%s: body: want a text, or a dict or list that is sent as JSON, got %s", name, body.Type())
	}
	return r, nil
}

// parameters reads a dict of texts and numbers; a list as a value gives a parameter several times. None is no dict.
func parameters(what string, v starlark.Value) ([]sources.Parameter, error) {
	if v == nil || v == starlark.None {
		return nil, nil
	}
	d, ok := v.(*starlark.Dict)
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
			all = append(all, sources.Parameter{Name: string(name), Value: text})
		}
	}
	return all, nil
}
