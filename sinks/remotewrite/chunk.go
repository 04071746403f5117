package remotewrite

import (
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// sample is one number of a series at a time. It is encoded when it is sent, in the protocol of that moment.
type sample struct {
	series    *series
	time      int64 // Unix milliseconds
	start     int64 // start timestamp, 0 = none
	value     float64
	histogram *metric.HistogramValue // of a native histogram; nil = value counts
}

// zero is the sample that says: until the start of m, this running total was zero. Without it, a query sees a new total's
// first value but not that it rose to it.
func (m sample) zero() sample {
	z := sample{series: m.series, time: m.start, start: m.start}
	if m.histogram != nil {
		n := m.histogram.Native
		z.histogram = &metric.HistogramValue{
			Native: &metric.NativeBuckets{Schema: n.Schema, ZeroThreshold: n.ZeroThreshold},
		}
	}
	return z
}

// isZero tells samples made by zero from all others: the start of a real sample lies before it.
func (m *sample) isZero() bool { return m.start != 0 && m.start == m.time }

// chunk is what goes into one request: whole units, in the order in which they were written.
type chunk struct {
	samples []sample
	taken   time.Time
}

// written counts samples in the way the specification does: native histograms apart.
type written struct{ samples, histograms int }

func count(samples []sample) (w written) {
	for i := range samples {
		if samples[i].histogram != nil {
			w.histograms++
		} else {
			w.samples++
		}
	}
	return w
}

// withoutZeros is a copy of the samples without those made by zero.
func withoutZeros(samples []sample) []sample {
	return slices.DeleteFunc(slices.Clone(samples), func(m sample) bool { return m.isZero() })
}

// cutter cuts a batch into requests of at most max samples, never through a unit.
type cutter struct {
	max      int
	expected int
	open     []sample // the unit in hand
	now      []sample // the request in hand
	full     [][]sample
}

func newCutter(max int) *cutter { return &cutter{max: max} }

// expect says how many samples will come at least.
func (c *cutter) expect(n int) { c.expected = n }

// add adds a sample to the unit in hand.
func (c *cutter) add(m sample) { c.open = append(c.open, m) }

// unit ends the unit in hand.
func (c *cutter) unit() {
	if len(c.now)+len(c.open) > c.max && len(c.now) > 0 {
		c.full = append(c.full, c.now)
		c.now = nil
	}
	if c.now == nil {
		c.now = make([]sample, 0, max(len(c.open), min(c.max, c.expected)))
	}
	c.now = append(c.now, c.open...)
	c.expected -= len(c.open)
	c.open = c.open[:0]
}

// done gives the requests.
func (c *cutter) done() [][]sample {
	if len(c.now) > 0 {
		c.full = append(c.full, c.now)
	}
	return c.full
}
