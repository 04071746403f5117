package samples

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources/native"
)

// reference is a Request that the types of Prometheus have decoded.
type reference struct{ Request }

// reference does the same as Decode, but with the types of Prometheus.
func (f *Families) reference(raw []byte, isV2 bool) (*reference, error) {
	q := &reference{}
	if isV2 {
		var pushed writev2.Request
		if err := pushed.Unmarshal(raw); err != nil {
			return nil, fmt.Errorf("the request is not a valid io.prometheus.write.v2.Request, which is an error of the sender: %w", err)
		}
		if len(pushed.Symbols) > 0 && pushed.Symbols[0] != "" {
			return nil, errors.New("the request is not a valid io.prometheus.write.v2.Request, which is an error of the sender: the first symbol is not empty")
		}
		q.Stream = make(metric.Stream, 0, len(pushed.Timeseries))
		for i := range pushed.Timeseries {
			q.addV2(f, &pushed.Timeseries[i], pushed.Symbols)
		}
		return q, nil
	}
	var pushed prompb.WriteRequest
	if err := pushed.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("the request is not a valid prometheus.WriteRequest, which is an error of the sender: %w", err)
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

func (q *reference) addV1(f *Families, pushed *prompb.TimeSeries) {
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

func (q *reference) addV2(f *Families, pushed *writev2.TimeSeries, symbols []string) {
	all := len(pushed.Samples) + len(pushed.Histograms)
	labels, err := resolve(pushed.LabelsRefs, symbols)
	if err == nil {
		labels, err = sortLabels(labels)
	}
	m := &pushed.Metadata
	if err == nil && (int(m.HelpRef) >= len(symbols) || int(m.UnitRef) >= len(symbols)) {
		err = fmt.Errorf("series %s refers to symbols that the request does not have, which is an error of the sender", metric.Labels(labels))
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

// addHistogram adds a native histogram to a series, or leaves it out.
func (q *reference) addHistogram(s *metric.StreamSeries, time, start int64, ints func() *histogram.Histogram, floats func() *histogram.FloatHistogram) {
	var v *metric.HistogramValue
	var err error
	if h := ints(); h != nil {
		v, err = native.Value(h, nil)
	} else {
		v, err = native.Value(nil, floats())
	}
	if err != nil {
		q.leave(1, fmt.Errorf("series %s: %w", "x", err))
		return
	}
	s.Samples = append(s.Samples, metric.StreamSample{Time: time, Start: start, Histogram: v})
}

// addExemplar adds an exemplar to a series. An exemplar with invalid labels is left out without an error, as in Prometheus.
func (q *reference) addExemplar(s *metric.StreamSeries, e metric.Exemplar) {
	for _, l := range e.Labels {
		if !model.UTF8Validation.IsValidLabelName(l.Name) || !model.LabelValue(l.Value).IsValid() {
			return
		}
	}
	slices.SortFunc(e.Labels, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
	s.Exemplars = append(s.Exemplars, e)
}

// add adds a series to the stream, and counts it.
func (q *reference) add(s *metric.StreamSeries) {
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

// FuzzReference checks that Decode returns the same result for a request as decoding it with the types of Prometheus.
func FuzzReference(f *testing.F) {
	f.Add(encoded(f, v1()), false)
	f.Add(encoded(f, v2()), true)
	f.Fuzz(func(t *testing.T, raw []byte, isV2 bool) {
		want, failed := new(Families).reference(raw, isV2)
		got, err := new(Families).Decode(raw, isV2)
		if err != nil && !errors.Is(err, errKind) && !strings.Contains(err.Error(), "symbol") {
			return // a syntax error: the types of Prometheus accept groups, which protobuf has dropped, and impossible field numbers
		}
		if (err == nil) != (failed == nil) {
			t.Fatalf("error %v, that of Prometheus is %v", err, failed)
		}
		if err != nil {
			return
		}
		if a, b := lines(want.Stream), lines(got.Stream); a != b {
			t.Fatalf("decoded is\n%swanted is\n%s", b, a)
		}
		if want.Left != got.Left || want.Samples != got.Samples || want.Histograms != got.Histograms || want.Exemplars != got.Exemplars {
			t.Fatalf("counts %+v, want %+v", got, want.Request)
		}
	})
}
