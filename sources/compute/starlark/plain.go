package starlark

import (
	"slices"

	"go.starlark.net/starlark"
)

// A dict of Starlark's own compares itself with its own kind alone. So what may stand on the right of a comparison passes
// plain, which makes dicts of the objects in it.

// comparePlain is plain as the compiler puts it in.
func comparePlain(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return plain(args[0])
}

// plain is the value without objects, as deep as comparisons go.
func plain(v starlark.Value) (starlark.Value, error) {
	left := maxItems
	if p, err := plainOf(v, starlark.CompareLimit, &left); p != nil || err != nil {
		return p, err
	}
	return v, nil
}

// plainFirst is arguments of which the first is plain.
func plainFirst(args starlark.Tuple, _ []starlark.Tuple) (starlark.Tuple, error) {
	if len(args) == 0 {
		return args, nil
	}
	first, err := plain(args[0])
	return append(starlark.Tuple{first}, args[1:]...), err
}

// plainOf is nil for a value that is plain already. It looks at left values at most.
func plainOf(v starlark.Value, depth int, left *int) (starlark.Value, error) {
	if *left--; *left < 0 {
		return nil, errItems
	}
	if depth == 0 {
		return nil, nil // the comparison ends with an error here
	}
	switch x := v.(type) {
	case *object:
		if p, err := plainDict(x.dict(), depth, left); p != nil || err != nil {
			return p, err
		}
		return x.dict(), nil
	case *starlark.Dict:
		return plainDict(x, depth, left)
	case *starlark.List:
		if items, err := plainItems(x, depth, left); items != nil || err != nil {
			return starlark.NewList(items), err
		}
	case starlark.Tuple:
		if items, err := plainItems(x, depth, left); items != nil || err != nil {
			return starlark.Tuple(items), err
		}
	}
	return nil, nil
}

func plainItems(x starlark.Indexable, depth int, left *int) ([]starlark.Value, error) {
	var made []starlark.Value
	for i := range x.Len() {
		p, err := plainOf(x.Index(i), depth-1, left)
		if err != nil {
			return nil, err
		}
		if p != nil && made == nil {
			made = slices.Collect(starlark.Elements(x.(starlark.Iterable)))
		}
		if p != nil {
			made[i] = p
		}
	}
	return made, nil
}

func plainDict(d *starlark.Dict, depth int, left *int) (starlark.Value, error) {
	var made *starlark.Dict
	for key, value := range d.Entries() {
		p, err := plainOf(value, depth-1, left)
		if err != nil {
			return nil, err
		}
		if p != nil && made == nil {
			made = d.Union(new(starlark.Dict))
		}
		if p != nil {
			_ = made.SetKey(key, p) // is there already, in a dict that is not frozen
		}
	}
	if made == nil {
		return nil, nil
	}
	return made, nil
}

// ordering is sorted, min or max of what can be compared: the items, or with a key what it returns of each.
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
				return plain(v)
			})}
		}
	}
	if !keyed {
		args = slices.Clone(args)
		for i := range args {
			p, err := plain(args[i])
			if err != nil {
				return nil, err
			}
			args[i] = p
		}
	}
	return starlark.Call(thread, starlark.Universe[b.Name()], args, kwargs)
}
