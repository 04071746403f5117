// Package samples decodes remote-write requests, 1.0 and 2.0, to streams.
//
// The messages are decoded by Prometheus' own types. A series that no receiver can store costs itself alone: it is left out, and said.
package samples

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources/native"
	"github.com/collectington/collectington/sources/receive/protobuf"
)

const (
	maxFields    = 2_000_000 // of a request, each of which takes up to a hundred bytes in memory
	maxLabels    = 256       // of a series
	maxLabelSize = 64 << 10  // of the labels of a series, in bytes: in 2.0 all can refer to one long string
)

// Request is a decoded request.
type Request struct {
	Stream     metric.Stream
	Samples    int // in Stream, without histograms
	Histograms int
	Exemplars  int

	Left  int   // samples and histograms that were left out
	First error // why the first of them was
}

// Decode decodes a request that is not compressed any more. An error means that nothing of it can be used.
func (f *Families) Decode(raw []byte, isV2 bool) (*Request, error) {
	if _, ok := protobuf.Fits(raw, maxFields); !ok {
		return nil, fmt.Errorf("the request has more than %d fields", maxFields)
	}
	q := &Request{}
	if isV2 {
		var pushed writev2.Request
		if err := pushed.Unmarshal(raw); err != nil {
			return nil, fmt.Errorf("decode io.prometheus.write.v2.Request: %s", text.OneLine(err.Error()))
		}
		if len(pushed.Symbols) > 0 && pushed.Symbols[0] != "" {
			return nil, errors.New("decode io.prometheus.write.v2.Request: the first symbol is not empty")
		}
		q.Stream = make(metric.Stream, 0, len(pushed.Timeseries))
		for i := range pushed.Timeseries {
			q.addV2(f, &pushed.Timeseries[i], pushed.Symbols)
		}
		return q, nil
	}
	var pushed prompb.WriteRequest
	if err := pushed.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("decode prometheus.WriteRequest: %s", text.OneLine(err.Error()))
	}
	for i := range pushed.Metadata {
		m := &pushed.Metadata[i]
		f.learn(metadata{m.MetricFamilyName, typeOf(int32(m.Type)), valid(m.Help), valid(m.Unit)})
	}
	q.Stream = make(metric.Stream, 0, len(pushed.Timeseries))
	for i := range pushed.Timeseries {
		q.addV1(f, &pushed.Timeseries[i])
	}
	return q, nil
}

func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// typeOf returns a type by its number, which is the same in both protocols for all types.
func typeOf(number int32) metric.Type {
	switch prompb.MetricMetadata_MetricType(number) {
	case prompb.MetricMetadata_COUNTER:
		return metric.Counter
	case prompb.MetricMetadata_GAUGE:
		return metric.Gauge
	case prompb.MetricMetadata_HISTOGRAM:
		return metric.Histogram
	case prompb.MetricMetadata_GAUGEHISTOGRAM:
		return metric.GaugeHistogram
	case prompb.MetricMetadata_SUMMARY:
		return metric.Summary
	case prompb.MetricMetadata_INFO:
		return metric.Info
	case prompb.MetricMetadata_STATESET:
		return metric.StateSet
	}
	return metric.Unknown
}

// leave counts samples that are left out.
func (q *Request) leave(n int, err error) {
	if n == 0 {
		return
	}
	if q.Left += n; q.First == nil {
		q.First = err
	}
}

func (q *Request) addV1(f *Families, pushed *prompb.TimeSeries) {
	labels := make([]metric.Label, 0, len(pushed.Labels))
	for _, l := range pushed.Labels {
		labels = append(labels, metric.Label{Name: l.Name, Value: l.Value})
	}
	labels, err := sortLabels(labels)
	if err != nil {
		q.leave(len(pushed.Samples)+len(pushed.Histograms), err)
		return
	}
	s := metric.StreamSeries{Labels: labels, Family: f.ofSeries(metric.Labels(labels).Get(model.MetricNameLabel))}
	for _, p := range pushed.Samples {
		s.Samples = append(s.Samples, metric.StreamSample{Time: p.Timestamp, Value: p.Value})
	}
	for i := range pushed.Histograms {
		h := &pushed.Histograms[i]
		q.addHistogram(&s, h.Timestamp, 0, h.ToIntHistogram, h.ToFloatHistogram)
	}
	for _, e := range pushed.Exemplars {
		made := metric.Exemplar{Value: e.Value, Time: e.Timestamp}
		for _, l := range e.Labels {
			made.Labels = append(made.Labels, metric.Label{Name: l.Name, Value: l.Value})
		}
		q.addExemplar(&s, made)
	}
	q.add(&s)
}

func (q *Request) addV2(f *Families, pushed *writev2.TimeSeries, symbols []string) {
	all := len(pushed.Samples) + len(pushed.Histograms)
	labels, err := resolve(pushed.LabelsRefs, symbols)
	if err == nil {
		labels, err = sortLabels(labels)
	}
	m := &pushed.Metadata
	if err == nil && (int(m.HelpRef) >= len(symbols) || int(m.UnitRef) >= len(symbols)) {
		err = fmt.Errorf("series %s refers to symbols that the request does not have", metric.Labels(labels))
	}
	if err != nil {
		q.leave(all, err)
		return
	}
	known := metadata{metric.Labels(labels).Get(model.MetricNameLabel), typeOfV2(m.Type), valid(symbols[m.HelpRef]), valid(symbols[m.UnitRef])}
	s := metric.StreamSeries{Labels: labels, Family: f.describe(known, len(pushed.Histograms) > 0)}
	for _, p := range pushed.Samples {
		s.Samples = append(s.Samples, metric.StreamSample{Time: p.Timestamp, Value: p.Value, Start: p.StartTimestamp})
	}
	for i := range pushed.Histograms {
		h := &pushed.Histograms[i]
		q.addHistogram(&s, h.Timestamp, h.StartTimestamp, h.ToIntHistogram, h.ToFloatHistogram)
	}
	for _, e := range pushed.Exemplars {
		made := metric.Exemplar{Value: e.Value, Time: e.Timestamp}
		if made.Labels, err = resolve(e.LabelsRefs, symbols); err == nil {
			q.addExemplar(&s, made)
		}
	}
	q.add(&s)
}

// typeOfV2 returns a type by its number in 2.0.
func typeOfV2(t writev2.Metadata_MetricType) metric.Type {
	switch t {
	case writev2.Metadata_METRIC_TYPE_COUNTER:
		return metric.Counter
	case writev2.Metadata_METRIC_TYPE_GAUGE:
		return metric.Gauge
	case writev2.Metadata_METRIC_TYPE_HISTOGRAM:
		return metric.Histogram
	case writev2.Metadata_METRIC_TYPE_GAUGEHISTOGRAM:
		return metric.GaugeHistogram
	case writev2.Metadata_METRIC_TYPE_SUMMARY:
		return metric.Summary
	case writev2.Metadata_METRIC_TYPE_INFO:
		return metric.Info
	case writev2.Metadata_METRIC_TYPE_STATESET:
		return metric.StateSet
	}
	return metric.Unknown
}

// resolve returns the labels that pairs of references name.
func resolve(refs []uint32, symbols []string) ([]metric.Label, error) {
	if len(refs)%2 != 0 {
		return nil, errors.New("a series has a label name without a value")
	}
	labels := make([]metric.Label, 0, min(len(refs)/2, maxLabels+1))
	for i := 0; i < len(refs) && len(labels) <= maxLabels; i += 2 {
		if int(refs[i]) >= len(symbols) || int(refs[i+1]) >= len(symbols) {
			return nil, errors.New("a series refers to symbols that the request does not have")
		}
		labels = append(labels, metric.Label{Name: symbols[refs[i]], Value: symbols[refs[i+1]]})
	}
	return labels, nil
}

// sortLabels sorts labels, without empty ones. The error says why no receiver would store the series.
func sortLabels(labels []metric.Label) ([]metric.Label, error) {
	labels = slices.DeleteFunc(labels, func(l metric.Label) bool { return l.Value == "" })
	slices.SortFunc(labels, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
	size, name := 0, ""
	for i, l := range labels {
		size += len(l.Name) + len(l.Value)
		switch {
		case i == maxLabels || size > maxLabelSize:
			return nil, fmt.Errorf("a series has more than %d labels, or labels of more than %d bytes", maxLabels, maxLabelSize)
		case !model.UTF8Validation.IsValidLabelName(l.Name) || !model.LabelValue(l.Value).IsValid():
			return nil, fmt.Errorf("a series has the label %.80q, which is not valid", l.Name)
		case i > 0 && l.Name == labels[i-1].Name:
			return nil, fmt.Errorf("a series has the label %.80q twice", l.Name)
		case l.Name == model.MetricNameLabel:
			name = l.Value
		}
	}
	if name == "" {
		return nil, fmt.Errorf("the series %s has no metric name", text.Cut(metric.Labels(labels).String(), 200))
	}
	return labels, nil
}

// addHistogram adds a native histogram to a series, or leaves it out.
func (q *Request) addHistogram(s *metric.StreamSeries, time, start int64, ints func() *histogram.Histogram, floats func() *histogram.FloatHistogram) {
	var v *metric.HistogramValue
	var err error
	if h := ints(); h != nil {
		v, err = native.Value(h, nil)
	} else {
		v, err = native.Value(nil, floats())
	}
	if err != nil {
		q.leave(1, fmt.Errorf("series %s: %w", text.Cut(metric.Labels(s.Labels).String(), 200), err))
		return
	}
	s.Samples = append(s.Samples, metric.StreamSample{Time: time, Start: start, Histogram: v})
}

// addExemplar adds an exemplar to a series. One with labels that are not valid is left out, as Prometheus does without an error.
func (q *Request) addExemplar(s *metric.StreamSeries, e metric.Exemplar) {
	for _, l := range e.Labels {
		if !model.UTF8Validation.IsValidLabelName(l.Name) || !model.LabelValue(l.Value).IsValid() {
			return
		}
	}
	slices.SortFunc(e.Labels, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
	s.Exemplars = append(s.Exemplars, e)
}

// add adds a series to the stream, and counts it.
func (q *Request) add(s *metric.StreamSeries) {
	if len(s.Samples)+len(s.Exemplars) == 0 {
		return
	}
	for i := range s.Samples {
		if s.Samples[i].Histogram != nil {
			q.Histograms++
		} else {
			q.Samples++
		}
	}
	q.Exemplars += len(s.Exemplars)
	q.Stream = append(q.Stream, *s)
}
