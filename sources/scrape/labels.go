package scrape

import (
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/metric"
)

// relabelled are a series' labels with those of the target and after the rules. A label that the target has too becomes
// exported_NAME, or wins where honor_labels is set.
func (r *reader) relabelled(scraped labels.Labels) (final labels.Labels, keep bool) {
	b := r.builder
	b.Reset(scraped)
	r.t.labels.Range(func(l labels.Label) {
		has := scraped.Get(l.Name)
		if has != "" && r.set.HonorLabels {
			return
		}
		b.Set(l.Name, l.Value)
		if has == "" {
			return
		}
		name := model.ExportedLabelPrefix + l.Name
		for b.Get(name) != "" {
			name = model.ExportedLabelPrefix + name
		}
		b.Set(name, has)
	})
	if !relabel.ProcessBuilder(b, r.rules...) || b.Get(model.MetricNameLabel) == "" {
		return labels.EmptyLabels(), false
	}
	return b.Labels(), true
}

// withinLimits counts labels as Prometheus does, with the metric's name among them.
func (r *reader) withinLimits(all labels.Labels) (err error) {
	c, name := r.set, printable(all.Get(model.MetricNameLabel))
	if c.LabelLimit > 0 && all.Len() > c.LabelLimit {
		return fmt.Errorf("a series of %s has %d labels, more than label_limit (%d)", name, all.Len(), c.LabelLimit)
	}
	if c.LabelNameLengthLimit <= 0 && c.LabelValueLengthLimit <= 0 {
		return nil
	}
	return all.Validate(func(l labels.Label) error {
		switch {
		case c.LabelNameLengthLimit > 0 && len(l.Name) > c.LabelNameLengthLimit:
			return fmt.Errorf("a label's name of %s is longer than label_name_length_limit (%d): %s", name, c.LabelNameLengthLimit, printable(l.Name))
		case c.LabelValueLengthLimit > 0 && len(l.Value) > c.LabelValueLengthLimit:
			return fmt.Errorf("the label %s of %s is longer than label_value_length_limit (%d)", printable(l.Name), name, c.LabelValueLengthLimit)
		}
		return nil
	})
}

// appendLabels appends the labels without the metric's name and the one called without, as [metric.LabelSetOf] takes them.
func appendLabels(text []byte, all labels.Labels, without string) []byte {
	all.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel && l.Name != without {
			text = metric.AppendLabel(text, l.Name, l.Value)
		}
	})
	return text
}
