package starlark

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/document"
)

// scalar is a value of a document that has no values in it.
func scalar(v document.Value) starlark.Value {
	switch v.Kind() {
	case document.String:
		if raw := v.Raw(); strings.IndexByte(raw, '\\') < 0 {
			return starlark.String(raw)
		}
		return starlark.String(v.AppendText(nil))
	case document.Number:
		return number(v.Raw())
	case document.True:
		return starlark.True
	case document.False:
		return starlark.False
	}
	return starlark.None
}

// maxDigits bounds an int: reading one takes time that grows faster than its digits.
const maxDigits = 4000

// number is an int where the text has neither a fraction nor an exponent.
func number(text string) starlark.Value {
	if !strings.ContainsAny(text, ".eE") && len(text) <= maxDigits {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return starlark.MakeInt64(n)
		}
		if n, ok := new(big.Int).SetString(text, 10); ok {
			return starlark.MakeBigInt(n)
		}
	}
	f, _ := strconv.ParseFloat(text, 64) // beyond the range of numbers: infinite, which no reading can be
	return starlark.Float(f)
}

// maxNested is how deep settings may be.
const maxNested = 100

// ofSetting is a value of the configuration file as Starlark has it.
func ofSetting(v any, depth int) (starlark.Value, error) {
	if depth > maxNested {
		return nil, fmt.Errorf("nested more than %d deep", maxNested)
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
	return nil, fmt.Errorf("want texts, numbers, lists and mappings with texts as keys")
}
