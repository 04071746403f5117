package remotewrite

import (
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/collectington/collectington/agent/metric"
)

// encoder2 writes requests of protocol 2.0, io.prometheus.write.v2.Request as of 2.0-rc.4: start timestamps are on the
// samples. It keeps its memory from request to request.
type encoder2 struct {
	request    writev2.Request
	symbols    writev2.SymbolsTable
	refs       []uint32
	samples    []writev2.Sample
	histograms []writev2.Histogram
	body       []byte
}

// encode gives a request with the samples and their metadata. The bytes are valid until the next call.
func (e *encoder2) encode(samples []sample) ([]byte, error) {
	if e.symbols.Symbols() == nil {
		e.symbols = writev2.NewSymbolTable()
	}
	q := &e.request
	e.symbols.Reset()
	q.Timeseries = q.Timeseries[:0]
	e.refs, e.samples, e.histograms = e.refs[:0], e.samples[:0], e.histograms[:0]
	for len(samples) > 0 {
		n := run(samples)
		q.Timeseries = append(q.Timeseries, e.series(samples[:n]))
		samples = samples[n:]
	}
	q.Symbols = e.symbols.Symbols()
	var err error
	e.body, err = q.OptimizedMarshal(e.body[:0])
	return e.body, err
}

// series is the samples of one series.
func (e *encoder2) series(samples []sample) (ts writev2.TimeSeries) {
	s := samples[0].series
	refs, floats, histograms := len(e.refs), len(e.samples), len(e.histograms)
	for _, l := range s.labels {
		e.refs = append(e.refs, e.symbols.Symbolize(l.Name), e.symbols.Symbolize(l.Value))
	}
	for i := range samples {
		if m := &samples[i]; m.histogram != nil {
			e.histograms = append(e.histograms, histogram2(m))
		} else {
			e.samples = append(e.samples, writev2.Sample{Value: m.value, Timestamp: m.time, StartTimestamp: m.start})
		}
	}
	ts.LabelsRefs, ts.Samples, ts.Histograms = e.refs[refs:], e.samples[floats:], e.histograms[histograms:]
	ts.Metadata = writev2.Metadata{
		Type:    type2(s.desc.Type),
		HelpRef: e.symbols.Symbolize(s.desc.Help),
		UnitRef: e.symbols.Symbolize(s.desc.Unit),
	}
	return ts
}

func histogram2(m *sample) writev2.Histogram {
	n := m.histogram.Native
	h := writev2.Histogram{
		Count:          &writev2.Histogram_CountInt{CountInt: m.histogram.Count},
		Sum:            m.histogram.Sum,
		Schema:         n.Schema,
		ZeroThreshold:  n.ZeroThreshold,
		ZeroCount:      &writev2.Histogram_ZeroCountInt{ZeroCountInt: n.ZeroCount},
		ResetHint:      writev2.Histogram_RESET_HINT_UNSPECIFIED,
		Timestamp:      m.time,
		StartTimestamp: m.start,
	}
	span := func(offset int32, length uint32) writev2.BucketSpan {
		return writev2.BucketSpan{Offset: offset, Length: length}
	}
	h.PositiveSpans, h.PositiveDeltas = spans(n.Positive, span)
	h.NegativeSpans, h.NegativeDeltas = spans(n.Negative, span)
	return h
}

func type2(t metric.Type) writev2.Metadata_MetricType {
	switch t {
	case metric.Gauge:
		return writev2.Metadata_METRIC_TYPE_GAUGE
	case metric.Counter:
		return writev2.Metadata_METRIC_TYPE_COUNTER
	case metric.Histogram:
		return writev2.Metadata_METRIC_TYPE_HISTOGRAM
	case metric.Summary:
		return writev2.Metadata_METRIC_TYPE_SUMMARY
	}
	return writev2.Metadata_METRIC_TYPE_UNSPECIFIED
}
