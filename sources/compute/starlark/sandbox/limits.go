package sandbox

import (
	"errors"
	"fmt"

	starjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"
)

// The limits for a single operation.
const (
	MaxString = 64 << 20 // length of a string in bytes

	maxItems  = 4 << 20    // items of a list
	maxRange  = 10_000_000 // numbers in a range
	maxBits   = 1 << 16    // bits of an int that is multiplied
	maxDepth  = 1000       // levels of nesting of a value that is written out or read
	maxDigits = 4096       // digits of a number that is read
)

// ErrString is the error of an operation whose result would be longer than MaxString.
var ErrString = fmt.Errorf("the string would exceed %d MiB", MaxString>>20)

var (
	errItems  = fmt.Errorf("the list would exceed %d items", maxItems)
	errBits   = errors.New("the numbers are too large to multiply")
	errDigits = fmt.Errorf("the number has more than %d digits", maxDigits)
	errDepth  = fmt.Errorf("is nested more than %d levels deep", maxDepth)
	errJSON   = fmt.Errorf("the text has more than %d values", maxItems)
)

// Size returns the approximate length, in bytes, of the text to which a value would be converted. It returns an error if the length is more
// than max. An inner value that occurs several times is counted each time.
func Size(v starlark.Value, max int) (int, error) { return sizeAt(v, max, 0) }

func sizeAt(v starlark.Value, max, depth int) (int, error) {
	size := 8
	if depth > maxDepth {
		return 0, errDepth
	}
	add := func(item starlark.Value) error {
		n, err := sizeAt(item, max-size, depth+1)
		size += n
		return err
	}
	switch x := v.(type) {
	case *operand:
		return sizeAt(x.Value, max, depth)
	case starlark.String:
		size += len(x)
	case starlark.Bytes:
		size += len(x)
	case starlark.Int:
		if _, small := x.Int64(); !small {
			size += x.BigInt().BitLen() / 3
		}
	case Object:
		size += x.JSONSize() // the depth of a document is already limited
	case *starlark.Dict:
		for key, value := range x.Entries() {
			if err := errors.Join(add(key), add(value)); err != nil {
				return 0, err
			}
		}
	case starlark.Iterable:
		if _, ok := x.(starlark.Sequence); ok && starlark.Len(x) > max/2 {
			return 0, ErrString
		}
		for item := range starlark.Elements(x) {
			if err := add(item); err != nil {
				return 0, err
			}
		}
	}
	if size > max {
		return 0, ErrString
	}
	return size, nil
}

// Preview converts the value to text. If that would take more than max bytes, it returns the value's type.
func Preview(v starlark.Value, max int) string {
	if _, err := Size(v, max); err != nil {
		return fmt.Sprintf("a large %s", v.Type())
	}
	return v.String()
}

// EncodeJSON converts the value to JSON. The text of an error may have several lines.
func EncodeJSON(v starlark.Value) (string, error) {
	if _, err := Size(v, MaxString); err != nil {
		return "", err
	}
	text, err := starlark.Call(&starlark.Thread{}, starjson.Module.Members["encode"], starlark.Tuple{v}, nil)
	if err != nil {
		return "", err
	}
	return string(text.(starlark.String)), nil
}

// boundedRange implements the function range. It limits the length, since a built-in function that loops over a range cannot be
// interrupted.
func boundedRange(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r, err := starlark.Call(thread, starlark.Universe["range"], args, kwargs)
	if err == nil && starlark.Len(r) > maxRange {
		return nil, fmt.Errorf("range: has more than %d numbers", maxRange)
	}
	return r, err
}

// boundedString implements the functions str, repr and print. It limits the size of their results.
func boundedString(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := checkSizes(args); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.Call(thread, starlark.Universe[b.Name()], args, kwargs)
}

func checkSizes(args starlark.Tuple) error {
	for _, arg := range args {
		if _, err := Size(arg, MaxString); err != nil {
			return err
		}
	}
	return nil
}
