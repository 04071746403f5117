package sandbox

import (
	"slices"

	"go.starlark.net/starlark"
)

// Object is a dict that is only built when a script needs the whole dict.
//
// A dict of Starlark can only be compared with values of its own type. So the right operand of a comparison is expanded: each
// Object in it is replaced by a dict.
type Object interface {
	starlark.Value
	Dict() *starlark.Dict // the whole dict, frozen
	JSONSize() int        // length of the JSON text in bytes
}

// expandComparand is the check that Compile inserts for comparisons. It expands its argument.
func expandComparand(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return expand(args[0])
}

// expandFirst expands the first argument of a function.
func expandFirst(args starlark.Tuple, _ []starlark.Tuple) (starlark.Tuple, error) {
	if len(args) == 0 {
		return args, nil
	}
	first, err := expand(args[0])
	return append(starlark.Tuple{first}, args[1:]...), err
}

// expand returns the value with each Object replaced by a dict, to the depth to which comparisons look. It only copies values that
// it changes.
func expand(v starlark.Value) (starlark.Value, error) {
	left := maxItems
	if expanded, err := expandAt(v, starlark.CompareLimit, &left); expanded != nil || err != nil {
		return expanded, err
	}
	return v, nil
}

// expandAt is like expand, but returns nil if the value contains no Object. It may visit *left more values; if there are more, it returns
// errItems.
func expandAt(v starlark.Value, depth int, left *int) (starlark.Value, error) {
	if *left--; *left < 0 {
		return nil, errItems
	}
	if depth == 0 {
		return nil, nil // the comparison itself returns an error at this depth
	}
	switch x := v.(type) {
	case *starlark.Dict:
		return expandDict(x, depth, left)
	case *starlark.List:
		if items, err := expandItems(x, depth, left); items != nil || err != nil {
			return starlark.NewList(items), err
		}
	case starlark.Tuple:
		if items, err := expandItems(x, depth, left); items != nil || err != nil {
			return starlark.Tuple(items), err
		}
	case Object:
		if expanded, err := expandDict(x.Dict(), depth, left); expanded != nil || err != nil {
			return expanded, err
		}
		return x.Dict(), nil
	}
	return nil, nil
}

func expandItems(x starlark.Indexable, depth int, left *int) ([]starlark.Value, error) {
	var items []starlark.Value
	for i := range x.Len() {
		item, err := expandAt(x.Index(i), depth-1, left)
		if err != nil {
			return nil, err
		}
		if item != nil && items == nil {
			items = slices.Collect(starlark.Elements(x.(starlark.Iterable)))
		}
		if item != nil {
			items[i] = item
		}
	}
	return items, nil
}

func expandDict(d *starlark.Dict, depth int, left *int) (starlark.Value, error) {
	var copied *starlark.Dict
	for key, value := range d.Entries() {
		expanded, err := expandAt(value, depth-1, left)
		if err != nil {
			return nil, err
		}
		if expanded != nil && copied == nil {
			copied = d.Union(new(starlark.Dict))
		}
		if expanded != nil {
			_ = copied.SetKey(key, expanded) // no error is possible: the key exists, and the copy is not frozen
		}
	}
	if copied == nil {
		return nil, nil
	}
	return copied, nil
}

// ordering implements the functions sorted, min and max. It expands the values that they compare: the items or, if there is an argument
// "key", the results of that function.
func ordering(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	keyed := false
	kwargs = slices.Clone(kwargs)
	for i, kv := range kwargs {
		if f, ok := kv[1].(starlark.Callable); ok && kv[0] == starlark.Value(starlark.String("key")) {
			keyed = true
			kwargs[i] = starlark.Tuple{kv[0], starlark.NewBuiltin(f.Name(), func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
				v, err := starlark.Call(thread, f, args, kwargs)
				if err != nil {
					return nil, err
				}
				return expand(v)
			})}
		}
	}
	if !keyed {
		args = slices.Clone(args)
		for i := range args {
			expanded, err := expand(args[i])
			if err != nil {
				return nil, err
			}
			args[i] = expanded
		}
	}
	return starlark.Call(thread, starlark.Universe[b.Name()], args, kwargs)
}
