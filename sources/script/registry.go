package script

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
	deltas    map[*starlark.Function]bool   // those of enable_delta_metric
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

// delta is enable_delta_metric(function), which returns the function.
func (r *registry) delta(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var f *starlark.Function
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "function", &f); err != nil {
		return nil, err
	}
	r.deltas[f] = true
	return f, nil
}

// bind finds the function of each metric.
func (r *registry) bind(s *source, c *Config, globals starlark.StringDict) error {
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.Metrics)) {
		f, err := r.find(name, globals, used)
		if err != nil {
			return fmt.Errorf("%s: %w", s.program.file, err)
		}
		required := 0
		for i := range f.NumParams() {
			if f.ParamDefault(i) == nil {
				required++
			}
		}
		if f.HasVarargs() {
			required--
		}
		if f.HasKwargs() {
			required--
		}
		if required > 0 {
			return fmt.Errorf("%s: %s: a metric's function is called without arguments: leave out self, and read config for settings", f.Position(), f.Name())
		}
		m := c.Metrics[name]
		d := m.Desc(name)
		if r.deltas[f] {
			if err := enableDelta(d); err != nil {
				return fmt.Errorf("%s: %s: %w", f.Position(), f.Name(), err)
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
	return nil
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

// enableDelta has the metric's function return a running total, of which the change counts.
func enableDelta(d *metric.Desc) error {
	switch {
	case d.Type == metric.Counter && !d.Once && d.From != metric.Events:
		d.From = metric.Total // the ledger counts what is new of a total
	case d.Type == metric.Gauge:
		d.Delta = true
	default:
		return fmt.Errorf("enable_delta_metric goes with a gauge or a counter of totals")
	}
	return nil
}
