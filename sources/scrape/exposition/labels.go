package exposition

import (
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/metric"
)

// relabel adds the labels of the target to those of a series, and applies the rules. A label that both have becomes
// exported_NAME, or stays with honor_labels. It reports whether the rules keep the series.
func (c *Cache) relabel(scraped labels.Labels) (final labels.Labels, keep bool) {
	o, b := &c.pool.options, c.pool.builder
	b.Reset(scraped)
	c.labels.Range(func(l labels.Label) {
		value := scraped.Get(l.Name)
		if value != "" && o.HonorLabels {
			return
		}
		b.Set(l.Name, l.Value)
		if value == "" {
			return
		}
		name := model.ExportedLabelPrefix + l.Name
		for b.Get(name) != "" {
			name = model.ExportedLabelPrefix + name
		}
		b.Set(name, value)
	})
	if !relabel.ProcessBuilder(b, o.MetricRelabel...) || b.Get(model.MetricNameLabel) == "" {
		return labels.EmptyLabels(), false
	}
	return b.Labels(), true
}

// checkLabels checks the limits on labels. As in Prometheus, the metric name counts as a label.
func (o *Options) checkLabels(all labels.Labels) error {
	name := all.Get(model.MetricNameLabel)
	if o.LabelLimit > 0 && all.Len() > o.LabelLimit {
		return fmt.Errorf("a series of %s has %d labels, more than label_limit (%d)", printable(name), all.Len(), o.LabelLimit)
	}
	if o.LabelNameLengthLimit <= 0 && o.LabelValueLengthLimit <= 0 {
		return nil
	}
	return all.Validate(func(l labels.Label) error {
		switch {
		case o.LabelNameLengthLimit > 0 && len(l.Name) > o.LabelNameLengthLimit:
			return fmt.Errorf("a label name of %s is longer than label_name_length_limit (%d): %s", printable(name), o.LabelNameLengthLimit, printable(l.Name))
		case o.LabelValueLengthLimit > 0 && len(l.Value) > o.LabelValueLengthLimit:
			return fmt.Errorf("the label %s of %s is longer than label_value_length_limit (%d)", printable(l.Name), printable(name), o.LabelValueLengthLimit)
		}
		return nil
	})
}

// appendLabels appends the labels for [metric.LabelSetOf], except for the metric name and the label except.
func appendLabels(text []byte, all labels.Labels, except string) []byte {
	all.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel && l.Name != except {
			text = metric.AppendLabel(text, l.Name, l.Value)
		}
	})
	return text
}
