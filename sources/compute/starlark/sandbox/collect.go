package sandbox

import (
	"fmt"

	"go.starlark.net/starlark"
)

// collected is list, tuple, reversed, enumerate, dict and zip. These collect items in one operation, so it bounds how many.
func collected(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	shortest := maxItems + 1
	for _, arg := range args {
		iterable, ok := arg.(starlark.Iterable)
		if !ok {
			continue // the function itself reports it
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

// lengthOf returns the number of items, at most one more than maxItems.
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

// boundedInt is int. It bounds the digits, since reading them takes time in proportion to the square of their number.
func boundedInt(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		if text, ok := args[0].(starlark.String); ok && len(text) > maxDigits {
			return nil, fmt.Errorf("%s: %w", b.Name(), errDigits)
		}
	}
	return starlark.Call(thread, starlark.Universe[b.Name()], args, kwargs)
}
