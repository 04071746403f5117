package script

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/metric"
)

// operation is what a function may return instead of a plain value: what is to be done with the number. It does nothing
// by itself, so a function that fails later has done nothing.
//
//	inc(n = 1, **labels)          a counter, from: increment: so much is new
//	set(n, **labels)              a gauge's value; a counter's total so far
//	observe(n or list, **labels)  of a histogram or summary
//	event(id, n = 1, **labels)    where once_by is set: an event, which counts once
type operation struct {
	verb   string
	id     string
	values []float64
	labels *starlark.Dict
}

func (o *operation) String() string {
	text := fmt.Sprintf("%s(", o.verb)
	if o.id != "" {
		text += fmt.Sprintf("%q, ", o.id)
	}
	if len(o.values) == 1 {
		text += fmt.Sprint(o.values[0])
	} else {
		text += fmt.Sprintf("%d values", len(o.values))
	}
	for _, kv := range o.labels.Items() {
		text += fmt.Sprintf(", %s = %s", string(kv[0].(starlark.String)), preview(kv[1], 100))
	}
	return text + ")"
}

func (o *operation) Type() string          { return "operation" }
func (o *operation) Freeze()               { o.labels.Freeze() }
func (o *operation) Truth() starlark.Bool  { return true }
func (o *operation) Hash() (uint32, error) { return 0, errors.New("unhashable type: operation") }

// operationOf makes the built-in function of a verb.
func operationOf(verb string) *starlark.Builtin {
	return starlark.NewBuiltin(verb, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		o := &operation{verb: verb, labels: starlark.NewDict(len(kwargs))}
		for _, kv := range kwargs {
			_ = o.labels.SetKey(kv[0], kv[1])
		}
		if verb == "event" {
			if len(args) == 0 {
				return nil, errors.New("event: want an id: event(id, value = 1, **labels)")
			}
			id, ok := labelText(args[0])
			if !ok || id == "" {
				return nil, fmt.Errorf("event: want a text or number as id, got %s", describe(args[0]))
			}
			o.id, args = id, args[1:]
		}
		if len(args) == 0 {
			if v, found, _ := o.labels.Delete(starlark.String("value")); found {
				args = starlark.Tuple{v}
			}
		}
		return o, o.take(args)
	})
}

func (o *operation) take(args starlark.Tuple) error {
	switch {
	case len(args) > 1:
		return fmt.Errorf("%s: want one value, and labels by name", o.verb)
	case len(args) == 0 && (o.verb == "inc" || o.verb == "event"):
		o.values = []float64{1}
		return nil
	case len(args) == 0:
		return fmt.Errorf("%s: want a value", o.verb)
	}
	items := starlark.NewList([]starlark.Value{args[0]})
	if list, ok := args[0].(*starlark.List); ok && o.verb == "observe" {
		items = list
	}
	for item := range items.Elements() {
		value, err := numberOf(item)
		if err != nil {
			return fmt.Errorf("%s: %w", o.verb, err)
		}
		o.values = append(o.values, value)
	}
	return nil
}

// takeOperation makes the readings of an operation, if it fits the metric.
func (s *source) takeOperation(m *measure, o *operation, into *metric.Measured) error {
	d := m.desc
	observes := d.Type == metric.Histogram || d.Type == metric.Summary
	fits := map[string]bool{
		"inc":     d.Type == metric.Counter && d.From == metric.Increment,
		"set":     d.Type == metric.Gauge || d.Type == metric.Counter && d.From == metric.Total,
		"observe": observes && !d.Once,
		"event":   d.Once,
	}
	goes := map[string]string{
		"inc":     "a counter with from: increment",
		"set":     "a gauge or a counter from: total",
		"observe": "a histogram or summary without once_by",
		"event":   "once_by",
	}
	if !fits[o.verb] {
		return fmt.Errorf("%s goes with %s", o.verb, goes[o.verb])
	}
	if o.labels.Len() != len(d.LabelNames) {
		for _, key := range o.labels.Keys() {
			if !m.names(key) {
				return fmt.Errorf("%s: %s is none of the metric's labels", o.verb, string(key.(starlark.String)))
			}
		}
	}
	row := metric.Reading{Event: o.id}
	missing, err := s.labels(m, o.labels, &row)
	if err != nil {
		return fmt.Errorf("%s: %w", o.verb, err)
	}
	if missing != "" {
		drop(into, metric.Missing, missing)
		return nil
	}
	for _, row.Value = range o.values {
		if len(into.Rows) > maxReadings {
			return errMany
		}
		if err := s.add(into, row); err != nil {
			return err
		}
	}
	return nil
}
