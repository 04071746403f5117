package starlark

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/metric"
)

// registry is what the top level of a script says of its functions.
type registry struct {
	functions map[string]*starlark.Function // by metric, as register_metric names them
	changes   map[*starlark.Function]change // as enable_delta_metric and enable_once_metric want them
}

// change is what a script changes of a metric's declaration, and the name by which it does.
type change struct {
	name  string
	apply func(*metric.Desc) error
}

// register is register_metric(name, function), which returns the function.
func (r *registry) register(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var f *starlark.Function
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "function", &f); err != nil {
		return nil, err
	}
	if r.functions[name] != nil {
		return nil, fmt.Errorf("register_metric: %s has a function already", name)
	}
	r.functions[name] = f
	return f, nil
}

// change makes the built-in function of a change, which takes a metric's function and returns it.
func (r *registry) change(name string, apply func(*metric.Desc) error) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var f *starlark.Function
		if err := starlark.UnpackArgs(name, args, kwargs, "function", &f); err != nil {
			return nil, err
		}
		if before := r.changes[f]; before.name != "" && before.name != name {
			return nil, fmt.Errorf("%s: %s has %s already", name, f.Name(), before.name)
		}
		r.changes[f] = change{name, apply}
		return f, nil
	})
}

// bind finds the function of each metric.
func (r *registry) bind(s *source, c *Config, globals starlark.StringDict) error {
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.Metrics)) {
		f, err := r.find(name, globals, used)
		if err != nil {
			return fmt.Errorf("%s: %w", s.program.file, err)
		}
		if required(f) > 0 {
			return fmt.Errorf("%s: %s: a metric's function is called without arguments: leave out self, and read config for settings", f.Position(), f.Name())
		}
		m := c.Metrics[name]
		d := m.Desc(name)
		// A metric is the same as long as a function of that name computes it: an edit of the script keeps the totals.
		d.How = "script function " + f.Name()
		if c := r.changes[f]; c.apply != nil {
			if err := c.apply(d); err != nil {
				return fmt.Errorf("%s: %s: %s goes with %w", f.Position(), f.Name(), c.name, err)
			}
		}
		s.measures = append(s.measures, measure{desc: d, onceBy: m.OnceBy, call: f})
		s.measured = append(s.measured, metric.Measured{Desc: d})
	}
	for _, name := range slices.Sorted(maps.Keys(r.functions)) {
		if !used[name] {
			return fmt.Errorf("%s: register_metric names %q, which metrics do not declare", s.program.file, name)
		}
	}
	if f, ok := globals["read_data"].(*starlark.Function); ok {
		if firstParameter(f) == "self" {
			return fmt.Errorf("%s: read_data: is called with the name of the store alone, or with nothing: leave out self, and read config for settings", f.Position())
		}
		if required(f) > 1 {
			return fmt.Errorf("%s: read_data: is called with the name of the store alone, or with nothing", f.Position())
		}
		s.readData = f
	}
	return nil
}

// positional is how many arguments without a name a function takes, *args aside.
func positional(f *starlark.Function) int {
	n := f.NumParams() - f.NumKwonlyParams()
	if f.HasVarargs() {
		n--
	}
	if f.HasKwargs() {
		n--
	}
	return n
}

// firstParameter is the name of a function's first parameter, "" where it has none.
func firstParameter(f *starlark.Function) string {
	if f.NumParams() == 0 {
		return ""
	}
	name, _ := f.Param(0)
	return name
}

// required is how many arguments a function cannot be called without.
func required(f *starlark.Function) int {
	n := 0
	for i := range positional(f) + f.NumKwonlyParams() {
		if f.ParamDefault(i) == nil {
			n++
		}
	}
	return n
}

// find is the function registered for a metric, or the one of its name: get_NAME. A counter's _total may be left out.
func (r *registry) find(name string, globals starlark.StringDict, used map[string]bool) (*starlark.Function, error) {
	short := strings.TrimSuffix(name, "_total")
	for _, n := range []string{name, short} {
		if f := r.functions[n]; f != nil {
			used[n] = true
			return f, nil
		}
	}
	for _, n := range []string{"get_" + name, "get_" + short} {
		if f, ok := globals[n].(*starlark.Function); ok {
			return f, nil
		}
	}
	return nil, fmt.Errorf("no function for %s: write def get_%s():, or register_metric(%q, …)", name, short, name)
}
