package remotewrite

import (
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// sample is one number of a series at a time.
type sample struct {
	series    *series
	time      int64 // Unix milliseconds
	start     int64 // start timestamp, 0 = none
	value     float64
	histogram *metric.HistogramValue // of a native histogram; nil = value counts
	exemplars *[]metric.Exemplar     // that have not been told yet; nil = none
}

// zero is the sample that says: until the start of m, this running total was zero. Without it, a query sees a new total's
// first value but not that it rose to it.
func (m sample) zero() sample {
	z := sample{series: m.series, time: m.start, start: m.start}
	if m.histogram != nil {
		n := m.histogram.Native
		z.histogram = &metric.HistogramValue{
			Native: &metric.NativeBuckets{Schema: n.Schema, ZeroThreshold: n.ZeroThreshold, Bounds: n.Bounds, Fractions: n.Fractions},
		}
	}
	return z
}

// isZero tells such a sample from others, whose start is before their time.
func (m *sample) isZero() bool { return m.start != 0 && m.start == m.time }

// write adds the sample to a request.
func (m *sample) write(b *wire.Builder) {
	if m.histogram != nil {
		b.AddHistogram(&m.series.wire, m.time, m.histogram, m.start)
	} else {
		b.Add(&m.series.wire, m.time, m.value, m.start)
	}
	if m.exemplars == nil {
		return
	}
	for _, e := range *m.exemplars {
		if e.Time == 0 {
			e.Time = m.time
		}
		b.AddExemplar(&m.series.wire, e.Labels, e.Value, e.Time)
	}
}
