package sinks

import (
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/metric"
)

// Target is the labels that a pushing sink adds to a job's series, as a scrape of the job would have: its name as job,
// and an instance.
func (e *Env) Target(job string) []metric.Label {
	target := []metric.Label{{Name: "job", Value: job}}
	if !slices.ContainsFunc(e.External, func(l metric.Label) bool { return l.Name == "instance" }) && e.Instance != "" {
		target = append(target, metric.Label{Name: "instance", Value: e.Instance})
	}
	return target
}

// Attach is a series' labels as they are pushed, sorted by name. A label of the series that target has too is kept as
// exported_NAME, as Prometheus does for scraped series; external labels are added where the series has none of the name.
// What into holds is overwritten.
func Attach(into, series, target, external []metric.Label) []metric.Label {
	all := into[:0]
	for _, l := range series {
		for has(target, l.Name) {
			l.Name = "exported_" + l.Name
			for has(series, l.Name) || has(all, l.Name) {
				l.Name = "exported_" + l.Name
			}
		}
		all = append(all, l)
	}
	all = append(all, target...)
	for _, l := range external {
		if !has(all, l.Name) {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func has(labels []metric.Label, name string) bool {
	return slices.ContainsFunc(labels, func(l metric.Label) bool { return l.Name == name })
}
