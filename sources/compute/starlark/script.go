package starlark

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources/compute/starlark/sandbox"
)

// maxScript is the maximum size of a script in bytes.
const maxScript = 1 << 20

// program is a compiled script.
type program struct {
	file    string // file name in the settings, for messages
	version string // hash of the script's text
	code    *starlark.Program
}

func readProgram(dir, file string) (*program, error) {
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &failure{fmt.Sprintf("script.file: %s does not exist", path), err}
	}
	if err != nil {
		return nil, fmt.Errorf("script.file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxScript+1))
	if err != nil {
		return nil, fmt.Errorf("script.file: %w", err)
	}
	if len(text) > maxScript {
		return nil, fmt.Errorf("script.file: %s exceeds 1MiB", path)
	}
	return compile(file, string(text))
}

// compile compiles a script. Its errors name the file, line and column, and quote the line.
func compile(file, text string) (*program, error) {
	names := predeclaredNames()
	code, err := sandbox.Compile(file, text, func(name string) bool { return names[name] })
	if err != nil {
		return nil, compileError(text, err)
	}
	sum := sha256.Sum256([]byte(text))
	return &program{file: file, version: hex.EncodeToString(sum[:]), code: code}, nil
}

// compileError returns the first error of the compiler, and adds the line in which the error is.
func compileError(script string, err error) error {
	var pos syntax.Position
	var message string
	if list, ok := errors.AsType[resolve.ErrorList](err); ok && len(list) > 0 {
		pos, message = list[0].Pos, list[0].Msg
	} else if e, ok := errors.AsType[syntax.Error](err); ok {
		pos, message = e.Pos, e.Msg
	} else {
		return err
	}
	lines := strings.Split(script, "\n")
	if n := int(pos.Line); n >= 1 && n <= len(lines) {
		if line := strings.TrimSpace(lines[n-1]); line != "" {
			message += fmt.Sprintf(", in: %.120s", line)
		}
	}
	return fmt.Errorf("%s: %s", pos, text.Cut(text.OneLine(message), maxMessage))
}

// registry holds what the top level of a script registers.
type registry struct {
	functions map[string]*starlark.Function // keyed by metric; set by register_metric
	changes   map[*starlark.Function]change // set by enable_delta_metric and enable_once_metric
}

// change is a change of a metric's declaration. Its name is that of the built-in function that makes the change.
type change struct {
	name  string
	apply func(*metric.Desc) error
}

// register is the script's function register_metric(name, function). It returns its second argument.
func (r *registry) register(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var f *starlark.Function
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "function", &f); err != nil {
		return nil, err
	}
	if r.functions[name] != nil {
		return nil, fmt.Errorf("register_metric: %s already has a function", name)
	}
	r.functions[name] = f
	return f, nil
}

// change returns the built-in function for a change. That function takes the function of a metric, and returns it unchanged.
func (r *registry) change(name string, apply func(*metric.Desc) error) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var f *starlark.Function
		if err := starlark.UnpackArgs(name, args, kwargs, "function", &f); err != nil {
			return nil, err
		}
		if before := r.changes[f]; before.name != "" && before.name != name {
			return nil, fmt.Errorf("%s: %s already has %s: a metric can have only one of them", name, f.Name(), before.name)
		}
		r.changes[f] = change{name, apply}
		return f, nil
	})
}

// bind finds the function of each metric, and the function read_data.
func (r *registry) bind(s *source, c *Config, globals starlark.StringDict) error {
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.Metrics)) {
		f, err := r.find(name, globals, used)
		if err != nil {
			return fmt.Errorf("%s: %w", s.program.file, err)
		}
		if required(f) > 0 {
			return fmt.Errorf("%s: %s: a metric's function takes no arguments: remove self, and read settings from config", f.Position(), f.Name())
		}
		m := c.Metrics[name]
		d := m.Desc(name)
		// The name of the function identifies the metric's state, so the totals continue after a change of the script.
		d.How = "script function " + f.Name()
		if c := r.changes[f]; c.apply != nil {
			if err := c.apply(d); err != nil {
				return fmt.Errorf("%s: %s: %s is only valid for %w", f.Position(), f.Name(), c.name, err)
			}
		}
		s.functions = append(s.functions, metricFunc{desc: d, onceBy: m.OnceBy, fn: f})
		s.measured = append(s.measured, metric.Measured{Desc: d})
	}
	for _, name := range slices.Sorted(maps.Keys(r.functions)) {
		if !used[name] { // several jobs can share a script
			s.notes = append(s.notes, fmt.Sprintf("%s: register_metric names %q, which metrics does not declare: it is not computed", s.program.file, name))
		}
	}
	return s.bindReadData(globals)
}

// bindReadData finds the script's function read_data, if there is one.
func (s *source) bindReadData(globals starlark.StringDict) error {
	f, ok := globals["read_data"].(*starlark.Function)
	switch {
	case !ok:
		return nil
	case firstParameter(f) == "self":
		return fmt.Errorf("%s: read_data takes the name of the store, or nothing: remove self, and read settings from config", f.Position())
	case required(f) > 1:
		return fmt.Errorf("%s: read_data takes the name of the store, or nothing", f.Position())
	}
	s.readData = f
	return nil
}

// find returns the function that is registered for a metric, or the function get_NAME. In both cases, the
// script may leave out the _total of a counter.
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
	registered := ""
	if len(r.functions) > 0 {
		registered = "; register_metric names " + text.Cut(strings.Join(slices.Sorted(maps.Keys(r.functions)), ", "), maxMessage)
	}
	return nil, fmt.Errorf("no function for %s: write def get_%s():, or register_metric(%q, …)%s", name, short, name, registered)
}

// positional returns the number of a function's positional parameters, without *args.
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

// firstParameter returns the name of a function's first parameter, or "" if the function has no parameters.
func firstParameter(f *starlark.Function) string {
	if f.NumParams() == 0 {
		return ""
	}
	name, _ := f.Param(0)
	return name
}

// required returns the number of a function's parameters that have no default value.
func required(f *starlark.Function) int {
	n := 0
	for i := range positional(f) + f.NumKwonlyParams() {
		if f.ParamDefault(i) == nil {
			n++
		}
	}
	return n
}
