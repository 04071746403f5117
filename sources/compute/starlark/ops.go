package starlark

import (
	"errors"
	"fmt"
	"slices"

	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/metric"
)

// operation is what a function may return instead of a plain value: what is to be done with the number. It does nothing
// by itself, so a function that fails later has done nothing.
//
//	inc(n = 1, **labels)          a counter, from: increment: so much is new
//	set(n, **labels)              a gauge's value; a counter's total so far; time = its own time
//	observe(n or list, **labels)  of a histogram or summary
//	event(id, n = 1, **labels)    where once_by is set: an event, which counts once
type operation struct {
	verb   string
	id     string
	values []float64
	labels []starlark.Tuple // names, which are texts, and values
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
	for name, value := range o.entries {
		text += fmt.Sprintf(", %s = %s", string(name.(starlark.String)), preview(value, maxShown))
	}
	return text + ")"
}

func (o *operation) Type() string          { return "operation" }
func (o *operation) Truth() starlark.Bool  { return true }
func (o *operation) Hash() (uint32, error) { return 0, errors.New("unhashable type: operation") }

// Freeze implements starlark.Value.
func (o *operation) Freeze() {
	for _, value := range o.entries {
		value.Freeze()
	}
}

func (o *operation) entries(yield func(name, value starlark.Value) bool) {
	for _, kv := range o.labels {
		if !yield(kv[0], kv[1]) {
			return
		}
	}
}

// operationOf makes the built-in function of a verb.
func operationOf(verb string) *starlark.Builtin {
	return starlark.NewBuiltin(verb, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		o := &operation{verb: verb, labels: kwargs}
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
		named := func(kv starlark.Tuple) bool { return kv[0] == starlark.Value(starlark.String("value")) }
		if at := slices.IndexFunc(kwargs, named); at >= 0 && len(args) == 0 {
			args = starlark.Tuple{kwargs[at][1]}
			o.labels = slices.Delete(slices.Clone(kwargs), at, at+1)
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
	var err error
	if list, ok := args[0].(*starlark.List); ok && o.verb == "observe" {
		o.values, err = numbers(o.verb, list)
		return err
	}
	value, err := numberOf(args[0])
	if err != nil {
		return fmt.Errorf("%s: %w", o.verb, err)
	}
	o.values = []float64{value}
	return nil
}

// fits tells whether the metric takes the operation, and if not what does.
func (o *operation) fits(d *metric.Desc) error {
	counter, observes := d.Type == metric.Counter && !d.Once, d.Type == metric.Histogram || d.Type == metric.Summary
	var fits bool
	var goes string
	switch o.verb {
	case "inc":
		fits, goes = counter && d.From == metric.Increment, "a counter with from: increment"
	case "set":
		fits, goes = d.Type == metric.Gauge || counter && d.From == metric.Total, "a gauge or a counter from: total"
	case "observe":
		fits, goes = observes && !d.Once, "a histogram or summary whose observations count each time, not once by an id"
	case "event":
		fits, goes = d.Once, "once_by, or enable_once_metric(…)"
	}
	if !fits {
		return fmt.Errorf("%s goes with %s", o.verb, goes)
	}
	return nil
}

// takeOperation makes the readings of an operation, if it fits the metric.
func (s *source) takeOperation(m *measure, o *operation, into *metric.Measured) error {
	if err := o.fits(m.desc); err != nil {
		return err
	}
	own, labels, err := o.ownTime(m.desc)
	if err != nil {
		return fmt.Errorf("%s: %w", o.verb, err)
	}
	if own != nil {
		o = &operation{verb: o.verb, values: o.values, labels: labels}
	}
	c, err := s.sortOut(m, o.entries)
	if err != nil {
		return fmt.Errorf("%s: %w", o.verb, err)
	}
	if c.others > 0 || c.id != nil {
		names := slices.DeleteFunc(slices.Clone(o.labels), func(kv starlark.Tuple) bool {
			return slices.Contains(m.desc.LabelNames, string(kv[0].(starlark.String)))
		})
		return fmt.Errorf("%s: %s is none of the metric's labels", o.verb, string(names[0][0].(starlark.String)))
	}
	row := metric.Reading{Event: o.id}
	missing, err := s.labels(m, c, &row)
	if err != nil {
		return fmt.Errorf("%s: %w", o.verb, err)
	}
	if own == starlark.None {
		missing = "its time is None"
	}
	if missing != "" {
		into.Drop(metric.Missing, missing)
		return nil
	}
	if own != nil {
		if row.Time, err = milli(own); err != nil {
			into.Drop(metric.NotTime, fmt.Sprintf("time: %v", err))
			return nil
		}
	}
	for _, row.Value = range o.values {
		if err := add(into, row); err != nil {
			return err
		}
	}
	return nil
}
