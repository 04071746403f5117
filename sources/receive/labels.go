package receive

import (
	"maps"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/metric"
)

// adder adds the labels of the job to series that do not have labels of these names. It returns the same label set for a series,
// and the same description for a metric, in each run, since sinks use them as keys.
type adder struct {
	labels []metric.Label // sorted by name; empty = nothing is added

	sets, lastSets   map[*metric.LabelSet]*metric.LabelSet // label sets with the job's labels added, keyed by the original label sets
	descs, lastDescs map[*metric.Desc]*metric.Desc
}

func newAdder(labels map[string]string) *adder {
	a := &adder{}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		a.labels = append(a.labels, metric.Label{Name: name, Value: labels[name]})
	}
	return a
}

// toAll adds the labels to all readings. It forgets results of the previous call that this call does not use.
func (a *adder) toAll(readings metric.Readings) {
	if len(a.labels) == 0 {
		return
	}
	a.sets, a.lastSets = map[*metric.LabelSet]*metric.LabelSet{}, a.sets
	a.descs, a.lastDescs = map[*metric.Desc]*metric.Desc{}, a.descs
	for i := range readings {
		a.toMetric(&readings[i])
	}
	a.lastSets, a.lastDescs = nil, nil
}

// toMetric adds the labels to one metric. If two series are then equal, the second one is dropped.
func (a *adder) toMetric(m *metric.Measured) {
	m.Desc = a.desc(m.Desc)
	all := make([]metric.Series, 0, len(m.Series))
	known := make(map[string]bool, len(m.Series))
	for _, s := range m.Series {
		s.Labels = a.set(s.Labels)
		text := s.Labels.String()
		if known[text] {
			m.Drop(metric.Duplicate, m.Desc.Name+text+" was pushed with and without the labels of the job")
			continue
		}
		known[text] = true
		all = append(all, s)
	}
	m.Series = all
}

func (a *adder) desc(d *metric.Desc) *metric.Desc {
	if a.descs[d] != nil {
		return a.descs[d]
	}
	with := a.lastDescs[d]
	if with == nil {
		with = new(*d)
		for _, l := range a.labels {
			if !slices.Contains(with.LabelNames, l.Name) {
				with.LabelNames = append(slices.Clip(with.LabelNames), l.Name)
			}
		}
		slices.Sort(with.LabelNames)
	}
	a.descs[d] = with
	return with
}

func (a *adder) set(s *metric.LabelSet) *metric.LabelSet {
	if a.sets[s] != nil {
		return a.sets[s]
	}
	with := a.lastSets[s]
	if with == nil {
		with = metric.NewLabelSet(a.to(s.Append(nil)))
	}
	a.sets[s] = with
	return with
}

// to adds the labels of the job to the labels of a series, unless the series has labels of the same names. The result is sorted by
// name.
func (a *adder) to(labels []metric.Label) []metric.Label {
	for _, l := range a.labels {
		at, has := slices.BinarySearchFunc(labels, l.Name, func(have metric.Label, name string) int { return strings.Compare(have.Name, name) })
		if !has {
			labels = slices.Insert(labels, at, l)
		}
	}
	return labels
}

// toStream adds the labels to the series of a stream.
func (a *adder) toStream(stream metric.Stream) {
	for i := range stream {
		stream[i].Labels = a.to(stream[i].Labels)
	}
}
