package starlark

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/starlark/sandbox"
)

// maxSteps limits one call of a function, in steps of Starlark. This number of steps takes a few seconds. Each function has its own
// limit, so that an endless loop in one function does not affect the others. The job's timeout limits all functions together.
const maxSteps = 100_000_000

// The limits for script values in messages, in bytes.
const (
	maxPrint   = 2000    // for one print
	maxMessage = 500     // for an error
	maxShown   = 400     // for the result of a function
	maxPreview = 100_000 // a longer value is not converted to text at all
)

// source calls the functions of a script.
type source struct {
	env       sources.Env
	program   *program
	limits    sandbox.Limits
	functions []metricFunc
	expires   time.Duration      // for how long get_data_from_store uses an answer again, unless a call says otherwise
	readData  *starlark.Function // nil if the script has none
	notes     []string           // notes that the check of the script has found
	secrets   map[string]setting.Secret

	tick     *tick           // the current tick; nil while the top level runs
	cache    responseCache   // responses that later ticks may use
	patterns patterns        // compiled regular expressions
	measured metric.Readings // in the order of functions
	builder  readingBuilder
}

// metricFunc is a metric with the function that computes it.
type metricFunc struct {
	desc   *metric.Desc
	onceBy string
	fn     *starlark.Function
}

func newSource(c *Config, env sources.Env, p *program) (*source, error) {
	s := &source{env: env, program: p, limits: sandbox.Limits{Steps: maxSteps, Memory: int64(c.MaxMemory)}, secrets: c.Secrets, expires: time.Duration(c.Expires)}
	s.cache.maxSize = int64(c.MaxMemory) / 2
	settings, err := ofSetting(c.Settings, 0)
	if err != nil {
		return nil, err
	}
	top := &registry{functions: map[string]*starlark.Function{}, changes: map[*starlark.Function]change{}}
	var globals starlark.StringDict
	err = s.run(context.Background(), func(thread *starlark.Thread) (err error) {
		globals, err = p.code.Init(thread, s.predeclared(settings, top))
		return err
	})
	if err != nil {
		return nil, s.scriptError(err)
	}
	globals.Freeze()
	if err := top.bind(s, c, globals); err != nil {
		return nil, err
	}
	return s, nil
}

// Collect calls the function of each metric once, and returns their readings.
func (s *source) Collect(ctx context.Context, at sources.Tick) (metric.Readings, error) {
	s.tick = newTick(ctx, at, s)
	defer func() { s.tick = nil }()
	s.cache.expire(at.Time)
	s.builder.reset()
	failed := 0
	var otherErr error // error of the first function that failed because of a request other than the job's own
	for i := range s.functions {
		m := &s.measured[i]
		m.Rows, m.Err, m.Drops = m.Rows[:0], nil, nil
		if m.Err = s.measure(ctx, &s.functions[i], m); m.Err != nil {
			failed++
		}
		switch {
		case ctx.Err() != nil && m.Err != nil:
			return nil, &failure{m.Err.Error(), context.Cause(ctx)}
		case ctx.Err() != nil:
			return nil, fmt.Errorf("run %s: %w", s.program.file, context.Cause(ctx))
		case s.tick.ownFailed:
			return nil, m.Err
		case s.tick.otherFailed && otherErr == nil:
			otherErr = m.Err
		}
	}
	if failed == len(s.functions) && otherErr != nil {
		return nil, otherErr
	}
	for i := range s.measured {
		s.measured[i].FailIfAllDropped()
		s.tick.skipped.Count(&s.measured[i])
	}
	return s.measured, nil
}

// measure calls the function of a metric and adds the readings in its result.
func (s *source) measure(ctx context.Context, f *metricFunc, into *metric.Measured) error {
	name := f.fn.Name()
	var returned starlark.Value
	err := s.run(ctx, func(thread *starlark.Thread) (err error) {
		returned, err = starlark.Call(thread, f.fn, nil, nil)
		return err
	})
	if err != nil {
		return s.scriptError(err)
	}
	if s.env.Show != nil {
		s.env.Show(name+" returned", s.clip(sandbox.Preview(returned, maxPreview), maxShown))
	}
	if err := s.builder.take(f, returned, into); err != nil {
		return &failure{s.clip(fmt.Sprintf("%s: %s: %v", f.fn.Position(), name, err), maxMessage), err}
	}
	return nil
}

// run runs Starlark code within the limits.
func (s *source) run(ctx context.Context, call func(*starlark.Thread) error) error {
	thread := &starlark.Thread{Name: s.program.file, Print: s.print}
	startime.SetNow(thread, func() (time.Time, error) {
		now, err := s.now()
		if err != nil {
			return now, fmt.Errorf("time.now: %w", err)
		}
		return now, nil
	})
	return s.limits.Run(ctx, thread, call)
}

var errTopLevel = errors.New("cannot be used at the top level, which runs once, before any run of the job: use it in a metric's function")

// now returns the time of the tick. It is the same in all functions.
func (s *source) now() (time.Time, error) {
	if s.tick == nil {
		return time.Time{}, errTopLevel
	}
	return s.tick.at.Time.UTC(), nil
}

// print logs the text that a script prints, and passes it to Show.
func (s *source) print(thread *starlark.Thread, text string) {
	at := s.program.file
	for depth := range thread.CallStackDepth() {
		if pos := thread.CallFrame(depth).Pos; pos.Filename() == s.program.file {
			at = pos.String()
			break
		}
	}
	text = s.clip(text, maxPrint)
	if s.env.Log != nil {
		s.env.Log.Debug("script prints", "at", at, "text", text)
	}
	if s.env.Show != nil {
		s.env.Show("print", at+": "+text)
	}
}

// scriptError returns the error of a running script as one line: position, function and message.
func (s *source) scriptError(err error) error {
	e, ok := errors.AsType[*starlark.EvalError](err)
	if !ok {
		return err
	}
	message, _ := sandbox.Reason(e)
	message = s.explainNone(s.clip(message, maxMessage))
	// Find the innermost frame that is in the script. Frames inside it are built-in functions.
	for i := range e.CallStack {
		frame := e.CallStack.At(i)
		switch {
		case frame.Pos.Filename() == "<builtin>" || frame.Pos.Filename() == "":
			continue
		case frame.Name == "<toplevel>":
			return &failure{fmt.Sprintf("%s: %s", frame.Pos, message), err}
		}
		return &failure{fmt.Sprintf("%s: %s: %s", frame.Pos, frame.Name, message), err}
	}
	return &failure{message, err}
}

// explainNone rewrites Starlark's messages about a member of None, so that they are easier to understand. The usual reason is a
// function that returned nothing.
func (s *source) explainNone(message string) string {
	index := strings.HasPrefix(message, "unhandled index operation NoneType[")
	attribute, ok := strings.CutPrefix(message, "NoneType has no .")
	switch {
	case index:
		message = "the value before [ is None"
	case ok:
		attribute, _, _ = strings.Cut(attribute, " ")
		message = "the value before ." + attribute + " is None"
	default:
		return message
	}
	if s.readData != nil {
		return message + " (did read_data return nothing?)"
	}
	return message
}

// vault returns the store of secrets. It may be nil; a nil store can read secrets but does not scrub them.
func (s *source) vault() *setting.SecretStore {
	if s.env.Web == nil {
		return nil
	}
	return s.env.Web.Secrets
}

// clip returns a text of the script as one line of at most limit bytes, without secrets. It removes secrets before it cuts the
// text, so that no part of a secret can remain.
func (s *source) clip(long string, limit int) string {
	return text.Cut(text.OneLine(s.vault().Scrub(long)), limit)
}

// failure is an error with its own text that wraps another error.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }
