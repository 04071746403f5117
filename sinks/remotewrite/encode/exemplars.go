package encode

import (
	"slices"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/metric"
)

// withValidExemplars returns s with only those exemplars that receivers accept. As in Prometheus, labels without a value are removed, and
// an exemplar is left out if it has a repeated label or a text that is not UTF-8. If nothing has to be changed, the result is s itself.
func withValidExemplars(s *metric.Series) *metric.Series {
	all := s.Exemplars()
	isValid := func(e metric.Exemplar) bool {
		labels, ok := exemplarLabels(e.Labels)
		return ok && len(labels) == len(e.Labels)
	}
	if !slices.ContainsFunc(all, func(e metric.Exemplar) bool { return !isValid(e) }) {
		return s
	}
	var valid []metric.Exemplar
	for _, e := range all {
		var ok bool
		if e.Labels, ok = exemplarLabels(e.Labels); ok {
			valid = append(valid, e)
		}
	}
	changed, more := *s, *s.More
	more.Exemplars = valid
	changed.More = &more
	return &changed
}

// exemplarLabels returns the labels that have a value. It reports false if the exemplar must be left out.
func exemplarLabels(labels []metric.Label) ([]metric.Label, bool) {
	isEmpty := func(l metric.Label) bool { return l.Value == "" }
	if slices.ContainsFunc(labels, isEmpty) {
		labels = slices.DeleteFunc(slices.Clone(labels), isEmpty)
	}
	for i, l := range labels {
		if l.Name == "" || i > 0 && l.Name == labels[i-1].Name || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
			return nil, false
		}
	}
	return labels, true
}
