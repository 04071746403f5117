package exposition

import (
	"fmt"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/metric"
)

// relabel adds the labels of the target to those of a series, and applies the rules. If both have a label with the same name, the series'
// label is renamed to exported_NAME. With honor_labels, the series' label is kept instead, even if its value is empty. If the rules drop
// the series, the result is empty.
func (c *Cache) relabel(scraped labels.Labels) labels.Labels {
	o, b := &c.pool.options, c.pool.builder
	b.Reset(scraped)
	var conflicts []labels.Label
	c.labels.Range(func(l labels.Label) {
		if o.HonorLabels && scraped.Has(l.Name) {
			return
		}
		if value := scraped.Get(l.Name); value != "" {
			conflicts = append(conflicts, labels.Label{Name: l.Name, Value: value})
		}
		b.Set(l.Name, l.Value)
	})
	// In the same order as in Prometheus, since the order determines which of two labels gets the prefix exported_ twice.
	slices.SortStableFunc(conflicts, func(a, b labels.Label) int { return len(a.Name) - len(b.Name) })
	for _, l := range conflicts {
		name := model.ExportedLabelPrefix + l.Name
		for b.Get(name) != "" {
			name = model.ExportedLabelPrefix + name
		}
		b.Set(name, l.Value)
	}
	if !relabel.ProcessBuilder(b, o.MetricRelabel...) {
		return labels.EmptyLabels()
	}
	return b.Labels()
}

// final returns the labels of a series after relabelling. If the result is empty, the series is dropped. An error makes the scrape
// fail: the series has no valid name, or exceeds a limit.
func (c *Cache) final(scraped labels.Labels) (labels.Labels, error) {
	final := c.relabel(scraped)
	switch {
	case final.IsEmpty():
		return final, nil
	case final.Get(model.MetricNameLabel) == "":
		return final, fmt.Errorf("metric_relabel_configs leave no metric name (__name__) on a series of %s; use action: drop to drop a series",
			printable(scraped.Get(model.MetricNameLabel)))
	case !final.IsValid(model.UTF8Validation):
		return final, fmt.Errorf("a series of %s has a name that is not valid: %s", printable(scraped.Get(model.MetricNameLabel)), printable(final.String()))
	}
	return final, c.pool.options.checkLabels(final)
}

// checkLabels checks the limits for labels. As in Prometheus, the metric name counts as a label.
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

// appendLabels appends an encoding of the labels for [metric.LabelSetOf]. It leaves out the metric name, the label with the name "except",
// and labels with empty values. An empty value means that the label is absent.
func appendLabels(text []byte, all labels.Labels, except string) []byte {
	all.Range(func(l labels.Label) {
		if l.Value != "" && l.Name != model.MetricNameLabel && l.Name != except {
			text = metric.AppendLabel(text, l.Name, l.Value)
		}
	})
	return text
}
