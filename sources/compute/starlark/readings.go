package starlark

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources/compute/starlark/sandbox"
)

// The limits for the result of one call.
const (
	maxReadings = 2_000_000
	maxLabel    = 4096 // length of a label value in bytes
)

var errReadings = fmt.Errorf("returned more than %d readings: add some of them up", maxReadings)

// readingBuilder makes readings from the results of a tick's functions.
type readingBuilder struct {
	labels []string // label values of all readings of the tick, in one slice that is reused
	cells  cells    // parts of the current reading
}

// reset discards all readings.
func (b *readingBuilder) reset() { b.labels = b.labels[:0] }

// take adds the readings that are in the result of a metric's function:
//
//	None                      the metric could not be measured
//	5, 1.5, a duration, True  one reading without labels
//	{"team": "a", "n": 5}     every label, and one more key with the value
//	inc(5, team = "a")        an operation
//	[…]                       dicts or operations; for a histogram or summary without labels also numbers
func (b *readingBuilder) take(f *metricFunc, v starlark.Value, into *metric.Measured) error {
	switch x := v.(type) {
	case *starlark.List, starlark.Tuple:
		i := 0
		for item := range starlark.Elements(x.(starlark.Iterable)) {
			if err := b.takeOne(f, item, true, into); err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
			i++
		}
		return nil
	}
	return b.takeOne(f, v, false, into)
}

func (b *readingBuilder) takeOne(f *metricFunc, v starlark.Value, listed bool, into *metric.Measured) error {
	switch x := v.(type) {
	case starlark.NoneType:
		into.Drop(metric.Missing, f.fn.Name()+" returned None; return [] if there is nothing to measure")
		return nil
	case *object:
		return b.takeDict(f, x.Dict(), into)
	case *starlark.Dict:
		return b.takeDict(f, x, into)
	case *operation:
		return b.takeOperation(f, x, into)
	}
	observes := f.desc.Type == metric.Histogram || f.desc.Type == metric.Summary
	value, err := numberOf(v)
	switch {
	case errors.Is(err, errNotFinite):
		return err
	case err != nil:
		return fmt.Errorf("want %s, got %s", f.wanted(), describe(v))
	case len(f.desc.LabelNames) > 0 || f.desc.Once:
		return fmt.Errorf("want %s, got the number %s", f.wanted(), v)
	case listed && !observes:
		return errors.New("want one number, got a list of numbers")
	}
	return add(into, metric.Reading{Value: value})
}

// wanted describes what the function must return.
func (f *metricFunc) wanted() string {
	keys := slices.Clone(f.desc.LabelNames)
	switch {
	case f.desc.Once && f.onceBy == "":
		return "event(id, …), alone or in a list"
	case f.onceBy != "":
		keys = append(keys, f.onceBy)
	case len(keys) == 0:
		return "a number"
	}
	return "a list of dicts with " + strings.Join(keys, ", ") + " and one more key for the value"
}

// takeDict adds the reading in a dict. The dict must have every label, the event ID if the metric has one, and exactly one other
// key, which has the value. For a counter that counts events, the value may be omitted and is then 1.
func (b *readingBuilder) takeDict(f *metricFunc, d *starlark.Dict, into *metric.Measured) error {
	if f.desc.Once && f.onceBy == "" {
		return fmt.Errorf("want %s, got a dict", f.wanted())
	}
	c, err := b.sort(f, d.Entries())
	if err != nil {
		return err
	}
	row := metric.Reading{}
	if err := b.labelValues(f, c, &row); err != nil {
		return err
	}
	missing := ""
	if f.onceBy != "" {
		if c.id == nil {
			return fmt.Errorf("the key %q, the event id of once_by, is missing", f.onceBy)
		}
		text, ok := labelText(c.id)
		switch {
		case c.id == starlark.None || ok && text == "":
			missing = f.onceBy + " is missing"
		case !ok:
			return fmt.Errorf("%s: want a string or number, got %s", f.onceBy, describe(c.id))
		}
		row.Event = text
	}
	switch {
	case c.others == 0 && f.onceBy != "" && f.desc.Type == metric.Counter:
		c.number = starlark.MakeInt(1)
	case c.others == 0:
		return errors.New("has no key for the value besides the labels")
	case c.others > 1 && len(f.desc.LabelNames) == 0 && f.onceBy == "":
		return fmt.Errorf("want %s, got a dict with %s", f.wanted(), f.otherKeys(d.Entries()))
	case c.others > 1:
		return fmt.Errorf("has more than one key besides the labels: %s: want one, the value; add the others to labels", f.otherKeys(d.Entries()))
	}
	if c.number == starlark.None {
		missing = "the value is None"
	}
	if missing != "" {
		into.Drop(metric.Missing, missing)
		return nil
	}
	if row.Value, err = numberOf(c.number); err != nil {
		return fmt.Errorf("%s: %w", f.otherKeys(d.Entries()), err)
	}
	return add(into, row)
}

// takeOperation adds the readings of an operation.
func (b *readingBuilder) takeOperation(f *metricFunc, o *operation, into *metric.Measured) error {
	if err := o.checkFits(f.desc); err != nil {
		return err
	}
	own, labels, err := o.ownTime(f.desc)
	if err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	if own != nil {
		o = &operation{name: o.name, values: o.values, labels: labels}
	}
	c, err := b.sort(f, o.entries)
	if err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	if c.others > 0 || c.id != nil {
		names := slices.DeleteFunc(slices.Clone(o.labels), func(kv starlark.Tuple) bool {
			return slices.Contains(f.desc.LabelNames, string(kv[0].(starlark.String)))
		})
		return fmt.Errorf("%s: the metric has no label %s", o.name, string(names[0][0].(starlark.String)))
	}
	row := metric.Reading{Event: o.id}
	if err := b.labelValues(f, c, &row); err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	if own == starlark.None {
		into.Drop(metric.Missing, "its time is None")
		return nil
	}
	if own != nil {
		if row.Time, err = unixMilli(own); err != nil {
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

// cells holds the parts of one dict or operation.
type cells struct {
	labels []starlark.Value // label values in the order of the metric's labels; nil if missing
	id     starlark.Value   // value of the key that once_by names; nil if missing
	number starlark.Value   // value of the last key that is neither a label nor the event ID
	others int              // number of keys that are neither labels nor the event ID
}

// sort assigns the entries of a dict or operation to cells. The result is valid until the next call.
func (b *readingBuilder) sort(f *metricFunc, entries iter.Seq2[starlark.Value, starlark.Value]) (*cells, error) {
	c := &b.cells
	*c = cells{labels: append(c.labels[:0], make([]starlark.Value, len(f.desc.LabelNames))...)}
	for key, value := range entries {
		name, isText := key.(starlark.String)
		at := slices.Index(f.desc.LabelNames, string(name))
		switch {
		case isText && at >= 0 && c.labels[at] != nil:
			return nil, fmt.Errorf("the label %q is set twice", string(name))
		case isText && at >= 0:
			c.labels[at] = value
		case isText && f.onceBy != "" && string(name) == f.onceBy:
			c.id = value
		default:
			c.number = value
			c.others++
		}
	}
	return c, nil
}

// labelValues sets the label values of a reading. If a label is None, the reading does not have the label. If the key of a label is
// missing, that is an error.
func (b *readingBuilder) labelValues(f *metricFunc, c *cells, row *metric.Reading) error {
	from := len(b.labels)
	for i, name := range f.desc.LabelNames {
		v := c.labels[i]
		if v == nil {
			return fmt.Errorf("the label %q is missing", name)
		}
		text, ok := labelText(v)
		if v == starlark.None {
			text, ok = "", true
		}
		if !ok {
			return fmt.Errorf("label %s: want a string, got %s", name, describe(v))
		}
		b.labels = append(b.labels, text)
	}
	row.Labels = b.labels[from:len(b.labels):len(b.labels)]
	return nil
}

// otherKeys returns up to five keys that are neither labels nor the event ID. It is for messages.
func (f *metricFunc) otherKeys(entries iter.Seq2[starlark.Value, starlark.Value]) string {
	var all []string
	for key := range entries {
		text, ok := starlark.AsString(key)
		if !ok {
			text = sandbox.Preview(key, maxShown)
		}
		if ok && (text == f.onceBy || slices.Contains(f.desc.LabelNames, text)) {
			continue
		}
		if len(all) == 5 {
			return strings.Join(all, ", ") + ", …"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// add adds a reading. If a label value is invalid, it drops the reading.
func add(into *metric.Measured, row metric.Reading) error {
	if len(into.Rows) >= maxReadings {
		return errReadings
	}
	for _, text := range row.Labels {
		switch {
		case len(text) > maxLabel:
			into.Drop(metric.LabelTooBig, fmt.Sprintf("a label value has %d bytes, more than %d", len(text), maxLabel))
			return nil
		case !utf8.ValidString(text):
			into.Drop(metric.NotLabel, "a label value is not UTF-8")
			return nil
		}
	}
	into.Rows = append(into.Rows, row)
	return nil
}
