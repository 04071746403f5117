package encode

import (
	"slices"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/metric"
)

// withValidExemplars returns s with those exemplars that receivers take, as Prometheus sends them: labels without a value are
// left out, and so is an exemplar with a repeated label or a text that is not UTF-8. It returns s itself if all are valid.
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

// exemplarLabels returns the labels that have a value. It reports false if the exemplar is left out.
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
