package jq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/metric"
	agenttext "github.com/collectington/collectington/agent/text"
)

// item is one of the things that a walk visits, converted for jq when the first expression needs it.
type item struct {
	value
	at        int
	converted *any // nil = not yet
}

// forJQ is the item as jq takes it.
func (i *item) forJQ() any {
	if i.converted == nil {
		data := i.jq()
		i.converted = &data
	}
	return *i.converted
}

// compute makes the readings of one item.
func (s *source) compute(ctx context.Context, w *walkPlan, in *item) {
	for _, g := range w.groups {
		labels, problem := s.labels(ctx, g, in)
		if w.items != nil && in.isNull() {
			problem = &itemProblem{metric.Missing, "it is null"}
		}
		for _, r := range g.rules {
			m := &s.measured[r.at]
			if m.Err != nil {
				continue
			}
			row := metric.Reading{Labels: labels}
			p := problem
			if p == nil || p.reason == metric.Missing && r.Missing == Zero && !in.isNull() {
				p = s.reading(ctx, r.Metric, in, &row)
			}
			if p == nil && r.Time != nil {
				p = r.ownTime(ctx, &s.machine, in, s.window, &row)
			}
			if p == nil {
				m.Rows = append(m.Rows, row)
				continue
			}
			p.report(m, r.Missing, w.items, in.at)
		}
	}
}

// itemProblem is why an item gives no reading.
type itemProblem struct {
	reason metric.Reason
	text   string
}

// report counts the problem, or makes it the metric's where that is what missing: error asks for.
func (p *itemProblem) report(m *metric.Measured, missing Missing, items *Expr, at int) {
	text := func() string {
		if items == nil {
			return short(p.text)
		}
		return fmt.Sprintf("item %d of %s: %s", at, items, short(p.text))
	}
	if p.reason == metric.Missing && missing == Error {
		m.Err = errors.New(text())
		return
	}
	for i := range m.Drops {
		if m.Drops[i].Reason == p.reason {
			m.Drops[i].Count++
			return
		}
	}
	m.Drops = append(m.Drops, metric.Drop{Reason: p.reason, Count: 1, First: text()})
}

// maxText bounds a message, in bytes: an expression can put the whole document in one.
const maxText = 300

func short(s string) string { return agenttext.Cut(s, maxText) }

// labels are the values of a group's labels for an item. One that is missing is empty, and told as a problem.
func (s *source) labels(ctx context.Context, g *group, in *item) ([]string, *itemProblem) {
	from := len(s.arena)
	var missing *itemProblem
	for _, x := range g.labels {
		v, err := x.one(ctx, &s.machine, in)
		text, ok := "", true
		switch {
		case err != nil:
			return nil, &itemProblem{metric.Expression, fmt.Sprintf("label %s: %v", x, err)}
		case v.isNull():
			missing = &itemProblem{metric.Missing, fmt.Sprintf("label %s is missing", x)}
		default:
			text, ok = v.label()
		}
		switch {
		case !ok:
			return nil, &itemProblem{metric.NotLabel, fmt.Sprintf("label %s: want a text, got %s", x, v.preview())}
		case !utf8.ValidString(text):
			return nil, &itemProblem{metric.NotLabel, fmt.Sprintf("label %s is not UTF-8", x)}
		case len(text) > maxLabel:
			return nil, &itemProblem{metric.LabelTooBig, fmt.Sprintf("label %s has %d bytes, more than %d", x, len(text), maxLabel)}
		}
		s.arena = append(s.arena, text)
	}
	return s.arena[from:len(s.arena):len(s.arena)], missing
}

// reading fills in the event id and the value.
func (s *source) reading(ctx context.Context, r *Metric, in *item, row *metric.Reading) *itemProblem {
	if r.OnceBy != nil {
		v, err := r.OnceBy.one(ctx, &s.machine, in)
		if err != nil {
			return &itemProblem{metric.Expression, fmt.Sprintf("once_by %s: %v", r.OnceBy, err)}
		}
		id, ok := v.id()
		if v.isNull() || !ok || id == "" {
			return &itemProblem{metric.Missing, fmt.Sprintf("once_by %s is missing", r.OnceBy)}
		}
		row.Event = id
	}
	if r.Value == nil {
		row.Value = 1
		return nil
	}
	v, err := r.Value.one(ctx, &s.machine, in)
	switch {
	case err != nil:
		return &itemProblem{metric.Expression, fmt.Sprintf("value %s: %v", r.Value, err)}
	case v.isNull() && r.Missing == Zero:
		return nil
	case v.isNull():
		return &itemProblem{metric.Missing, fmt.Sprintf("value %s is missing", r.Value)}
	case r.Map != nil:
		return r.mapped(v, row)
	}
	number, ok := v.number()
	if !ok {
		return &itemProblem{metric.NotNumber, fmt.Sprintf("value %s: want a number, got %s", r.Value, strings.TrimSpace(v.preview()))}
	}
	row.Value = number
	return nil
}

// mapped looks a text up in the metric's map.
func (m *Metric) mapped(v value, row *metric.Reading) *itemProblem {
	text, ok := v.label()
	if number, known := m.Map[text]; ok && known {
		row.Value = float64(number)
		return nil
	}
	if m.Default.Drop {
		return &itemProblem{metric.Unmapped, fmt.Sprintf("value %s: map has no %s", m.Value, v.preview())}
	}
	row.Value = float64(m.Default.Value)
	return nil
}
