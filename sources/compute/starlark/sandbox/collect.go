package sandbox

import (
	"fmt"

	"go.starlark.net/starlark"
)

// collected implements the functions list, tuple, reversed, enumerate, dict and zip. They collect items in one operation that
// cannot be interrupted, so collected limits the number of items.
func collected(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	shortest := maxItems + 1
	for _, arg := range args {
		iterable, ok := arg.(starlark.Iterable)
		if !ok {
			continue // the function itself reports the error
		}
		shortest = min(shortest, lengthOf(iterable))
	}
	if len(args) > 0 && shortest*len(args) > maxItems && hasIterable(args) {
		return nil, fmt.Errorf("%s: %w", b.Name(), errItems)
	}
	return starlark.Call(thread, starlark.Universe[b.Name()], args, kwargs)
}

func hasIterable(args starlark.Tuple) bool {
	for _, arg := range args {
		if _, ok := arg.(starlark.Iterable); ok {
			return true
		}
	}
	return false
}

// lengthOf returns the number of items. It stops counting at maxItems+1.
func lengthOf(x starlark.Iterable) int {
	if n := starlark.Len(x); n >= 0 {
		return min(n, maxItems+1)
	}
	n := 0
	for range starlark.Elements(x) {
		if n++; n > maxItems {
			break
		}
	}
	return n
}

// boundedInt implements the function int. It limits the number of digits, since the time for reading an int grows with the square
// of the number of digits.
func boundedInt(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		if text, ok := args[0].(starlark.String); ok && len(text) > maxDigits {
			return nil, fmt.Errorf("%s: %w", b.Name(), errDigits)
		}
	}
	return starlark.Call(thread, starlark.Universe[b.Name()], args, kwargs)
}
