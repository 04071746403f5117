package sinks

import (
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/metric"
)

// Target returns the labels that a pushing sink adds to the series of a job, as Prometheus does when it scrapes a target: the label "job",
// which is the name of the job, and the label "instance", unless there is an external label with this name.
func (e *Env) Target(job string) []metric.Label {
	target := []metric.Label{{Name: "job", Value: job}}
	if !slices.ContainsFunc(e.External, func(l metric.Label) bool { return l.Name == "instance" }) && e.Instance != "" {
		target = append(target, metric.Label{Name: "instance", Value: e.Instance})
	}
	return target
}

// Attach returns the labels of a pushed series, sorted by name: the labels of the series, the target's and the external ones. A label of
// the series that has the same name as a label of the target is renamed to exported_NAME, as Prometheus does for scraped series. An
// external label is left out if the series or the target has a label with the same name. Attach overwrites the contents of the slice
// "into".
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
