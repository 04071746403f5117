package starlark

import (
	"errors"
	"fmt"
	"math"
	"slices"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// statistics returns functions for lists, as in Python's module statistics and in numpy.
func statistics() starlark.StringDict {
	return starlark.StringDict{
		"mean":       ofNumbers("mean", func(all []float64) starlark.Value { return starlark.Float(mean(all)) }),
		"median":     ofNumbers("median", func(all []float64) starlark.Value { return percentile(all, 50) }),
		"stdev":      ofNumbers("stdev", stdev),
		"percentile": starlark.NewBuiltin("percentile", percentileOf),
	}
}

// numbers converts the items of a list to numbers.
func numbers(name string, list starlark.Iterable) ([]float64, error) {
	var all []float64
	for item := range starlark.Elements(list) {
		n, err := numberOf(item)
		if err != nil {
			return nil, fmt.Errorf("%s: item %d: %w", name, len(all), err)
		}
		all = append(all, n)
	}
	return all, nil
}

// sum is the function sum(list, start = 0). The sum of ints is an int, and the sum of durations is a duration.
func sum(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var list starlark.Iterable
	var total starlark.Value = starlark.MakeInt(0)
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "list", &list, "start?", &total); err != nil {
		return nil, err
	}
	for item := range starlark.Elements(list) {
		if d, ok := item.(startime.Duration); ok && total == starlark.Value(starlark.MakeInt(0)) {
			total = d
			continue
		}
		switch item.(type) {
		case starlark.Int, starlark.Float, startime.Duration:
		default:
			return nil, fmt.Errorf("sum: want numbers, got %s", describe(item))
		}
		var err error
		if total, err = starlark.Binary(syntax.PLUS, total, item); err != nil {
			return nil, err
		}
	}
	return total, nil
}

// ofNumbers returns a built-in function that applies f to a list of numbers. For an empty list, it returns None, which means that
// there is no reading.
func ofNumbers(name string, f func([]float64) starlark.Value) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var list starlark.Iterable
		if err := starlark.UnpackArgs(name, args, kwargs, "list", &list); err != nil {
			return nil, err
		}
		all, err := numbers(name, list)
		if err != nil || len(all) == 0 {
			return starlark.None, err
		}
		return f(all), nil
	})
}

func mean(all []float64) float64 {
	total := 0.0
	for _, n := range all {
		total += n
	}
	return total / float64(len(all))
}

// stdev returns the sample standard deviation (divided by n-1). For fewer than two numbers, it returns None.
func stdev(all []float64) starlark.Value {
	if len(all) < 2 {
		return starlark.None
	}
	middle, squares := mean(all), 0.0
	for _, n := range all {
		squares += (n - middle) * (n - middle)
	}
	return starlark.Float(math.Sqrt(squares / float64(len(all)-1)))
}

// percentileOf is the function percentile(list, p).
func percentileOf(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var list starlark.Iterable
	var p starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "list", &list, "p", &p); err != nil {
		return nil, err
	}
	rank, ok := starlark.AsFloat(p)
	if !ok || !(rank >= 0 && rank <= 100) {
		return nil, errors.New("percentile: want a number from 0 to 100 as p")
	}
	all, err := numbers(b.Name(), list)
	return percentile(all, rank), err
}

// percentile interpolates linearly between the nearest ranks, like numpy. For an empty list, it returns None.
func percentile(all []float64, p float64) starlark.Value {
	if len(all) == 0 {
		return starlark.None
	}
	slices.Sort(all)
	rank := p / 100 * float64(len(all)-1)
	low := int(rank)
	high := min(low+1, len(all)-1)
	part := rank - float64(low)
	return starlark.Float(all[low]*(1-part) + all[high]*part)
}
