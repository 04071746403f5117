package starlark

import (
	"errors"
	"fmt"
	"math"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
)

var errNotFinite = errors.New("the number is not finite")

// numberOf is the value as a number: a finite int or float, True (1) or False (0), or a duration in seconds.
func numberOf(v starlark.Value) (float64, error) {
	switch x := v.(type) {
	case starlark.Bool:
		if x {
			return 1, nil
		}
		return 0, nil
	case startime.Duration:
		return float64(x) / 1e9, nil
	case starlark.Int, starlark.Float:
		f, _ := starlark.AsFloat(x)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, errNotFinite
		}
		return f, nil
	case starlark.String:
		return 0, fmt.Errorf("want a number, got %s: write float(…)", describe(v))
	}
	return 0, fmt.Errorf("want a number, got %s", describe(v))
}

// labelText is the value as a label's: a text, the digits of a number, true or false.
func labelText(v starlark.Value) (string, bool) {
	switch x := v.(type) {
	case starlark.String:
		return string(x), true
	case starlark.Int, starlark.Float:
		return x.String(), true
	case starlark.Bool:
		if x {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// describe is a value in a few words for a message.
func describe(v starlark.Value) string {
	switch x := v.(type) {
	case starlark.NoneType:
		return "None"
	case starlark.String:
		if len(x) > 40 {
			return fmt.Sprintf("a text of %d bytes", len(x)) // its beginning could be half a secret
		}
		return fmt.Sprintf("the text %q", string(x))
	case *starlark.Function:
		return "the function " + x.Name() + ": is a call () missing?"
	}
	return "a " + v.Type()
}
