package expose

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// settle says what of the family goes on the page. One page has one type for a name, and a series once: the first job has
// the right of way.
func (f *family) settle(apart bool) {
	f.shown, f.lost, f.legacy = nil, nil, true
	var seen seriesSet
	for _, p := range f.parts {
		if why := cmp.Or(unspeakable(p.Desc), hollow(&p)); why != "" {
			f.lose(p, sinks.Unsupported, len(p.Series), why)
			continue
		}
		f.legacy = f.legacy && legacy(p.Desc)
		switch {
		case len(f.shown) > 0 && f.shown[0].Desc.Type != p.Desc.Type:
			f.lose(p, sinks.Collision, len(p.Series), "it is a "+f.shown[0].Desc.Type.String()+" in job "+f.shown[0].job)
			continue
		case len(f.parts) > 1 && !(apart && f.oneEach()):
			all := len(p.Series)
			p.Series = seen.fresh(&p, apart)
			if n := all - len(p.Series); n > 0 {
				f.lose(p, sinks.Collision, n, "job "+f.shown[0].job+" has the same series")
			}
		}
		if len(p.Series) > 0 {
			f.shown = append(f.shown, p)
		}
	}
}

func (f *family) lose(p part, reason metric.Reason, series int, why string) {
	f.lost = append(f.lost, loss{p.job, reason, series, why})
}

// oneEach tells whether no job has two parts in the family.
func (f *family) oneEach() bool {
	for i := range f.parts[1:] {
		if f.parts[i].job == f.parts[i+1].job {
			return false
		}
	}
	return true
}

// unspeakable says what in a family would spoil the whole page, "" where nothing does.
func unspeakable(d *metric.Desc) string {
	if !model.UTF8Validation.IsValidMetricName(d.Name) {
		return "its name is empty or not UTF-8"
	}
	if d.Type == metric.GaugeHistogram {
		return "it is a gauge histogram, which a page cannot show in all its forms"
	}
	for _, name := range labelNames(d) {
		switch {
		case !model.UTF8Validation.IsValidLabelName(name):
			return "a label's name is empty or not UTF-8"
		case strings.Contains(name, ":"):
			// expfmt writes such a name without quotes, as if it were a metric's, and no parser takes it.
			return "the label " + name + " has a colon in its name"
		case name == model.MetricNameLabel,
			name == model.BucketLabel && d.Type == metric.Histogram,
			name == model.QuantileLabel && d.Type == metric.Summary:
			return "the label " + name + " has a meaning of its own"
		}
	}
	return ""
}

// hollow says that a series lacks what its type must have, "" where none does.
func hollow(p *part) string {
	switch p.Desc.Type {
	case metric.Histogram:
		if slices.ContainsFunc(p.Series, func(s metric.Series) bool { return s.Histogram() == nil }) {
			return "a series of the histogram has no buckets"
		}
	case metric.Summary:
		if slices.ContainsFunc(p.Series, func(s metric.Series) bool { return s.Summary() == nil }) {
			return "a series of the summary has no count"
		}
	}
	return ""
}

func labelNames(d *metric.Desc) []string {
	names := slices.Clone(d.LabelNames)
	for _, l := range d.Const {
		names = append(names, l.Name)
	}
	return names
}

// legacy tells whether every name is one that all parsers take.
func legacy(d *metric.Desc) bool {
	return model.LegacyValidation.IsValidMetricName(d.Name) &&
		!slices.ContainsFunc(labelNames(d), func(name string) bool { return !model.LegacyValidation.IsValidLabelName(name) })
}
