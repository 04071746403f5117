package starlark

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	starmath "go.starlark.net/lib/math"
	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/starlark/sandbox"
)

// predeclared returns the names that a script can use, in addition to those of Starlark itself. None of them can read files or
// environment variables.
func (s *source) predeclared(config starlark.Value, top *registry) starlark.StringDict {
	config.Freeze()
	all := starlark.StringDict{
		"config":              config,
		"job":                 starlark.String(s.env.Job),
		"window":              window{source: s},
		"math":                starmath.Module,
		"crypto":              s.crypto(),
		"time":                extended(startime.Module, "strptime", s.strptime, "rfc3339", rfc3339, "parse_duration", parseDuration),
		"re":                  s.patterns.module(),
		"statistics":          &starlarkstruct.Module{Name: "statistics", Members: statistics()},
		"inc":                 operationOf("inc"),
		"set":                 operationOf("set"),
		"observe":             operationOf("observe"),
		"event":               operationOf("event"),
		"register_metric":     starlark.NewBuiltin("register_metric", top.register),
		"enable_delta_metric": top.change("enable_delta_metric", sources.EnableDelta),
		"enable_once_metric":  top.change("enable_once_metric", sources.EnableOnce),

		"enable_increment_metric": top.change("enable_increment_metric", sources.EnableIncrement),
	}
	for name, f := range map[string]builtin{
		"fetch":                       s.fetch,
		"get_data_from_store":         s.getData,
		"secret":                      s.secret,
		"get_iso_timestamp_x_min_ago": s.minutesAgo,
		"sum":                         sum,
	} {
		all[name] = starlark.NewBuiltin(name, f)
	}
	maps.Copy(all, codecs())
	maps.Copy(all, statistics())
	maps.Copy(all, sandbox.Predeclared())
	return all
}

// predeclaredNames returns the names that predeclared defines.
func predeclaredNames() map[string]bool {
	names := map[string]bool{}
	s := &source{}
	for name := range s.predeclared(starlark.NewDict(0), &registry{}) {
		names[name] = true
	}
	return names
}

type builtin = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// extended returns a copy of a module with additional members. The arguments "more" are the name and the function of the first new member,
// then those of the second, and so on.
func extended(m *starlarkstruct.Module, more ...any) *starlarkstruct.Module {
	members := maps.Clone(m.Members)
	for i := 0; i < len(more); i += 2 {
		name := more[i].(string)
		members[name] = starlark.NewBuiltin(name, more[i+1].(builtin))
	}
	return &starlarkstruct.Module{Name: m.Name, Members: members}
}

// minutesAgo is the function get_iso_timestamp_x_min_ago(x). It returns the time x minutes before the tick in RFC 3339, in UTC.
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
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.String(now.Add(-time.Duration(minutes * float64(time.Minute))).Format(time.RFC3339)), nil
}

// secret is the function secret(name). It reads a secret of the settings, once per tick.
func (s *source) secret(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	ref, ok := s.secrets[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("secret: %q is not in script.secrets: add it there; with a config.json, add it to the file that secret_file_path names", name)
	case s.tick == nil:
		return nil, fmt.Errorf("secret: %w", errTopLevel)
	}
	value, ok := s.tick.read[name]
	if !ok {
		var err error
		if value, err = s.vault().Secret(ref); err != nil {
			return nil, err
		}
		s.tick.read[name] = value
	}
	return starlark.String(value), nil
}

// window is the type of the value that scripts see as "window". Its attributes "start" and "end" are the times at which the tick's window
// starts and ends, in UTC.
type window struct{ source *source }

func (w window) String() string        { return "window" }
func (w window) Type() string          { return "window" }
func (w window) Freeze()               {}
func (w window) Truth() starlark.Bool  { return true }
func (w window) Hash() (uint32, error) { return 0, errors.New("unhashable type: window") }

// AttrNames returns the names of the attributes.
func (w window) AttrNames() []string { return []string{"end", "start"} }

// Attr returns the value of an attribute.
func (w window) Attr(name string) (starlark.Value, error) {
	if !slices.Contains(w.AttrNames(), name) {
		return nil, nil
	}
	if w.source.tick == nil {
		return nil, fmt.Errorf("window: %w", errTopLevel)
	}
	at := w.source.tick.at.Start
	if name == "end" {
		at = w.source.tick.at.End
	}
	return startime.Time(at.UTC()), nil
}
