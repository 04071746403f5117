package sources

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
)

// Metrics declares the metrics that code computes, by name. The settings say what each metric means, and the code computes the
// readings.
type Metrics map[string]*Metric

// Metric is the declaration of one metric.
type Metric struct {
	Declaration `yaml:",inline"`

	Labels []string `yaml:"labels"`
	OnceBy string   `yaml:"once_by"` // the name of the event ID; "" = readings have no event IDs
}

// Validate reports every problem. Each problem names its setting under "metrics".
func (all Metrics) Validate() error {
	if len(all) == 0 {
		return setting.Errorf("metrics", "is empty: declare at least one metric, by its name")
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		if m == nil {
			errs = append(errs, setting.Errorf("metrics."+name, "needs at least a type, such as {type: gauge}"))
			continue
		}
		if err := m.validate(name); err != nil {
			errs = append(errs, setting.Under("metrics."+name, err))
		}
	}
	return errors.Join(errs...)
}

func (m *Metric) validate(name string) error {
	var errs []error
	for i, label := range m.Labels {
		switch {
		case slices.Contains(m.Labels[:i], label):
			errs = append(errs, setting.Errorf(fmt.Sprintf("labels.%d", i), "%s is listed twice: remove one", label))
		case label == m.OnceBy:
			errs = append(errs, setting.Errorf("once_by", "%s is in labels too, where each event would make a series: remove it from labels", label))
		}
	}
	return errors.Join(append(errs, m.Declaration.Validate(name, m.Labels, m.OnceBy != ""))...)
}

// Descs returns the descriptions of the metrics for the ledger, sorted by name. It may be called before Validate: entries without
// settings, which Validate refuses, are left out.
func (all Metrics) Descs() []*metric.Desc {
	var descs []*metric.Desc
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if m := all[name]; m != nil {
			descs = append(descs, m.Desc(name))
		}
	}
	return descs
}

// AddLabels adds constant labels to each metric that has no labels of the same names.
func (all Metrics) AddLabels(labels map[string]string) {
	for _, m := range all {
		m.Declaration.AddLabels(labels, m.Labels)
	}
}

// Desc returns the description of one metric for the ledger.
func (m *Metric) Desc(name string) *metric.Desc {
	return m.Declaration.Desc(name, m.Labels, m.OnceBy != "")
}

// EnableDelta declares that code measures a running total, and the metric is the change of the total. If the metric does not allow this,
// EnableDelta returns an error that names the kinds of metrics that allow it.
func EnableDelta(d *metric.Desc) error {
	switch {
	case d.Type == metric.Counter && !d.Once && d.From != metric.Events:
		d.From = metric.Total // the ledger adds the increases of the total
	case d.Type == metric.Gauge && d.From == metric.Total, d.Observes() && !d.Once:
		d.Delta = true
	default:
		return errors.New("a gauge or a counter of totals, or a histogram or summary without once_by")
	}
	return nil
}

// EnableIncrement declares that code measures changes, and the metric is the sum of the changes. If the metric does not allow this,
// EnableIncrement returns an error that names the kinds of metrics that allow it.
func EnableIncrement(d *metric.Desc) error {
	switch {
	case d.Type == metric.Gauge && !d.Delta, d.Type == metric.Counter && !d.Once && d.From != metric.Events:
		d.From = metric.Increment
	default:
		return errors.New("a gauge without delta, or a counter without events")
	}
	return nil
}

// EnableOnce declares that code measures events with IDs, and each event is counted once. If the metric does not allow this, EnableOnce
// returns an error that names the kinds of metrics that allow it.
func EnableOnce(d *metric.Desc) error {
	if d.Type == metric.Gauge {
		return errors.New("a counter, a histogram or a summary")
	}
	if d.Once = true; d.Type == metric.Counter {
		d.From = metric.Events
	}
	return nil
}
