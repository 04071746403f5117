// Package runtimemetrics reads the metrics of Go's runtime (go_*) and of the process (process_*). They are the same metrics that other Go
// programs expose to Prometheus.
package runtimemetrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"github.com/collectington/collectington/agent/metric"
)

// Metrics reads the metrics. All calls return the same Desc for a metric and the same LabelSet for a series.
type Metrics struct {
	registry *prometheus.Registry
	descs    map[string]*metric.Desc
	labels   map[string]*metric.LabelSet // by metric name and labels as text
}

// New returns the metrics of this process. All of them have the given labels.
func New(labels map[string]string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), descs: map[string]*metric.Desc{}, labels: map[string]*metric.LabelSet{}}
	prometheus.WrapRegistererWith(labels, m.registry).MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Readings returns the current values. A metric that cannot be read is left out, for example on a system without /proc.
func (m *Metrics) Readings() metric.Readings {
	families, _ := m.registry.Gather() // in case of an error, families has everything that could be read
	var all metric.Readings
	for _, f := range families {
		measured := metric.Measured{Desc: m.desc(f)}
		for _, one := range f.Metric {
			measured.Series = append(measured.Series, m.series(measured.Desc, one))
		}
		all = append(all, measured)
	}
	return all
}

func (m *Metrics) desc(f *dto.MetricFamily) *metric.Desc {
	d := m.descs[f.GetName()]
	if d != nil {
		return d
	}
	d = &metric.Desc{Name: f.GetName(), Help: f.GetHelp(), Type: metric.Gauge}
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		d.Type = metric.Counter
	case dto.MetricType_SUMMARY:
		d.Type = metric.Summary
		for _, q := range f.Metric[0].Summary.Quantile {
			d.Quantiles = append(d.Quantiles, q.GetQuantile())
		}
	}
	m.descs[d.Name] = d
	return d
}

func (m *Metrics) series(d *metric.Desc, one *dto.Metric) metric.Series {
	s := metric.Series{Labels: m.labelsOf(d.Name, one.Label), Value: one.GetGauge().GetValue()}
	switch {
	case one.Counter != nil:
		s.Value = one.Counter.GetValue()
	case one.Summary != nil:
		v := &metric.SummaryValue{Count: one.Summary.GetSampleCount(), Sum: one.Summary.GetSampleSum()}
		for _, q := range one.Summary.Quantile {
			v.Quantiles = append(v.Quantiles, q.GetValue())
		}
		s.More = &metric.More{Summary: v}
	}
	return s
}

func (m *Metrics) labelsOf(name string, pairs []*dto.LabelPair) *metric.LabelSet {
	key := name
	var labels metric.Labels
	for _, p := range pairs { // sorted by name
		key += "\x00" + p.GetName() + "\x00" + p.GetValue()
		labels = append(labels, metric.Label{Name: p.GetName(), Value: p.GetValue()})
	}
	set := m.labels[key]
	if set == nil {
		set = metric.NewLabelSet(labels)
		m.labels[key] = set
	}
	return set
}
