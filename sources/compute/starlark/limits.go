package starlark

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"
)

// A script's memory is bounded in two ways. What grows step by step is watched, and the script is stopped when it holds
// too much. What a single operation could blow up at once is refused beforehand, since nothing can interrupt it: repeating,
// formatting, joining and replacing texts, writing nested values out, and ranges.
const (
	maxBuilt = 64 << 20 // bytes of a text that one operation makes
	maxItems = 4 << 20  // items of a list that one operation makes
	maxRange = 10_000_000
	maxBits  = 1 << 16 // of an int that is multiplied
	maxDeep  = 1000    // of a value that is written out
)

var (
	errBuilt = fmt.Errorf("makes a text of more than %d MiB", maxBuilt>>20)
	errItems = fmt.Errorf("makes a list of more than %d items", maxItems)
	errBits  = errors.New("the numbers are too large to multiply")
	errDeep  = fmt.Errorf("is nested more than %d deep", maxDeep)
)

func checkRepeat(x, y starlark.Value) error {
	n, ok := y.(starlark.Int)
	if !ok {
		if n, ok = x.(starlark.Int); !ok {
			return nil // no repetition
		}
		x = y
	}
	if other, ok := x.(starlark.Int); ok {
		for _, i := range []starlark.Int{n, other} {
			if i.BigInt().BitLen() > maxBits {
				return errBits
			}
		}
		return nil
	}
	times, small := n.Int64()
	size, most, err := int64(starlark.Len(x)), int64(maxBuilt), errBuilt
	switch x.(type) {
	case *starlark.List, starlark.Tuple:
		most, err = maxItems, errItems
	}
	if n.Sign() > 0 && size > 0 && (!small || times > most/size) {
		return err
	}
	return nil
}

// checkFormat bounds text % values. A width cannot be given in Starlark, so what comes out is no longer than its parts.
func checkFormat(text starlark.String, values starlark.Value) error {
	_, err := textSize(values, maxBuilt-min(len(text), maxBuilt), 0)
	return err
}

// textSize is about how long a value is when it is written out; an error where it is more than max. Shared values count
// each time.
func textSize(v starlark.Value, max, depth int) (int, error) {
	size := 8
	if depth > maxDeep {
		return 0, errDeep
	}
	add := func(item starlark.Value) error {
		n, err := textSize(item, max-size, depth+1)
		size += n
		return err
	}
	switch x := v.(type) {
	case *wrapped:
		return textSize(x.Value, max, depth)
	case starlark.String:
		size += len(x)
	case starlark.Bytes:
		size += len(x)
	case starlark.Int:
		if _, small := x.Int64(); !small {
			size += x.BigInt().BitLen() / 3
		}
	case *object:
		size += len(x.at.Raw()) // nested no deeper than a document can be
	case *starlark.Dict:
		for key, value := range x.Entries() {
			if err := errors.Join(add(key), add(value)); err != nil {
				return 0, err
			}
		}
	case starlark.Iterable:
		if _, ok := x.(starlark.Sequence); ok && starlark.Len(x) > max/2 {
			return 0, errBuilt
		}
		for item := range starlark.Elements(x) {
			if err := add(item); err != nil {
				return 0, err
			}
		}
	}
	if size > max {
		return 0, errBuilt
	}
	return size, nil
}
