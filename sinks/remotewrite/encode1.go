package remotewrite

import (
	"github.com/prometheus/prometheus/prompb"

	"github.com/collectington/collectington/agent/metric"
)

// encoder1 writes requests of protocol 1.0, prometheus.WriteRequest. It keeps its memory from request to request.
type encoder1 struct {
	request    prompb.WriteRequest
	labels     []prompb.Label
	samples    []prompb.Sample
	histograms []prompb.Histogram
	body       []byte
}

// encode gives a request with the samples, and the metadata of families. The bytes are valid until the next call.
func (e *encoder1) encode(samples []sample, families []*metric.Desc) ([]byte, error) {
	q := &e.request
	q.Timeseries, q.Metadata = q.Timeseries[:0], q.Metadata[:0]
	e.labels, e.samples, e.histograms = e.labels[:0], e.samples[:0], e.histograms[:0]
	for len(samples) > 0 {
		n := run(samples)
		q.Timeseries = append(q.Timeseries, e.series(samples[:n]))
		samples = samples[n:]
	}
	for _, d := range families {
		q.Metadata = append(q.Metadata, prompb.MetricMetadata{
			MetricFamilyName: d.Name,
			Type:             type1(d.Type),
			Help:             d.Help,
			Unit:             d.Unit,
		})
	}
	size := q.Size()
	if cap(e.body) < size {
		e.body = make([]byte, size)
	}
	e.body = e.body[:size]
	_, err := q.MarshalToSizedBuffer(e.body)
	return e.body, err
}

// series is the samples of one series.
func (e *encoder1) series(samples []sample) (ts prompb.TimeSeries) {
	labels, floats, histograms := len(e.labels), len(e.samples), len(e.histograms)
	for _, l := range samples[0].series.labels {
		e.labels = append(e.labels, prompb.Label{Name: l.Name, Value: l.Value})
	}
	for i := range samples {
		if m := &samples[i]; m.histogram != nil {
			e.histograms = append(e.histograms, histogram1(m))
		} else {
			e.samples = append(e.samples, prompb.Sample{Value: m.value, Timestamp: m.time})
		}
	}
	ts.Labels, ts.Samples, ts.Histograms = e.labels[labels:], e.samples[floats:], e.histograms[histograms:]
	return ts
}

func histogram1(m *sample) prompb.Histogram {
	n := m.histogram.Native
	h := prompb.Histogram{
		Count:         &prompb.Histogram_CountInt{CountInt: m.histogram.Count},
		Sum:           m.histogram.Sum,
		Schema:        n.Schema,
		ZeroThreshold: n.ZeroThreshold,
		ZeroCount:     &prompb.Histogram_ZeroCountInt{ZeroCountInt: n.ZeroCount},
		ResetHint:     prompb.Histogram_UNKNOWN,
		Timestamp:     m.time,
	}
	span := func(offset int32, length uint32) prompb.BucketSpan {
		return prompb.BucketSpan{Offset: offset, Length: length}
	}
	h.PositiveSpans, h.PositiveDeltas = spans(n.Positive, span)
	h.NegativeSpans, h.NegativeDeltas = spans(n.Negative, span)
	return h
}

func type1(t metric.Type) prompb.MetricMetadata_MetricType {
	switch t {
	case metric.Gauge:
		return prompb.MetricMetadata_GAUGE
	case metric.Counter:
		return prompb.MetricMetadata_COUNTER
	case metric.Histogram:
		return prompb.MetricMetadata_HISTOGRAM
	case metric.Summary:
		return prompb.MetricMetadata_SUMMARY
	}
	return prompb.MetricMetadata_UNKNOWN
}
