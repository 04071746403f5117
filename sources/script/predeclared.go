package script

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	starjson "go.starlark.net/lib/json"
	starmath "go.starlark.net/lib/math"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// predeclared is all that a script can use beside the language itself. Nothing in it reaches files or the environment.
func (s *source) predeclared(config starlark.Value, top *registry) starlark.StringDict {
	config.Freeze()
	all := starlark.StringDict{
		"config":          config,
		"job":             starlark.String(s.env.Job),
		"json":            withEncode(starjson.Module),
		"math":            starmath.Module,
		"time":            extended(startime.Module, "strptime", strptime, "rfc3339", rfc3339),
		"re":              s.patterns.module(),
		"statistics":      &starlarkstruct.Module{Name: "statistics", Members: statistics()},
		wrapName:          starlark.NewBuiltin("*", wrap),
		wrapNumber:        starlark.NewBuiltin("*=", wrapAll),
		boundName:         starlark.NewBuiltin("+", bound),
		"inc":             operationOf("inc"),
		"set":             operationOf("set"),
		"observe":         operationOf("observe"),
		"event":           operationOf("event"),
		"register_metric": starlark.NewBuiltin("register_metric", top.register),
	}
	for name, f := range map[string]builtin{
		"enable_delta_metric":         top.delta,
		"fetch":                       s.fetch,
		"get_data_from_store":         s.stored,
		"get_iso_timestamp_x_min_ago": s.minutesAgo,
		"range":                       boundedRange,
		"str":                         boundedText,
		"repr":                        boundedText,
		"print":                       boundedPrint,
		"sum":                         sum,
	} {
		all[name] = starlark.NewBuiltin(name, f)
	}
	maps.Copy(all, statistics())
	return all
}

// predeclaredNames are the names of predeclared.
func predeclaredNames() map[string]bool {
	names := map[string]bool{}
	s := &source{}
	for name := range s.predeclared(starlark.NewDict(0), &registry{}) {
		names[name] = true
	}
	return names
}

type builtin = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// extended is a module with more members, given as names and functions in turn.
func extended(m *starlarkstruct.Module, more ...any) *starlarkstruct.Module {
	members := maps.Clone(m.Members)
	for i := 0; i < len(more); i += 2 {
		name := more[i].(string)
		members[name] = starlark.NewBuiltin(name, more[i+1].(builtin))
	}
	return &starlarkstruct.Module{Name: m.Name, Members: members}
}

// minutesAgo is get_iso_timestamp_x_min_ago(n): so long before the tick, in RFC 3339 and UTC.
func (s *source) minutesAgo(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var n starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "x", &n); err != nil {
		return nil, err
	}
	minutes, ok := starlark.AsFloat(n)
	if !ok || math.Abs(minutes) > 1e8 || math.IsNaN(minutes) {
		return nil, fmt.Errorf("%s: want a number of minutes, got %s", b.Name(), describe(n))
	}
	now, err := s.now()
	if err != nil {
		return nil, err
	}
	return starlark.String(now.Add(-time.Duration(minutes * float64(time.Minute))).Format(time.RFC3339)), nil
}

func statistics() starlark.StringDict {
	return starlark.StringDict{
		"mean":       starlark.NewBuiltin("mean", mean),
		"median":     starlark.NewBuiltin("median", median),
		"percentile": starlark.NewBuiltin("percentile", percentileOf),
	}
}

// numbers are those of a list, or of durations in seconds.
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

// sum is sum(list, start = 0). Ints stay ints.
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
		if total, err = starlark.Binary(plus, total, item); err != nil {
			return nil, err
		}
	}
	return total, nil
}

// mean is the arithmetic mean; None of nothing, which is no reading.
func mean(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var list starlark.Iterable
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "list", &list); err != nil {
		return nil, err
	}
	all, err := numbers(b.Name(), list)
	if err != nil || len(all) == 0 {
		return starlark.None, err
	}
	total := 0.0
	for _, n := range all {
		total += n
	}
	return starlark.Float(total / float64(len(all))), nil
}

func median(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var list starlark.Iterable
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "list", &list); err != nil {
		return nil, err
	}
	all, err := numbers(b.Name(), list)
	return percentile(all, 50), err
}

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

// percentile interpolates linearly between the nearest ranks, as numpy does; None of nothing.
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
