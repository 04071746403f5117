package metric

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Converter converts families to messages of client_model, which expfmt can write and a Pushgateway accepts. The messages share
// memory with the families and with the Converter. The Converter reuses its memory after [Converter.Reset], so it does not allocate
// memory for each series again. The zero Converter is ready to use. It is not safe for concurrent use.
type Converter struct {
	// Labels appends to "dst" the labels to write for a series, and returns the extended slice. The argument "own" is the labels that the
	// series has itself. If the field is nil, a series is written with its own labels.
	Labels func(dst, own []Label) []Label

	Untimed bool  // the samples' own times are not written
	Time    int64 // time of samples that have no time of their own, in Unix milliseconds; 0 = none

	labels     []Label
	pairs      slab[dto.LabelPair]
	pairLists  slab[*dto.LabelPair]
	metrics    slab[dto.Metric]
	lists      slab[*dto.Metric]
	gauges     slab[dto.Gauge]
	counters   slab[dto.Counter]
	untyped    slab[dto.Untyped]
	starts     slab[timestamppb.Timestamp]
	exemplars  exemplarSlabs
	histograms histogramSlabs
	summaries  summarySlabs
}

// Reset makes the memory of all messages available again. The messages are then no longer valid.
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
	c.exemplars.values.reset()
	c.exemplars.lists.reset()
	c.histograms.reset()
	c.summaries.reset()
}

// Family returns the message for f. The message is valid until the next Reset, provided that f is not changed.
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

// unitFits reports whether the unit may be written. OpenMetrics requires that the name ends with the unit (specification 1.0,
// section "Unit"); otherwise Prometheus rejects the whole scrape. If a name must be escaped, the escaped name could end differently.
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
		m.Counter.Exemplar = c.newestExemplar(s, everyExemplar)
	case Histogram, GaugeHistogram:
		m.Histogram = c.histogram(d, s.Histogram(), c.start(s.Start))
		if len(s.Exemplars()) > 0 {
			c.histogramExemplars(d, s, m.Histogram)
		}
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
	return c.pairsOfLabels(labels)
}

func (c *Converter) pairsOfLabels(labels []Label) []*dto.LabelPair {
	list, pairs := c.pairLists.some(len(labels)), c.pairs.some(len(labels))
	for i := range labels {
		pairs[i].Name, pairs[i].Value = &labels[i].Name, &labels[i].Value
		list[i] = &pairs[i]
	}
	return list
}

// start returns the start timestamp, or nil if it is unknown.
func (c *Converter) start(ms int64) *timestamppb.Timestamp {
	if ms == 0 {
		return nil
	}
	t := c.starts.one()
	t.Seconds, t.Nanos = ms/1000, int32(ms%1000)*1e6
	if t.Nanos < 0 { // before 1970: Nanos must not be negative
		t.Seconds, t.Nanos = t.Seconds-1, t.Nanos+1e9
	}
	return t
}

type histogramSlabs struct {
	values  slab[dto.Histogram]
	buckets slab[dto.Bucket]
	lists   slab[*dto.Bucket]
	counts  slab[uint64]
	bounds  slab[float64]
	spans   slab[dto.BucketSpan]
	spanned slab[*dto.BucketSpan]
	offsets slab[int32]
	lengths slab[uint32]
	deltas  slab[int64]
	floats  slab[float64]
}

func (h *histogramSlabs) reset() {
	h.values.reset()
	h.buckets.reset()
	h.lists.reset()
	h.counts.reset()
	h.bounds.reset()
	h.spans.reset()
	h.spanned.reset()
	h.offsets.reset()
	h.lengths.reset()
	h.deltas.reset()
	h.floats.reset()
}

type summarySlabs struct {
	values    slab[dto.Summary]
	quantiles slab[dto.Quantile]
	lists     slab[*dto.Quantile]
}

func (s *summarySlabs) reset() {
	s.values.reset()
	s.quantiles.reset()
	s.lists.reset()
}

func (c *Converter) histogram(d *Desc, v *HistogramValue, start *timestamppb.Timestamp) *dto.Histogram {
	h := c.histograms.values.one()
	h.Reset()
	h.SampleCount, h.SampleSum, h.CreatedTimestamp = &v.Count, &v.Sum, start
	h.Bucket = c.classic(d.Buckets, v.Counts)
	if n := v.Native; n != nil && d.Native && n.Schema != CustomBounds { // the message has no field for custom bounds
		h.Schema, h.ZeroThreshold, h.ZeroCount = &n.Schema, &n.ZeroThreshold, &n.ZeroCount
		h.PositiveSpan, h.PositiveDelta = c.native(n.Positive)
		h.NegativeSpan, h.NegativeDelta = c.native(n.Negative)
		if n.Fractions {
			c.fractions(h, v)
		}
		if len(n.Positive)+len(n.Negative) == 0 && n.ZeroThreshold == 0 {
			// In client_model, an empty span marks a native histogram without observations.
			h.PositiveSpan = []*dto.BucketSpan{c.span(0, 0)}
		}
	}
	return h
}

// fractions sets the fields of a float histogram.
func (c *Converter) fractions(h *dto.Histogram, v *HistogramValue) {
	number := func(bits uint64) *float64 {
		f := c.histograms.floats.one()
		*f = math.Float64frombits(bits)
		return f
	}
	list := func(buckets []NativeBucket) []float64 {
		all := c.histograms.floats.some(len(buckets))
		for i, b := range buckets {
			all[i] = math.Float64frombits(b.Count)
		}
		return all
	}
	h.SampleCountFloat, h.ZeroCountFloat = number(v.Count), number(v.Native.ZeroCount)
	whole := c.histograms.counts.one() // the text format has only integer counts
	*whole = uint64(math.Round(*h.SampleCountFloat))
	h.SampleCount, h.ZeroCount = whole, nil
	h.PositiveDelta, h.NegativeDelta = nil, nil
	h.PositiveCount, h.NegativeCount = list(v.Native.Positive), list(v.Native.Negative)
}

// classic returns the cumulative buckets. The last one is +Inf.
func (c *Converter) classic(bounds []float64, counts []uint64) []*dto.Bucket {
	list := c.histograms.lists.some(len(counts))
	buckets, sums := c.histograms.buckets.some(len(counts)), c.histograms.counts.some(len(counts))
	sum := uint64(0)
	for i, n := range counts {
		sum += n
		sums[i] = sum
		b := &buckets[i]
		b.CumulativeCount, b.Exemplar = &sums[i], nil
		if i < len(bounds) {
			b.UpperBound = &bounds[i]
		} else {
			b.UpperBound = c.histograms.bounds.one()
			*b.UpperBound = math.Inf(1)
		}
		list[i] = b
	}
	return list
}

// native returns the spans of consecutive buckets and the counts. Each span has its distance from the end of the previous span.
// Each count is the difference from the count of the previous bucket.
func (c *Converter) native(buckets []NativeBucket) ([]*dto.BucketSpan, []int64) {
	if len(buckets) == 0 {
		return nil, nil
	}
	spans, deltas := c.histograms.spanned.some(len(buckets))[:0], c.histograms.deltas.some(len(buckets))
	last := uint64(0)
	for i, b := range buckets {
		deltas[i] = int64(b.Count - last)
		last = b.Count
		switch {
		case i == 0:
			spans = append(spans, c.span(b.Index, 1))
		case b.Index == buckets[i-1].Index+1:
			*spans[len(spans)-1].Length++
		default:
			spans = append(spans, c.span(b.Index-buckets[i-1].Index-1, 1))
		}
	}
	return spans, deltas
}

func (c *Converter) span(offset int32, length uint32) *dto.BucketSpan {
	s := c.histograms.spans.one()
	s.Offset, s.Length = c.histograms.offsets.one(), c.histograms.lengths.one()
	*s.Offset, *s.Length = offset, length
	return s
}

func (c *Converter) summary(d *Desc, v *SummaryValue, start *timestamppb.Timestamp) *dto.Summary {
	s := c.summaries.values.one()
	s.SampleCount, s.SampleSum, s.CreatedTimestamp = &v.Count, &v.Sum, start
	n := min(len(v.Quantiles), len(d.Quantiles))
	s.Quantile = c.summaries.lists.some(n)
	quantiles := c.summaries.quantiles.some(n)
	for i := range quantiles {
		quantiles[i].Quantile, quantiles[i].Value = &d.Quantiles[i], &v.Quantiles[i]
		s.Quantile[i] = &quantiles[i]
	}
	return s
}

// WriteText writes the families in the text exposition format, in their order. Families without series are left out.
func WriteText(w io.Writer, families []Family) error { return new(Converter).WriteText(w, families) }

// WriteText writes like the function [WriteText], with the labels and times that are set in the Converter. It resets the Converter.
func (c *Converter) WriteText(w io.Writer, families []Family) error {
	var text bytes.Buffer // written at once, so that log lines cannot come in between
	for i := range families {
		if len(families[i].Series) == 0 {
			continue
		}
		c.Reset()
		if _, err := expfmt.MetricFamilyToText(&text, c.Family(&families[i])); err != nil {
			return fmt.Errorf("write metric %s: %w", families[i].Desc.Name, err)
		}
	}
	_, err := text.WriteTo(w)
	return err
}
