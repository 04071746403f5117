package starlark

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
)

// maxNested is the maximum depth of nested settings.
const maxNested = 100

// ofSetting converts a value of the configuration file to a Starlark value.
func ofSetting(v any, depth int) (starlark.Value, error) {
	if depth > maxNested {
		return nil, fmt.Errorf("is nested more than %d levels deep", maxNested)
	}
	switch x := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(x), nil
	case int:
		return starlark.MakeInt(x), nil
	case int64:
		return starlark.MakeInt64(x), nil
	case uint64:
		return starlark.MakeUint64(x), nil
	case float64:
		return starlark.Float(x), nil
	case string:
		return starlark.String(x), nil
	case time.Time:
		return startime.Time(x), nil
	case []any:
		list := make([]starlark.Value, len(x))
		for i := range x {
			var err error
			if list[i], err = ofSetting(x[i], depth+1); err != nil {
				return nil, fmt.Errorf("%d: %w", i, err)
			}
		}
		return starlark.NewList(list), nil
	case map[string]any:
		d := starlark.NewDict(len(x))
		for _, key := range slices.Sorted(maps.Keys(x)) {
			value, err := ofSetting(x[key], depth+1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			_ = d.SetKey(starlark.String(key), value)
		}
		return d, nil
	}
	return nil, fmt.Errorf("want strings, numbers, lists and mappings with strings as keys")
}

var errNotFinite = errors.New("the value is not finite")

// numberOf converts a value to a number: a finite int or float, True (1), False (0), or a duration in seconds.
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

// labelText converts a value to a label value: the text of a string, the digits of a number, true or false.
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

// describe describes a value in a few words. It is for messages.
func describe(v starlark.Value) string {
	switch x := v.(type) {
	case starlark.NoneType:
		return "None"
	case starlark.String:
		if len(x) > 40 {
			return fmt.Sprintf("a string of %d bytes", len(x)) // a part is not shown, since it could be a part of a secret
		}
		return fmt.Sprintf("the string %q", string(x))
	case *starlark.Function:
		return "the function " + x.Name() + ": is a call () missing?"
	}
	if v.Type() == "int" || v.Type() == "operation" {
		return "an " + v.Type()
	}
	return "a " + v.Type()
}
