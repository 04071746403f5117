package starlark

import (
	"context"
	"errors"
	"fmt"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// maxSteps bounds what one call may compute, in Starlark's steps: some seconds' worth. It is per function, so that one that
// never ends costs the others nothing; the job's time-out bounds them all.
const maxSteps = 100_000_000

// source calls a script's functions.
type source struct {
	env       sources.Env
	program   *program
	maxSteps  uint64
	maxMemory int64
	measures  []measure
	measured  metric.Readings
	arena     []string // label values of the tick under way
	cells     cells    // of the reading under way
	tick      *tick    // the tick under way; nil while the top level runs
	kept      kept
	readData  *starlark.Function // nil where the script has none
	secrets   map[string]setting.Secret
	patterns  patterns
}

// measure is one metric and the function that computes it.
type measure struct {
	desc   *metric.Desc
	onceBy string
	call   *starlark.Function
}

func newSource(c *Config, env sources.Env, p *program) (*source, error) {
	s := &source{env: env, program: p, maxSteps: maxSteps, maxMemory: int64(c.MaxMemory), secrets: c.Secrets}
	settings, err := ofSetting(c.Settings, 0)
	if err != nil {
		return nil, err
	}
	top := &registry{functions: map[string]*starlark.Function{}, changes: map[*starlark.Function]change{}}
	var globals starlark.StringDict
	err = s.guarded(context.Background(), func(thread *starlark.Thread) (err error) {
		globals, err = p.code.Init(thread, s.predeclared(settings, top))
		return err
	})
	if err != nil {
		return nil, s.fault(err)
	}
	globals.Freeze()
	if err := top.bind(s, c, globals); err != nil {
		return nil, err
	}
	return s, nil
}

// Version is the script's.
func (s *source) Version() string { return s.program.version }

// Collect calls each metric's function once.
func (s *source) Collect(ctx context.Context, at sources.Tick) (metric.Readings, error) {
	s.tick = &tick{ctx: ctx, at: at, answers: map[string]answer{}, secrets: map[string]string{}}
	defer func() { s.tick = nil }()
	s.kept.forget(at.Time)
	s.arena = s.arena[:0]
	failed := 0
	var refused error // the first other request's error, with the place in the script that wanted it
	for i := range s.measures {
		m := &s.measured[i]
		m.Rows, m.Err, m.Drops = m.Rows[:0], nil, nil
		if m.Err = s.measure(ctx, &s.measures[i], m); m.Err != nil {
			failed++
		}
		switch {
		case ctx.Err() != nil && m.Err != nil:
			return nil, &failure{m.Err.Error(), context.Cause(ctx)}
		case ctx.Err() != nil:
			return nil, fmt.Errorf("run %s: %w", s.program.file, context.Cause(ctx))
		case s.tick.lost:
			return nil, m.Err
		case s.tick.refused && refused == nil:
			refused = m.Err
		}
	}
	if failed == len(s.measures) && refused != nil {
		return nil, refused
	}
	for i := range s.measured {
		s.tick.skipped.Count(&s.measured[i])
	}
	return s.measured, nil
}

// measure calls a metric's function and takes its answer.
func (s *source) measure(ctx context.Context, m *measure, into *metric.Measured) error {
	name := m.call.Name()
	var answer starlark.Value
	err := s.guarded(ctx, func(thread *starlark.Thread) (err error) {
		answer, err = starlark.Call(thread, m.call, nil, nil)
		return err
	})
	if err != nil {
		return s.fault(err)
	}
	if s.env.Show != nil {
		s.env.Show(name+" returned", s.clip(preview(answer, maxPreview), maxShown))
	}
	if err := s.take(m, answer, into); err != nil {
		return &failure{s.clip(fmt.Sprintf("%s: %s: %v", m.call.Position(), name, err), maxMessage), err}
	}
	return nil
}

// guarded runs Starlark within the bounds of steps, memory and the context.
func (s *source) guarded(ctx context.Context, run func(*starlark.Thread) error) error {
	thread := &starlark.Thread{Name: s.program.file, Print: s.print}
	thread.SetMaxExecutionSteps(s.maxSteps)
	thread.OnMaxSteps = func(t *starlark.Thread) {
		t.Cancel(fmt.Sprintf("no end after %d steps: is it an endless loop?", s.maxSteps))
	}
	startime.SetNow(thread, s.now)
	stop := context.AfterFunc(ctx, func() { thread.Cancel(context.Cause(ctx).Error()) })
	defer stop()
	defer watchMemory(thread, s.maxMemory)()
	return run(thread)
}

var errTopLevel = errors.New("the top level runs once, before any tick: call it in a metric's function")

// now is the tick's time, so that all functions of a tick agree.
func (s *source) now() (time.Time, error) {
	if s.tick == nil {
		return time.Time{}, errTopLevel
	}
	return s.tick.at.Time.UTC(), nil
}

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

// How much is shown of what a script has made, in bytes.
const (
	maxPrint   = 2000    // of one print
	maxMessage = 500     // of an error
	maxShown   = 400     // of what a function has returned
	maxPreview = 100_000 // what is longer is not even written out
)
