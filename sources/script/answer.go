package script

import (
	"errors"
	"fmt"
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
			if len(into.Rows) > maxReadings {
				return errMany
			}
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
		drop(into, metric.Missing, m.call.Name()+" returned None")
		return nil
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
	case len(m.desc.LabelNames) > 0 || m.onceBy != "" || listed && !observes:
		return fmt.Errorf("want %s, got the number %s alone", m.wanted(), v)
	}
	into.Rows = append(into.Rows, metric.Reading{Value: value})
	return nil
}

// wanted says what a metric's function is to return.
func (m *measure) wanted() string {
	keys := slices.Clone(m.desc.LabelNames)
	if m.onceBy != "" {
		keys = append(keys, m.onceBy)
	}
	if len(keys) == 0 {
		return "a number"
	}
	return "a list of dicts with " + strings.Join(keys, ", ") + " and one more key for the number"
}

// takeDict takes every label, the event's id where the metric has one, and the number under the one key that is left. An
// event of a counter may leave the number out: it is one.
func (s *source) takeDict(m *measure, d *starlark.Dict, into *metric.Measured) error {
	row := metric.Reading{}
	known := len(m.desc.LabelNames)
	missing, err := s.labels(m, d, &row)
	if err != nil {
		return err
	}
	if m.onceBy != "" {
		known++
		id, found, _ := d.Get(starlark.String(m.onceBy))
		if !found {
			return fmt.Errorf("the key %q is missing, which once_by names", m.onceBy)
		}
		text, ok := labelText(id)
		switch {
		case id == starlark.None || ok && text == "":
			missing = m.onceBy + " is missing"
		case !ok:
			return fmt.Errorf("%s: want a text or number, got %s", m.onceBy, describe(id))
		}
		row.Event = text
	}
	var value starlark.Value
	switch extra := d.Len() - known; {
	case extra == 0 && m.onceBy != "" && m.desc.Type == metric.Counter:
		value = starlark.MakeInt(1)
	case extra == 0:
		return errors.New("has no key for the number, only labels")
	case extra > 1:
		return fmt.Errorf("has more keys than labels and one for the number: %s", strings.Join(m.extra(d), ", "))
	default:
		value = m.number(d)
	}
	if value == starlark.None {
		missing = "the number is None"
	}
	if missing != "" {
		drop(into, metric.Missing, missing)
		return nil
	}
	if row.Value, err = numberOf(value); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(m.extra(d), ""), err)
	}
	return s.add(into, row)
}

// labels fills in the label values from a dict. What is missing is told; a key that is not there is an error.
func (s *source) labels(m *measure, d *starlark.Dict, row *metric.Reading) (missing string, err error) {
	from := len(s.arena)
	for _, name := range m.desc.LabelNames {
		v, found, _ := d.Get(starlark.String(name))
		if !found {
			return "", fmt.Errorf("the label %q is missing", name)
		}
		text, ok := "", true
		if v == starlark.None {
			missing = "label " + name + " is None"
		} else {
			text, ok = labelText(v)
		}
		if !ok {
			return "", fmt.Errorf("label %s: want a text, got %s", name, describe(v))
		}
		s.arena = append(s.arena, text)
	}
	row.Labels = s.arena[from:len(s.arena):len(s.arena)]
	return missing, nil
}

// number is the value under the key that is neither a label nor the event's id.
func (m *measure) number(d *starlark.Dict) starlark.Value {
	for key, value := range d.Entries() {
		if !m.names(key) {
			return value
		}
	}
	return starlark.None
}

func (m *measure) names(key starlark.Value) bool {
	text, ok := key.(starlark.String)
	return ok && (string(text) == m.onceBy && m.onceBy != "" || slices.Contains(m.desc.LabelNames, string(text)))
}

// extra are the keys that are neither labels nor the event's id, a few of them, for messages.
func (m *measure) extra(d *starlark.Dict) []string {
	var all []string
	for _, key := range d.Keys() {
		if !m.names(key) && len(all) < 5 {
			text, _ := starlark.AsString(key)
			all = append(all, oneLine(text))
		}
	}
	return all
}

// add adds a reading, unless a label cannot stand.
func (s *source) add(into *metric.Measured, row metric.Reading) error {
	for _, text := range row.Labels {
		switch {
		case len(text) > maxLabel:
			drop(into, metric.LabelTooBig, fmt.Sprintf("a label's value has %d bytes, more than %d", len(text), maxLabel))
			return nil
		case !utf8.ValidString(text):
			drop(into, metric.NotLabel, "a label's value is not UTF-8")
			return nil
		}
	}
	into.Rows = append(into.Rows, row)
	return nil
}

func drop(m *metric.Measured, reason metric.Reason, first string) {
	for i := range m.Drops {
		if m.Drops[i].Reason == reason {
			m.Drops[i].Count++
			return
		}
	}
	m.Drops = append(m.Drops, metric.Drop{Reason: reason, Count: 1, First: first})
}
