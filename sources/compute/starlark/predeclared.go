package starlark

import (
	"fmt"
	"maps"
	"math"
	"time"

	starjson "go.starlark.net/lib/json"
	starmath "go.starlark.net/lib/math"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/collectington/collectington/sources"
)

// predeclared is all that a script can use beside the language itself. Nothing in it reaches files or the environment.
func (s *source) predeclared(config starlark.Value, top *registry) starlark.StringDict {
	config.Freeze()
	all := starlark.StringDict{
		"config":              config,
		"job":                 starlark.String(s.env.Job),
		"window":              window{s},
		"json":                withEncode(starjson.Module),
		"math":                starmath.Module,
		"time":                extended(startime.Module, "strptime", strptime, "rfc3339", rfc3339, "parse_duration", parseDuration),
		"re":                  s.patterns.module(),
		"statistics":          &starlarkstruct.Module{Name: "statistics", Members: statistics()},
		wrapName:              starlark.NewBuiltin("*", wrap),
		wrapNumber:            starlark.NewBuiltin("*=", wrapAll),
		boundName:             starlark.NewBuiltin("+", bound),
		plainName:             starlark.NewBuiltin("==", comparePlain),
		"inc":                 operationOf("inc"),
		"set":                 operationOf("set"),
		"observe":             operationOf("observe"),
		"event":               operationOf("event"),
		"register_metric":     starlark.NewBuiltin("register_metric", top.register),
		"enable_delta_metric": top.change("enable_delta_metric", sources.EnableDelta),
		"enable_once_metric":  top.change("enable_once_metric", sources.EnableOnce),
	}
	for name, f := range map[string]builtin{
		"fetch":                       s.fetch,
		"secret":                      s.secret,
		"get_data_from_store":         s.stored,
		"get_iso_timestamp_x_min_ago": s.minutesAgo,
		"range":                       boundedRange,
		"sorted":                      ordering,
		"min":                         ordering,
		"max":                         ordering,
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
