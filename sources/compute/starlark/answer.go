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
)

// Bounds on what one call can return for one metric.
const (
	maxReadings = 2_000_000
	maxLabel    = 4096 // bytes of a label's value
)

var errMany = fmt.Errorf("returned more than %d readings", maxReadings)

// take turns what a metric's function has returned into readings:
//
//	None                         nothing was measured
//	5, 1.5, a duration, True     one reading, without labels
//	{"team": "a", "n": 5}        every label, and under one more key the number
//	inc(5, team = "a")           an operation, see ops.go
//	[…]                          several dicts or operations; of a histogram or summary without labels, numbers too
func (s *source) take(m *measure, v starlark.Value, into *metric.Measured) error {
	switch x := v.(type) {
	case *starlark.List, starlark.Tuple:
		i := 0
		for item := range starlark.Elements(x.(starlark.Iterable)) {
			if err := s.takeOne(m, item, true, into); err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
			i++
		}
		return nil
	}
	return s.takeOne(m, v, false, into)
}

func (s *source) takeOne(m *measure, v starlark.Value, listed bool, into *metric.Measured) error {
	switch x := v.(type) {
	case starlark.NoneType:
		into.Drop(metric.Missing, m.call.Name()+" returned None")
		return nil
	case *object:
		return s.takeDict(m, x.dict(), into)
	case *starlark.Dict:
		return s.takeDict(m, x, into)
	case *operation:
		return s.takeOperation(m, x, into)
	}
	observes := m.desc.Type == metric.Histogram || m.desc.Type == metric.Summary
	value, err := numberOf(v)
	switch {
	case errors.Is(err, errNotFinite):
		return err
	case err != nil:
		return fmt.Errorf("want %s, got %s", m.wanted(), describe(v))
	case len(m.desc.LabelNames) > 0 || m.desc.Once || listed && !observes:
		return fmt.Errorf("want %s, got the number %s alone", m.wanted(), v)
	}
	return add(into, metric.Reading{Value: value})
}

// wanted says what a metric's function is to return.
func (m *measure) wanted() string {
	keys := slices.Clone(m.desc.LabelNames)
	switch {
	case m.desc.Once && m.onceBy == "":
		return "event(id, …), alone or in a list"
	case m.onceBy != "":
		keys = append(keys, m.onceBy)
	case len(keys) == 0:
		return "a number"
	}
	return "a list of dicts with " + strings.Join(keys, ", ") + " and one more key for the number"
}

// takeDict takes every label, the event's id where the metric has one, and the number under the one key that is left. An
// event of a counter may leave the number out: it is one.
func (s *source) takeDict(m *measure, d *starlark.Dict, into *metric.Measured) error {
	if m.desc.Once && m.onceBy == "" {
		return fmt.Errorf("want %s, got a dict", m.wanted())
	}
	c, err := s.sortOut(m, d.Entries())
	if err != nil {
		return err
	}
	row := metric.Reading{}
	missing, err := s.labels(m, c, &row)
	if err != nil {
		return err
	}
	if m.onceBy != "" {
		if c.id == nil {
			return fmt.Errorf("the key %q is missing, which once_by names", m.onceBy)
		}
		text, ok := labelText(c.id)
		switch {
		case c.id == starlark.None || ok && text == "":
			missing = m.onceBy + " is missing"
		case !ok:
			return fmt.Errorf("%s: want a text or number, got %s", m.onceBy, describe(c.id))
		}
		row.Event = text
	}
	switch {
	case c.others == 0 && m.onceBy != "" && m.desc.Type == metric.Counter:
		c.number = starlark.MakeInt(1)
	case c.others == 0:
		return errors.New("has no key for the number, only labels")
	case c.others > 1 && len(m.desc.LabelNames) == 0 && m.onceBy == "":
		return fmt.Errorf("want %s, got a dict with %s", m.wanted(), m.others(d.Entries()))
	case c.others > 1:
		return fmt.Errorf("has more keys than labels and one for the number: %s", m.others(d.Entries()))
	}
	if c.number == starlark.None {
		missing = "the number is None"
	}
	if missing != "" {
		into.Drop(metric.Missing, missing)
		return nil
	}
	if row.Value, err = numberOf(c.number); err != nil {
		return fmt.Errorf("%s: %w", m.others(d.Entries()), err)
	}
	return add(into, row)
}

// cells are what a dict or an operation says of one reading, by what the metric calls it.
type cells struct {
	labels []starlark.Value // in the metric's order; nil = not there
	id     starlark.Value   // under the key that once_by names; nil = not there
	number starlark.Value   // under the last of the other keys
	others int              // how many keys are neither labels nor the id
}

// sortOut sorts keys and values. What it returns is valid until the next call.
func (s *source) sortOut(m *measure, entries iter.Seq2[starlark.Value, starlark.Value]) (*cells, error) {
	c := &s.cells
	*c = cells{labels: append(c.labels[:0], make([]starlark.Value, len(m.desc.LabelNames))...)}
	for key, value := range entries {
		name, isText := key.(starlark.String)
		at := slices.Index(m.desc.LabelNames, string(name))
		switch {
		case isText && at >= 0 && c.labels[at] != nil:
			return nil, fmt.Errorf("the label %q is there twice", string(name))
		case isText && at >= 0:
			c.labels[at] = value
		case isText && m.onceBy != "" && string(name) == m.onceBy:
			c.id = value
		default:
			c.number = value
			c.others++
		}
	}
	return c, nil
}

// labels fills in the label values. What is None is told as missing; a key that is not there is an error.
func (s *source) labels(m *measure, c *cells, row *metric.Reading) (missing string, err error) {
	from := len(s.arena)
	for i, name := range m.desc.LabelNames {
		v := c.labels[i]
		if v == nil {
			return "", fmt.Errorf("the label %q is missing", name)
		}
		text, ok := labelText(v)
		if v == starlark.None {
			missing, ok = "label "+name+" is None", true
		}
		if !ok {
			return "", fmt.Errorf("label %s: want a text, got %s", name, describe(v))
		}
		s.arena = append(s.arena, text)
	}
	row.Labels = s.arena[from:len(s.arena):len(s.arena)]
	return missing, nil
}

// others names a few of the keys that are neither labels nor the event's id, for messages.
func (m *measure) others(entries iter.Seq2[starlark.Value, starlark.Value]) string {
	var all []string
	for key := range entries {
		text, ok := starlark.AsString(key)
		if !ok {
			text = preview(key, maxShown)
		}
		if ok && (text == m.onceBy || slices.Contains(m.desc.LabelNames, text)) {
			continue
		}
		if len(all) == 5 {
			return strings.Join(all, ", ") + ", …"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// add adds a reading, unless there are too many or a label cannot stand.
func add(into *metric.Measured, row metric.Reading) error {
	if len(into.Rows) >= maxReadings {
		return errMany
	}
	for _, text := range row.Labels {
		switch {
		case len(text) > maxLabel:
			into.Drop(metric.LabelTooBig, fmt.Sprintf("a label's value has %d bytes, more than %d", len(text), maxLabel))
			return nil
		case !utf8.ValidString(text):
			into.Drop(metric.NotLabel, "a label's value is not UTF-8")
			return nil
		}
	}
	into.Rows = append(into.Rows, row)
	return nil
}
