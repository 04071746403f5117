package starlark

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	starjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/collectington/collectington/agent/text"
)

// Attr gives the methods of a text that could blow it up their bounds, and those of a list that compare plain values;
// others are as they are.
func (w *wrapped) Attr(name string) (starlark.Value, error) {
	x, ok := w.Value.(starlark.HasAttrs)
	if !ok {
		return nil, nil
	}
	method, err := x.Attr(name)
	if err != nil || method == nil {
		return method, err
	}
	var before func(args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Tuple, error)
	switch x := w.Value.(type) {
	case starlark.String:
		check := map[string]func(starlark.String, starlark.Tuple, []starlark.Tuple) error{"join": checkJoin, "replace": checkReplace, "format": checkArguments, "split": checkSplit, "rsplit": checkSplit, "splitlines": checkSplit}[name]
		if check == nil {
			return method, nil
		}
		before = func(args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Tuple, error) {
			return args, check(x, args, kwargs)
		}
	case *starlark.List:
		switch name {
		case "extend":
			before = func(args starlark.Tuple, _ []starlark.Tuple) (starlark.Tuple, error) {
				if len(args) == 1 && x.Len()+max(starlark.Len(args[0]), 0) > maxItems {
					return nil, errItems
				}
				return args, nil
			}
		case "index", "remove":
			before = plainFirst
		default:
			return method, nil
		}
	default:
		return method, nil
	}
	return starlark.NewBuiltin(name, func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		args, err := before(args, kwargs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return starlark.Call(thread, method, args, kwargs)
	}), nil
}

// AttrNames are those of the value.
func (w *wrapped) AttrNames() []string {
	if x, ok := w.Value.(starlark.HasAttrs); ok {
		return x.AttrNames()
	}
	return nil
}

func checkJoin(sep starlark.String, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) != 1 {
		return nil // the method itself says so
	}
	list, ok := args[0].(starlark.Iterable)
	if !ok {
		return nil
	}
	size := 0
	for item := range starlark.Elements(list) {
		text, _ := item.(starlark.String)
		if size += len(sep) + len(text); size > maxBuilt {
			return errBuilt
		}
	}
	return nil
}

// checkSplit bounds into how many pieces a text is taken apart.
func checkSplit(text starlark.String, args starlark.Tuple, _ []starlark.Tuple) error {
	pieces := 0
	if sep, ok := starlark.AsString(append(args, starlark.None)[0]); ok && sep != "" {
		pieces = strings.Count(string(text), sep)
	} else {
		for _, space := range " \t\n\r\v\f" {
			pieces += strings.Count(string(text), string(space))
		}
	}
	if len(args) > 1 {
		if most, err := starlark.AsInt32(args[1]); err == nil && most >= 0 {
			pieces = min(pieces, most)
		}
	}
	if pieces > maxItems {
		return errItems
	}
	return nil
}

func checkReplace(text starlark.String, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) < 2 {
		return nil
	}
	from, _ := starlark.AsString(args[0])
	to, _ := starlark.AsString(args[1])
	if n := strings.Count(string(text), from); len(text)+n*len(to) > maxBuilt {
		return errBuilt
	}
	return nil
}

// checkArguments bounds text.format(…). A field can be named any number of times, so each counts as the largest.
func checkArguments(text starlark.String, args starlark.Tuple, kwargs []starlark.Tuple) error {
	fields := max(strings.Count(string(text), "{"), 1)
	most := (maxBuilt - min(len(text), maxBuilt)) / fields
	for _, arg := range args {
		if _, err := textSize(arg, max(most, 1000), 0); err != nil {
			return err
		}
	}
	for _, kv := range kwargs {
		if _, err := textSize(kv[1], max(most, 1000), 0); err != nil {
			return err
		}
	}
	return nil
}

// boundedRange is range, but not so long that a loop within a built-in function would not end.
func boundedRange(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r, err := starlark.Call(thread, starlark.Universe["range"], args, kwargs)
	if err == nil && starlark.Len(r) > maxRange {
		return nil, fmt.Errorf("range: more than %d numbers", maxRange)
	}
	return r, err
}

// boundedText is str and repr of what is not too much.
func boundedText(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := checkAll(args); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.Call(thread, starlark.Universe[b.Name()], args, kwargs)
}

// boundedPrint is print of what is not too much.
func boundedPrint(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := checkAll(args); err != nil {
		return nil, fmt.Errorf("print: %w", err)
	}
	return starlark.Call(thread, starlark.Universe["print"], args, kwargs)
}

func checkAll(args starlark.Tuple) error {
	for _, arg := range args {
		if _, err := textSize(arg, maxBuilt, 0); err != nil {
			return err
		}
	}
	return nil
}

// withEncode is the module json whose functions that write take what is not too much.
func withEncode(m *starlarkstruct.Module) *starlarkstruct.Module {
	members := maps.Clone(m.Members)
	for _, name := range []string{"encode", "encode_indent"} {
		plain := m.Members[name]
		members[name] = starlark.NewBuiltin("json."+name, func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if err := checkAll(args); err != nil {
				return nil, fmt.Errorf("%s: %w", b.Name(), err)
			}
			return starlark.Call(thread, plain, args, kwargs)
		})
	}
	decode := m.Members["decode"]
	members["decode"] = starlark.NewBuiltin("json.decode", func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if len(args) > 0 {
			if text, ok := args[0].(starlark.String); ok && strings.Count(string(text), "[")+strings.Count(string(text), "{") > maxItems {
				return nil, errors.New("json.decode: the text is too long")
			}
		}
		return starlark.Call(thread, decode, args, kwargs)
	})
	return &starlarkstruct.Module{Name: m.Name, Members: members}
}

// encodeJSON is the value as JSON.
func encodeJSON(v starlark.Value) (string, error) {
	if _, err := textSize(v, maxBuilt, 0); err != nil {
		return "", err
	}
	encoded, err := starlark.Call(&starlark.Thread{}, starjson.Module.Members["encode"], starlark.Tuple{v}, nil)
	if err != nil {
		return "", errors.New(text.Cut(text.OneLine(err.Error()), maxMessage))
	}
	return string(encoded.(starlark.String)), nil
}

// preview is a value written out, or what it is where that would take more than max bytes.
func preview(v starlark.Value, max int) string {
	if _, err := textSize(v, max, 0); err != nil {
		return fmt.Sprintf("a %s with much in it", v.Type())
	}
	return v.String()
}
