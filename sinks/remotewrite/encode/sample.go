package encode

import (
	"slices"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// sample is one value of a series. It has no pointers, since the garbage collector would have to follow them, and a batch can have a
// million samples.
type sample struct {
	time  int64 // Unix milliseconds
	start int64 // start timestamp in Unix milliseconds; 0 = none
	value float64
	part  int32 // the series: an index of the group's parts
	extra int32 // what else the sample has: 1 + the index in sampleBuffer.extras; 0 = nothing
}

// isZero reports whether m is a zero before the first sample of a running total. All other samples have no start timestamp, or one that is
// before their time.
func (m *sample) isZero() bool { return m.start != 0 && m.start == m.time }

// extra is what few samples have.
type extra struct {
	histogram *metric.HistogramValue // a native histogram, in place of value; nil = the sample has a value
	exemplars []metric.Exemplar      // exemplars that were not sent before
}

func (x *extra) isEmpty() bool { return x.histogram == nil && x.exemplars == nil }

// zero returns a sample with value zero at the start timestamp of m. Without the zero, a query does not see the increase from zero to the
// first value of a running total.
func zero(m sample, x extra) (sample, extra) {
	z, zx := sample{part: m.part, time: m.start, start: m.start}, extra{}
	if x.histogram != nil {
		n := x.histogram.Native
		zx.histogram = &metric.HistogramValue{
			Native: &metric.NativeBuckets{Schema: n.Schema, ZeroThreshold: n.ZeroThreshold, Bounds: n.Bounds, Fractions: n.Fractions},
		}
	}
	return z, zx
}

// sampleBuffer holds the samples of the batch that is being encoded.
type sampleBuffer struct {
	samples  []sample
	extras   []extra
	trailing []groupSamples // further samples of groups, and staleness markers of groups that have ended; written last
	protocol wire.Protocol  // the protocol in which the samples will be sent
	trial    *wire.Builder  // for trial encodings; used only while no request is being built
}

// sampleRange is a range of indexes into a sampleBuffer.
type sampleRange struct{ from, to int32 }

type groupSamples struct {
	group   *group
	samples sampleRange
}

// reset removes all samples and makes room for size samples.
func (b *sampleBuffer) reset(size int) {
	clear(b.extras)
	b.samples, b.extras, b.trailing = slices.Grow(b.samples[:0], size), b.extras[:0], b.trailing[:0]
}

func (b *sampleBuffer) add(m sample, x extra) {
	if !x.isEmpty() {
		b.extras = append(b.extras, x)
		m.extra = int32(len(b.extras))
	}
	b.samples = append(b.samples, m)
}

// since returns a range of samples. It begins at the given index and ends with the last sample.
func (b *sampleBuffer) since(from int) sampleRange {
	return sampleRange{int32(from), int32(len(b.samples))}
}

func (b *sampleBuffer) slice(r sampleRange) []sample { return b.samples[r.from:r.to] }

// write writes samples of a group.
func (b *sampleBuffer) write(to *wire.Builder, g *group, samples []sample) {
	parts := g.parts()
	for i := range samples {
		m := &samples[i]
		s, x := &parts[m.part].wire, extra{}
		if m.extra > 0 {
			x = b.extras[m.extra-1]
		}
		if x.histogram != nil {
			to.AddHistogram(s, m.time, x.histogram, m.start)
		} else {
			to.Add(s, m.time, m.value, m.start)
		}
		for _, e := range x.exemplars {
			to.AddExemplar(s, e.Labels, e.Value, e.Time)
		}
	}
}
