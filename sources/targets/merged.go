package targets

import (
	"errors"
	"fmt"
	"slices"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// merged has the readings of one metric from all targets.
type merged struct {
	metric.Measured
	of       *metric.Desc          // the description without the labels of targets
	same     map[*metric.Desc]bool // descriptions of workers that were found to be equal to the description in the field "of"
	measured int                   // number of targets that gave readings of the metric or an error
	failed   int                   // number of targets that gave an error
	lost     int                   // number of targets that gave an error and no Drops; the method "end" adds a Drop for them
	first    error                 // the first error
}

func newMerged(d *metric.Desc) *merged {
	return &merged{Measured: metric.Measured{Desc: Describe(d)}, of: d, same: map[*metric.Desc]bool{d: true}}
}

// begin removes the readings of the previous tick.
func (m *merged) begin() {
	m.Measured = metric.Measured{Desc: m.Desc, Rows: m.Rows[:0], Answers: m.Answers[:0]}
	m.measured, m.failed, m.lost, m.first = 0, 0, 0, nil
}

// add adds the readings of a target. It returns an error if the readings cannot be used.
func (m *merged) add(t *sources.Target, one *metric.Measured) error {
	m.measured++
	err := one.Err
	switch {
	case err != nil:
	case one.Series != nil:
		err = errors.New("series that are passed on unchanged cannot get the labels of targets: write a job for each target")
	case !m.isSame(one.Desc):
		err = errors.New("its type or labels differ from those that the metric has for another target")
	}
	for _, w := range one.Warnings {
		if !slices.Contains(m.Warnings, w) {
			m.Warnings = append(m.Warnings, w)
		}
	}
	for _, d := range one.Drops {
		m.drop(t, d)
	}
	if err != nil {
		if m.failed++; m.first == nil {
			m.first = fmt.Errorf("%s: %w", t.Name, err)
		}
		if len(one.Drops) == 0 {
			m.lost++
		}
		return err
	}
	if m.of.IsZeroWhenEmpty() && m.of.OnDuplicate == metric.DuplicateCount {
		for i := range one.Rows {
			if v := one.Rows[i].Value; v-v == 0 {
				one.Rows[i].Value = 1
			}
		}
	}
	m.Rows = append(m.Rows, one.Rows...)
	m.Elsewhere += one.Elsewhere
	known := len(m.Rows) - len(one.Rows)
	if m.of.IsZeroWhenEmpty() && one.IsEmpty() {
		m.Rows = append(m.Rows, metric.Reading{Labels: []string{metric.PackLabels(t.Labels)}})
	}
	m.Answers = append(m.Answers, one.Answers...)
	for _, a := range one.Answers {
		known += a.Rows
	}
	if rest := len(m.Rows) - known; rest > 0 && m.of.Accumulates() { // rows without an answer
		m.Answers = append(m.Answers, metric.Answer{Rows: rest})
	}
	return nil
}

// drop adds a count of readings that a target has left out.
func (m *merged) drop(t *sources.Target, d metric.Drop) {
	for i := range m.Drops {
		if m.Drops[i].Reason == d.Reason {
			m.Drops[i].Count += d.Count
			return
		}
	}
	d.First = t.Name + ": " + d.First
	m.Drops = append(m.Drops, d)
}

// isSame reports whether a worker's description of the metric has the same type and labels as m.of.
func (m *merged) isSame(d *metric.Desc) bool {
	if m.same[d] {
		return true
	}
	same := d.Type == m.of.Type && d.From == m.of.From && slices.Equal(d.LabelNames, m.of.LabelNames) && slices.Equal(d.Const, m.of.Const)
	if same && len(m.same) < MaxWorkers {
		m.same[d] = true
	}
	return same
}

// end sets Err if all targets failed, and otherwise adds a Drop for the targets that failed.
func (m *merged) end() {
	switch {
	case m.failed > 0 && m.failed == m.measured:
		m.Err = m.first
	case m.lost > 0:
		m.Drops = append(m.Drops, metric.Drop{Reason: metric.Failed, Count: m.lost, First: m.first.Error()})
	}
}

// declares reports whether the metric itself, without the labels of targets, has a label of this name.
func (m *merged) declares(name string) bool {
	return slices.Contains(m.of.LabelNames, name) || slices.ContainsFunc(m.of.Const, func(l metric.Label) bool { return l.Name == name })
}

// mayHave reports whether the series themselves can have a label of this name, besides the label that their target adds.
func (m *merged) mayHave(name string) bool { return m.declares(name) || m.declares(metric.MoreLabels) }
