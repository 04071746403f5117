package groups

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources/native"
)

// Family holds the series of a group with the same metric name. It is immutable.
type Family struct {
	Name  string
	Type  metric.Type
	Help  string
	Time  time.Time       // time of the push that contained the family
	Parts []metric.Family // one for each different set of bounds or quantiles

	shown bool // the family was returned to callers, so it must not be changed
}

// errTimestamp is the error for samples with timestamps. They are not allowed, since a group only has current values.
var errTimestamp = errors.New("pushed metrics must not have timestamps")

// converter converts a push to families.
type converter struct {
	grouping []metric.Label // labels of the group; they replace labels of a metric with the same name
	drop     []string       // names of labels that are removed
	scheme   model.ValidationScheme
	at       time.Time

	labels  []metric.Label
	encoded []byte
	sets    map[string]*metric.LabelSet // label sets by encoding, so that equal label sets share memory
}

// hasTimestamps reports whether any sample of a push has a timestamp.
func hasTimestamps(all []*dto.MetricFamily) bool {
	return slices.ContainsFunc(all, func(f *dto.MetricFamily) bool {
		return slices.ContainsFunc(f.Metric, func(m *dto.Metric) bool { return m.TimestampMs != nil })
	})
}

// families converts a push. It leaves out families without metrics, and those with the names of metrics that every group has.
func (c *converter) families(pushed []*dto.MetricFamily) ([]*Family, error) {
	c.sets = map[string]*metric.LabelSet{}
	all := make([]*Family, 0, len(pushed))
	for _, f := range pushed {
		if len(f.Metric) == 0 || f.GetName() == PushTime || f.GetName() == PushFailureTime {
			continue
		}
		family, err := c.family(f)
		if err != nil {
			return nil, err
		}
		all = append(all, family)
	}
	return all, nil
}

func (c *converter) family(pushed *dto.MetricFamily) (*Family, error) {
	name := pushed.GetName()
	if !c.scheme.IsValidMetricName(name) {
		return nil, fmt.Errorf("%.80q is not a valid metric name", name)
	}
	f := &Family{Name: name, Type: typeOf(pushed.GetType()), Help: strings.ToValidUTF8(pushed.GetHelp(), "\ufffd"), Time: c.at}
	for _, m := range pushed.Metric {
		desc := metric.Desc{Name: name, Type: f.Type, Help: f.Help, Targeted: true}
		var s metric.Series
		err := c.setLabels(&s, m, f.Type)
		if err == nil {
			err = setValue(&desc, &s, m)
		}
		if err != nil {
			return nil, fmt.Errorf("metric %s %s: %w", name, s.Labels, err)
		}
		part := slices.IndexFunc(f.Parts, func(p metric.Family) bool { return sameShape(p.Desc, &desc) })
		if part < 0 {
			part = len(f.Parts)
			f.Parts = append(f.Parts, metric.Family{Desc: &desc})
		}
		f.Parts[part].Series = append(f.Parts[part].Series, s)
	}
	return f, nil
}

func typeOf(t dto.MetricType) metric.Type {
	switch t {
	case dto.MetricType_COUNTER:
		return metric.Counter
	case dto.MetricType_GAUGE:
		return metric.Gauge
	case dto.MetricType_HISTOGRAM:
		return metric.Histogram
	case dto.MetricType_GAUGE_HISTOGRAM:
		return metric.GaugeHistogram
	case dto.MetricType_SUMMARY:
		return metric.Summary
	}
	return metric.Unknown
}

// sameShape reports whether series with these descriptions, which have the same name, can be in one family.
func sameShape(a, b *metric.Desc) bool {
	return a.Native == b.Native && a.KeepClassic == b.KeepClassic && slices.Equal(a.Buckets, b.Buckets) && slices.Equal(a.Quantiles, b.Quantiles)
}

// setLabels sets the labels of a series: those of the metric and those of the group. If both have a label with the same name, the label of
// the group is used.
func (c *converter) setLabels(s *metric.Series, m *dto.Metric, typ metric.Type) error {
	c.labels = c.labels[:0]
	for _, p := range m.Label {
		name, value := p.GetName(), p.GetValue()
		switch {
		case !c.scheme.IsValidLabelName(name) || name == model.MetricNameLabel:
			return fmt.Errorf("%.80q is not a valid label name", name)
		case name == model.BucketLabel && typ == metric.Histogram, name == model.QuantileLabel && typ == metric.Summary:
			return fmt.Errorf("the label %s is reserved for buckets or quantiles", name)
		case !model.LabelValue(value).IsValid():
			return fmt.Errorf("the value of label %s is not UTF-8", name)
		case slices.ContainsFunc(c.labels, func(l metric.Label) bool { return l.Name == name }):
			return fmt.Errorf("has the label %s twice", name)
		}
		c.labels = append(c.labels, metric.Label{Name: name, Value: value})
	}
	for _, l := range c.grouping {
		if at := slices.IndexFunc(c.labels, func(own metric.Label) bool { return own.Name == l.Name }); at >= 0 {
			c.labels[at].Value = l.Value
		} else {
			c.labels = append(c.labels, l)
		}
	}
	s.Labels = c.set()
	return nil
}

// set returns the label set for c.labels.
func (c *converter) set() *metric.LabelSet {
	slices.SortFunc(c.labels, byName)
	c.encoded = c.encoded[:0]
	for _, l := range c.labels {
		if l.Value != "" && !slices.Contains(c.drop, l.Name) {
			c.encoded = metric.AppendLabel(c.encoded, l.Name, l.Value)
		}
	}
	set := c.sets[string(c.encoded)]
	if set == nil {
		set = metric.LabelSetOf(c.encoded)
		c.sets[string(c.encoded)] = set
	}
	return set
}

// setValue sets the value of a series, and the fields of its description that depend on the value.
func setValue(d *metric.Desc, s *metric.Series, m *dto.Metric) error {
	switch {
	case d.Type == metric.Counter && m.Counter != nil:
		s.Value, s.Start = m.Counter.GetValue(), startOf(m.Counter.GetCreatedTimestamp())
		if e := m.Counter.GetExemplar(); e != nil {
			s.More = &metric.More{Exemplars: appendExemplar(nil, e, 0)}
		}
	case d.Type == metric.Gauge && m.Gauge != nil:
		s.Value = m.Gauge.GetValue()
	case d.Type == metric.Unknown && m.Untyped != nil:
		s.Value = m.Untyped.GetValue()
	case d.Type == metric.Summary && m.Summary != nil:
		s.Start = startOf(m.Summary.GetCreatedTimestamp())
		return setSummary(d, s, m.Summary)
	case (d.Type == metric.Histogram || d.Type == metric.GaugeHistogram) && m.Histogram != nil:
		s.Start = startOf(m.Histogram.GetCreatedTimestamp())
		return setHistogram(d, s, m.Histogram)
	default:
		return fmt.Errorf("is not a %s", d.Type)
	}
	return nil
}

// startOf returns a start timestamp in Unix milliseconds, or 0 if there is none or it is not plausible.
func startOf(t interface {
	GetSeconds() int64
	GetNanos() int32
},
) int64 {
	if seconds := t.GetSeconds(); seconds > 0 && seconds < 1<<40 {
		return seconds*1000 + int64(t.GetNanos())/1e6
	}
	return 0
}

func setSummary(d *metric.Desc, s *metric.Series, pushed *dto.Summary) error {
	v := &metric.SummaryValue{Count: pushed.GetSampleCount(), Sum: pushed.GetSampleSum()}
	all := slices.Clone(pushed.Quantile)
	slices.SortFunc(all, func(a, b *dto.Quantile) int { return compareFloats(a.GetQuantile(), b.GetQuantile()) })
	for i, q := range all {
		if i > 0 && q.GetQuantile() == all[i-1].GetQuantile() {
			return fmt.Errorf("has the quantile %v twice", q.GetQuantile())
		}
		d.Quantiles, v.Quantiles = append(d.Quantiles, q.GetQuantile()), append(v.Quantiles, q.GetValue())
	}
	s.More = &metric.More{Summary: v}
	return nil
}

func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func setHistogram(d *metric.Desc, s *metric.Series, pushed *dto.Histogram) error {
	v := &metric.HistogramValue{Sum: pushed.GetSampleSum()}
	if isNative(pushed) {
		var err error
		if v, err = nativeOf(pushed, d.Type == metric.GaugeHistogram); err != nil {
			return err
		}
		d.Native = true
	} else if d.Type == metric.GaugeHistogram {
		return errors.New("is a gauge histogram without native buckets, which cannot be passed on; push gauges")
	}
	s.More = &metric.More{Histogram: v}
	for i, b := range pushed.Bucket {
		s.More.Exemplars = appendExemplar(s.More.Exemplars, b.GetExemplar(), i+1)
	}
	for _, e := range pushed.GetExemplars() {
		s.More.Exemplars = appendExemplar(s.More.Exemplars, e, 0)
	}
	if len(pushed.Bucket) == 0 && d.Native || v.Native != nil && v.Native.Fractions {
		return nil
	}
	d.KeepClassic = d.Native // so that everything that was pushed is passed on
	return setClassic(d, v, pushed)
}

// setClassic sets the classic buckets of a histogram.
func setClassic(d *metric.Desc, v *metric.HistogramValue, pushed *dto.Histogram) error {
	count, err := whole(pushed.GetSampleCount(), pushed.SampleCountFloat)
	if err != nil {
		return err
	}
	before, last := uint64(0), math.Inf(-1)
	for _, b := range pushed.Bucket {
		bound := b.GetUpperBound()
		cumulative, err := whole(b.GetCumulativeCount(), b.CumulativeCountFloat)
		switch {
		case err != nil:
			return err
		case math.IsInf(bound, 1):
			if count == 0 {
				count = cumulative // _count is missing in the push
			}
			if count != cumulative {
				return fmt.Errorf("counts %d observations, but %d in the bucket +Inf", count, cumulative)
			}
			continue
		case !(bound > last) && len(d.Buckets) > 0, math.IsNaN(bound):
			return fmt.Errorf("the bucket %v is behind %v: bounds must ascend", bound, last)
		case cumulative < before:
			return fmt.Errorf("the bucket %v has %d observations, fewer than the one before: counts are cumulative", bound, cumulative)
		}
		d.Buckets, v.Counts = append(d.Buckets, bound), append(v.Counts, cumulative-before)
		before, last = cumulative, bound
	}
	if count < before {
		return fmt.Errorf("counts %d observations, but %d in its last bucket", count, before)
	}
	v.Count, v.Counts = count, append(v.Counts, count-before)
	return nil
}

// whole returns a count, which may be given as a float.
func whole(count uint64, float *float64) (uint64, error) {
	if float == nil {
		return count, nil
	}
	if *float < 0 || *float != math.Trunc(*float) || *float >= 1<<53 {
		return 0, fmt.Errorf("has the count %v: classic histograms with fractions cannot be passed on", *float)
	}
	return uint64(*float), nil
}

// isNative reports whether a histogram has native buckets, by the same rule as in Prometheus.
func isNative(h *dto.Histogram) bool {
	return h.GetZeroThreshold() > 0 || h.GetZeroCount() > 0 || h.GetZeroCountFloat() > 0 || len(h.GetPositiveSpan()) > 0 || len(h.GetNegativeSpan()) > 0
}

func nativeOf(h *dto.Histogram, isGauge bool) (*metric.HistogramValue, error) {
	spans := func(pushed []*dto.BucketSpan) []histogram.Span {
		all := make([]histogram.Span, len(pushed))
		for i, s := range pushed {
			all[i] = histogram.Span{Offset: s.GetOffset(), Length: s.GetLength()}
		}
		return all
	}
	hint := histogram.UnknownCounterReset
	if isGauge {
		hint = histogram.GaugeType
	}
	if h.GetSampleCountFloat() > 0 || h.GetZeroCountFloat() > 0 {
		return native.Value(nil, &histogram.FloatHistogram{
			CounterResetHint: hint, Schema: h.GetSchema(), ZeroThreshold: h.GetZeroThreshold(), ZeroCount: h.GetZeroCountFloat(),
			Count: h.GetSampleCountFloat(), Sum: h.GetSampleSum(), PositiveSpans: spans(h.PositiveSpan), NegativeSpans: spans(h.NegativeSpan),
			PositiveBuckets: h.PositiveCount, NegativeBuckets: h.NegativeCount,
		})
	}
	return native.Value(&histogram.Histogram{
		CounterResetHint: hint, Schema: h.GetSchema(), ZeroThreshold: h.GetZeroThreshold(), ZeroCount: h.GetZeroCount(),
		Count: h.GetSampleCount(), Sum: h.GetSampleSum(), PositiveSpans: spans(h.PositiveSpan), NegativeSpans: spans(h.NegativeSpan),
		PositiveBuckets: h.PositiveDelta, NegativeBuckets: h.NegativeDelta,
	}, nil)
}

// maxExemplar is the maximum number of characters in the labels of an exemplar (OpenMetrics 1.0, section "Exemplars").
const maxExemplar = 128

// appendExemplar appends an exemplar. It skips an exemplar without labels. For the argument "sample", see metric.Exemplar.
func appendExemplar(all []metric.Exemplar, e *dto.Exemplar, sample int) []metric.Exemplar {
	if len(e.GetLabel()) == 0 {
		return all
	}
	made, size := metric.Exemplar{Value: e.GetValue(), Time: startOf(e.GetTimestamp()), Sample: sample}, 0
	for _, l := range e.Label {
		if size += utf8.RuneCountInString(l.GetName()) + utf8.RuneCountInString(l.GetValue()); size > maxExemplar {
			return all // receivers would refuse it
		}
		if l.GetValue() != "" && model.LabelValue(l.GetValue()).IsValid() && model.UTF8Validation.IsValidLabelName(l.GetName()) {
			made.Labels = append(made.Labels, metric.Label{Name: l.GetName(), Value: l.GetValue()})
		}
	}
	slices.SortFunc(made.Labels, byName)
	return append(all, made)
}
