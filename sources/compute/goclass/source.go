package goclass

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// maxLabel is the maximum length of a label value in bytes.
const maxLabel = 4096

// source calls the methods of a class.
type source struct {
	*Config
	env      sources.Env
	names    []string // the names of the methods, in the order of the field "measured"
	measured metric.Readings
	arena    []string // label values of the current tick, in one slice that is reused
}

// Collect calls the method of each metric once, and returns their readings.
func (s *source) Collect(ctx context.Context, at sources.Tick) (metric.Readings, error) {
	t := &Tick{Tick: at, Settings: s.Settings, source: s, responses: map[string]response{}}
	s.arena = s.arena[:0]
	failed := 0
	for i := range s.measured {
		m := &s.measured[i]
		m.Rows, m.Err, m.Drops = m.Rows[:0], nil, nil
		if err := s.measure(ctx, t, s.names[i], m); err != nil {
			m.Err = fmt.Errorf("%s.%s: %w", s.class, s.names[i], err)
			failed++
		}
		switch {
		case t.ownErr != nil:
			return nil, t.ownErr
		case ctx.Err() != nil && errors.Is(m.Err, context.Cause(ctx)):
			return nil, m.Err
		case ctx.Err() != nil:
			return nil, fmt.Errorf("run %s.%s: %w", s.class, s.names[i], context.Cause(ctx))
		}
	}
	if failed == len(s.measured) && t.otherErr != nil {
		return nil, t.otherErr
	}
	for i := range s.measured {
		t.skipped.Count(&s.measured[i])
	}
	return s.measured, nil
}

// measure calls one method and takes its readings. It recovers from a panic of the method.
func (s *source) measure(ctx context.Context, t *Tick, name string, into *metric.Measured) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.env.Log.Error("method panicked", "class", s.class, "method", name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panicked: %v", p)
		}
	}()
	readings, err := s.methods[name].Measure(ctx, t)
	if err != nil {
		return err
	}
	for i := range readings {
		if err := s.take(&readings[i], into); err != nil {
			return err
		}
	}
	return nil
}

// take adds a reading. Wrong label names are a mistake in the code, so they are an error of the metric. An invalid label value
// comes from the data, so only the reading is dropped.
func (s *source) take(r *Reading, into *metric.Measured) error {
	d := into.Desc
	if r.Event != "" && !d.Once {
		return fmt.Errorf("a reading has the event id %.40q: set Once in the method, or once_by in the metric", r.Event)
	}
	from := len(s.arena)
	for _, name := range d.LabelNames {
		value, ok := r.Labels[name]
		if !ok {
			return fmt.Errorf("a reading has no label %s", name)
		}
		switch {
		case len(value) > maxLabel:
			into.Drop(metric.LabelTooBig, fmt.Sprintf("label %s has %d bytes, more than %d", name, len(value), maxLabel))
			return nil
		case !utf8.ValidString(value):
			into.Drop(metric.NotLabel, fmt.Sprintf("label %s is not UTF-8", name))
			return nil
		}
		s.arena = append(s.arena, value)
	}
	labels := s.arena[from:len(s.arena):len(s.arena)]
	if len(r.Labels) > len(labels) {
		return fmt.Errorf("a reading has the labels %s; the metric declares %s", list(slices.Sorted(maps.Keys(r.Labels))), list(d.LabelNames))
	}
	row := metric.Reading{Labels: labels, Value: r.Value, Event: r.Event}
	if !r.Time.IsZero() {
		if d.Accumulates() || d.Delta {
			return errors.New("a reading has a timestamp, which is only valid for a gauge without delta, or a counter with from: total")
		}
		row.Time = r.Time.UnixMilli()
	}
	into.Rows = append(into.Rows, row)
	return nil
}

// list formats names for a message.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
