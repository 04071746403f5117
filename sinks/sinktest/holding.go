package sinktest

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
)

// Holding is what a receiver has stored: the newest value of each series, and the types.
type Holding struct {
	// Values has the value of each series. Its keys are in the text format with sorted labels: `up{job="a"}`,
	// `took_bucket{le="0.5"}`.
	Values map[string]float64
	// Types has the type of each family: gauge, counter, histogram or summary. nil = the receiver does not store types.
	Types map[string]string
}

// Set sets the value of a series. It leaves out the labels in drop, which are the labels that the sink adds.
func (h *Holding) Set(name string, labels map[string]string, value float64, drop ...string) {
	var set metric.Labels
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		if labels[label] != "" && !slices.Contains(drop, label) {
			set = append(set, metric.Label{Name: label, Value: labels[label]})
		}
	}
	if h.Values == nil {
		h.Values = map[string]float64{}
	}
	h.Values[name+set.String()] = value
}

// FromText parses a text exposition. It leaves out the labels in drop.
func FromText(t testing.TB, text string, drop ...string) Holding {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("the exposition does not parse: %v\n%s", err, text)
	}
	return FromFamilies(families, drop...)
}

// FromFamilies converts families of client_model. It leaves out the labels in drop.
func FromFamilies(families map[string]*dto.MetricFamily, drop ...string) Holding {
	h := Holding{Values: map[string]float64{}, Types: map[string]string{}}
	for name, f := range families {
		h.Types[name] = strings.ToLower(f.GetType().String())
		for _, m := range f.Metric {
			h.metric(name, m, drop)
		}
	}
	return h
}

// metric adds the series of a metric.
func (h *Holding) metric(name string, m *dto.Metric, drop []string) {
	labels := map[string]string{}
	for _, l := range m.Label {
		labels[l.GetName()] = l.GetValue()
	}
	set := func(suffix string, value float64, extra ...string) {
		all := maps.Clone(labels)
		if len(extra) == 2 {
			all[extra[0]] = extra[1]
		}
		h.Set(name+suffix, all, value, drop...)
	}
	switch {
	case m.Histogram != nil:
		for _, b := range m.Histogram.Bucket {
			set("_bucket", float64(b.GetCumulativeCount()), "le", bound(b.GetUpperBound()))
		}
		set("_sum", m.Histogram.GetSampleSum())
		set("_count", float64(m.Histogram.GetSampleCount()))
	case m.Summary != nil:
		for _, q := range m.Summary.Quantile {
			set("", q.GetValue(), "quantile", bound(q.GetQuantile()))
		}
		set("_sum", m.Summary.GetSampleSum())
		set("_count", float64(m.Summary.GetSampleCount()))
	case m.Counter != nil:
		set("", m.Counter.GetValue())
	case m.Gauge != nil:
		set("", m.Gauge.GetValue())
	default:
		set("", m.Untyped.GetValue())
	}
}

// bound formats the bound of a bucket or quantile as a label value.
func bound(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
