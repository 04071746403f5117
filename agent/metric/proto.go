package metric

import (
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Converter converts families to client_model's messages, which expfmt writes and a Pushgateway accepts. The messages share
// memory with the families and with the Converter, which reuses it after [Converter.Reset]: once the Converter has seen a
// family of that size, nothing is allocated per series. The zero Converter is ready to use. It is not safe for concurrent use.
type Converter struct {
	// Labels appends to dst the labels to write for a series with the labels own, and returns the extended slice. nil writes
	// own.
	Labels func(dst, own []Label) []Label

	Untimed bool  // leaves out the samples' own times
	Time    int64 // time of samples without one of their own, Unix milliseconds; 0 = none

	labels     []Label
	pairs      slab[dto.LabelPair]
	pairLists  slab[*dto.LabelPair]
	metrics    slab[dto.Metric]
	lists      slab[*dto.Metric]
	gauges     slab[dto.Gauge]
	counters   slab[dto.Counter]
	untyped    slab[dto.Untyped]
	starts     slab[timestamppb.Timestamp]
	histograms histogramSlabs
	summaries  summarySlabs
}

// Reset makes the memory of all messages available again. They are not valid any more.
func (c *Converter) Reset() {
	c.labels = c.labels[:0]
	c.pairs.reset()
	c.pairLists.reset()
	c.metrics.reset()
	c.lists.reset()
	c.gauges.reset()
	c.counters.reset()
	c.untyped.reset()
	c.starts.reset()
	c.histograms.reset()
	c.summaries.reset()
}

// Family returns the message for f. It is valid until the next Reset, and while f is not changed.
func (c *Converter) Family(f *Family) *dto.MetricFamily {
	d := f.Desc
	family := &dto.MetricFamily{Name: &d.Name, Type: protoType(d.Type).Enum(), Metric: c.lists.some(len(f.Series))}
	if d.Help != "" {
		family.Help = &d.Help
	}
	if unitFits(d) {
		family.Unit = &d.Unit
	}
	for i := range f.Series {
		family.Metric[i] = c.series(d, &f.Series[i])
	}
	return family
}

func protoType(t Type) dto.MetricType {
	switch t {
	case Gauge:
		return dto.MetricType_GAUGE
	case Counter:
		return dto.MetricType_COUNTER
	case Histogram, GaugeHistogram: // the text format has no gauge histograms
		return dto.MetricType_HISTOGRAM
	case Summary:
		return dto.MetricType_SUMMARY
	}
	return dto.MetricType_UNTYPED
}

// unitFits reports whether the unit can be written. OpenMetrics requires the name to end with it (specification 1.0, section
// "Unit"), and Prometheus rejects the whole scrape otherwise. A name that has to be escaped may not end with it afterwards.
func unitFits(d *Desc) bool {
	name := d.Name
	if d.Type == Counter {
		name = strings.TrimSuffix(name, "_total")
	}
	return d.Unit != "" && strings.HasSuffix(name, "_"+d.Unit) && model.LegacyValidation.IsValidMetricName(name)
}

func (c *Converter) series(d *Desc, s *Series) *dto.Metric {
	m := c.metrics.one()
	m.Label, m.TimestampMs = c.pairsOf(s.Labels), nil
	m.Gauge, m.Counter, m.Untyped, m.Histogram, m.Summary = nil, nil, nil, nil, nil
	switch {
	case c.Untimed:
	case s.Time != 0:
		m.TimestampMs = &s.Time
	case c.Time != 0:
		m.TimestampMs = &c.Time
	}
	switch d.Type {
	case Gauge:
		m.Gauge = c.gauges.one()
		m.Gauge.Value = &s.Value
	case Counter:
		m.Counter = c.counters.one()
		m.Counter.Value, m.Counter.CreatedTimestamp = &s.Value, c.start(s.Start)
	case Histogram, GaugeHistogram:
		m.Histogram = c.histogram(d, s.Histogram(), c.start(s.Start))
	case Summary:
		m.Summary = c.summary(d, s.Summary(), c.start(s.Start))
	default:
		m.Untyped = c.untyped.one()
		m.Untyped.Value = &s.Value
	}
	return m
}

func (c *Converter) pairsOf(set *LabelSet) []*dto.LabelPair {
	n := len(c.labels)
	c.labels = set.Append(c.labels)
	labels := c.labels[n:]
	if c.Labels != nil {
		n = len(c.labels)
		c.labels = c.Labels(c.labels, labels)
		labels = c.labels[n:]
	}
	list, pairs := c.pairLists.some(len(labels)), c.pairs.some(len(labels))
	for i := range labels {
		pairs[i].Name, pairs[i].Value = &labels[i].Name, &labels[i].Value
		list[i] = &pairs[i]
	}
	return list
}

// start returns the start timestamp, nil if it is not known.
func (c *Converter) start(ms int64) *timestamppb.Timestamp {
	if ms == 0 {
		return nil
	}
	t := c.starts.one()
	t.Seconds, t.Nanos = ms/1000, int32(ms%1000)*1e6
	if t.Nanos < 0 { // before 1970: Nanos still counts forward
		t.Seconds, t.Nanos = t.Seconds-1, t.Nanos+1e9
	}
	return t
}
