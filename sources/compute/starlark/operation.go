package starlark

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources/compute/starlark/sandbox"
)

// operation is a value that a metric's function can return in place of a number or dict. Creating it has no effect: if the function
// fails later, nothing was counted.
//
//	inc(n = 1, **labels)          counter or gauge with from: increment: an increment
//	set(n, **labels)              gauge, or counter with from: total: the value; time = sets its timestamp
//	observe(n or list, **labels)  histogram or summary: observations
//	event(id, n = 1, **labels)    metric with once_by: an event, which is counted once for each id
type operation struct {
	name   string
	id     string // event ID, only of event
	values []float64
	labels []starlark.Tuple // pairs of a label name and its value
}

func (o *operation) String() string {
	text := fmt.Sprintf("%s(", o.name)
	if o.id != "" {
		text += fmt.Sprintf("%q, ", o.id)
	}
	if len(o.values) == 1 {
		text += fmt.Sprint(o.values[0])
	} else {
		text += fmt.Sprintf("%d values", len(o.values))
	}
	for name, value := range o.entries {
		text += fmt.Sprintf(", %s = %s", string(name.(starlark.String)), sandbox.Preview(value, maxShown))
	}
	return text + ")"
}

func (o *operation) Type() string          { return "operation" }
func (o *operation) Truth() starlark.Bool  { return true }
func (o *operation) Hash() (uint32, error) { return 0, errors.New("unhashable type: operation") }

// Freeze freezes the values of the labels.
func (o *operation) Freeze() {
	for _, value := range o.entries {
		value.Freeze()
	}
}

// entries yields the names and values of the labels.
func (o *operation) entries(yield func(name, value starlark.Value) bool) {
	for _, kv := range o.labels {
		if !yield(kv[0], kv[1]) {
			return
		}
	}
}

// operationOf returns the built-in function that creates operations with this name.
func operationOf(operator string) *starlark.Builtin {
	return starlark.NewBuiltin(operator, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		o := &operation{name: operator, labels: kwargs}
		if operator == "event" {
			if len(args) == 0 {
				return nil, errors.New("event: want an id: event(id, value = 1, **labels)")
			}
			id, ok := labelText(args[0])
			if !ok || id == "" {
				return nil, fmt.Errorf("event: want a string or number as id, got %s", describe(args[0]))
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

// take sets the values of the operation from the arguments.
func (o *operation) take(args starlark.Tuple) error {
	switch {
	case len(args) > 1:
		return fmt.Errorf("%s: want one value, and labels by name, such as %s(1, team = \"a\")", o.name, o.name)
	case len(args) == 0 && (o.name == "inc" || o.name == "event"):
		o.values = []float64{1}
		return nil
	case len(args) == 0:
		return fmt.Errorf("%s: want a value, such as %s(1)", o.name, o.name)
	}
	var err error
	if list, ok := args[0].(*starlark.List); ok && o.name == "observe" {
		o.values, err = numbers(o.name, list)
		return err
	}
	value, err := numberOf(args[0])
	if err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	o.values = []float64{value}
	return nil
}

// checkFits returns an error if the operation is not allowed for the metric.
func (o *operation) checkFits(d *metric.Desc) error {
	counter, observes := d.Type == metric.Counter && !d.Once, d.Type == metric.Histogram || d.Type == metric.Summary
	var fits bool
	var valid string
	switch o.name {
	case "inc":
		fits = d.From == metric.Increment
		valid = "a counter or gauge with from: increment, or enable_increment_metric(f) in the script"
	case "set":
		fits, valid = d.Type == metric.Gauge && d.From == metric.Total || counter && d.From == metric.Total, "a gauge or a counter from: total"
	case "observe":
		fits, valid = observes && !d.Once, "a histogram or summary without once_by: use event(id, …)"
	case "event":
		fits, valid = d.Once, "a metric with once_by or enable_once_metric"
	}
	if !fits {
		return fmt.Errorf("%s is only valid for %s", o.name, valid)
	}
	return nil
}

// timeName is an argument of set(…): the reading's own timestamp. If the metric has a label with this name, the argument is the value of
// the label instead.
const timeName = "time"

// ownTime separates the reading's own timestamp from the labels. The result "own" is nil if there is no timestamp.
func (o *operation) ownTime(d *metric.Desc) (own starlark.Value, labels []starlark.Tuple, err error) {
	at := slices.IndexFunc(o.labels, func(kv starlark.Tuple) bool { return kv[0] == starlark.Value(starlark.String(timeName)) })
	if at < 0 || o.name != "set" || slices.Contains(d.LabelNames, timeName) {
		return nil, o.labels, nil
	}
	if d.Delta || d.Accumulates() {
		return nil, nil, errors.New("time is only valid for a gauge without delta, or a counter with from: total")
	}
	return o.labels[at][1], slices.Delete(slices.Clone(o.labels), at, at+1), nil
}

// maxTime is the end of the year 9999, in Unix milliseconds.
const maxTime = 253402300799999

// unixMilli converts a time, or a number of Unix seconds, to Unix milliseconds.
func unixMilli(v starlark.Value) (int64, error) {
	var at float64
	switch t := v.(type) {
	case startime.Time:
		at = float64(time.Time(t).UnixMilli())
	case starlark.Int, starlark.Float:
		seconds, err := numberOf(v)
		if err != nil {
			return 0, err
		}
		at = seconds * 1000
	default:
		return 0, fmt.Errorf("want a time, such as time.rfc3339(text), or Unix seconds, got %s", describe(v))
	}
	if !(at >= 1 && at <= maxTime) {
		return 0, fmt.Errorf("%s is not a time between 1970 and 9999", sandbox.Preview(v, maxShown))
	}
	return int64(math.Round(at)), nil
}
