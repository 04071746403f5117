package encode

import (
	"strings"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
)

// beyondLegacy returns the first metric or label name that remote-write 1.0 does not allow, or "" if it allows all.
func beyondLegacy(labels []metric.Label) string {
	for _, l := range labels {
		switch {
		case l.Name == model.MetricNameLabel && !model.LegacyValidation.IsValidMetricName(l.Value):
			return strings.Clone(l.Value)
		case !model.LegacyValidation.IsValidLabelName(l.Name):
			return strings.Clone(l.Name)
		}
	}
	return ""
}
