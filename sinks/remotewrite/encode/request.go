package encode

import (
	"slices"
	"time"

	"github.com/golang/snappy"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// requestWriter writes samples into compressed requests. Each request is a record of the queue. A requestWriter reuses its memory.
type requestWriter struct {
	maxSamples int
	builders   []*wire.Builder // the builder of each shard
	metadata   metadataSchedule

	protocol wire.Protocol
	now      time.Time
	size     int // when the request has this size before compression, the next one is begun
	packed   []byte
	records  []spool.Record
}

func newRequestWriter(table *wire.Table, shards, maxSamples int) *requestWriter {
	w := &requestWriter{maxSamples: maxSamples}
	for range shards {
		w.builders = append(w.builders, table.NewBuilder())
	}
	return w
}

// begin begins the requests of a batch.
func (w *requestWriter) begin(f Format, layout wire.Layout, now time.Time) {
	// The size of a group is known only after the group is added. An eighth of the limit is left free for the group.
	w.protocol, w.now, w.size = f.Protocol, now, f.MaxBytes/8*7
	for _, b := range w.builders {
		b.Begin(f.Protocol)
		b.SetLayout(layout)
	}
}

// add adds samples of one group. Samples with the same timestamp are put into the same request. A zero at a start timestamp is put into
// the same request as the sample after it.
func (w *requestWriter) add(from *sampleBuffer, g *group, samples []sample) {
	parts := g.parts()
	for len(samples) > 0 {
		n := 1
		for n < len(samples) && (parts[samples[n].part] != parts[samples[n-1].part] || samples[n-1].isZero()) {
			n++
		}
		w.addTogether(from, g, samples[:n])
		samples = samples[n:]
	}
}

// addTogether adds samples of one group to one request. The group's family can be nil, which means that it is unknown.
func (w *requestWriter) addTogether(from *sampleBuffer, g *group, samples []sample) {
	shard, family := int(g.shard), g.key.desc
	b := w.builders[shard]
	if n := b.Counts().Total(); n > 0 && (n+len(samples) > w.maxSamples || b.Size() >= w.size) {
		w.end(shard)
		b.Begin(w.protocol)
	}
	if w.protocol == wire.V1 && family != nil && w.metadata.due(family, w.now) {
		b.AddMetadata(family)
	}
	b.EndSeries() // so a message has two samples only if they are a zero and the sample after it; package deliver relies on this to remove zeros
	from.write(b, g, samples)
}

// addExemplars adds exemplars of a series without a sample.
func (w *requestWriter) addExemplars(shard int, s *series, all []metric.Exemplar) {
	b := w.builders[shard]
	b.EndSeries()
	for _, e := range all {
		if b.Size() >= w.size {
			w.end(shard)
			b.Begin(w.protocol)
		}
		b.AddExemplar(&s.wire, e.Labels, e.Value, e.Time)
	}
}

// end ends the request of a shard and makes a record of it.
func (w *requestWriter) end(shard int) {
	r := w.builders[shard].End()
	w.packed = snappy.Encode(w.packed[:cap(w.packed)], r.Raw)
	w.records = append(w.records, spool.Record{
		Meta: spool.Meta{
			Shard: shard, Protocol: int(r.Protocol), Oldest: r.Counts.Oldest, Newest: r.Counts.Newest,
			Samples: r.Counts.Samples, Histograms: r.Counts.Histograms, Exemplars: r.Counts.Exemplars,
		},
		Payload: slices.Clone(w.packed),
	})
}

// finish returns the requests of the batch. The slice is valid until the next batch; the payloads stay valid.
func (w *requestWriter) finish() []spool.Record {
	w.records = slices.Grow(w.records, len(w.builders))
	for shard, b := range w.builders {
		if c := b.Counts(); c.Total()+c.Exemplars > 0 {
			w.end(shard)
		}
	}
	all := w.records
	w.records = w.records[:0]
	return all
}

// metadataInterval is how often the metadata of a family is sent in 1.0, together with samples of the family. Mimir and Cortex keep
// metadata for 10 minutes (metadata-retain-period). Prometheus sends metadata every minute, but for a slow job, such metadata would be a
// third of the traffic. In 2.0, metadata is sent with every series.
const metadataInterval = 5 * time.Minute

// metadataSchedule decides when the metadata of a family is sent.
type metadataSchedule struct {
	sent map[*metric.Desc]time.Time

	last   *metric.Desc // family of the last call of due
	lastAt time.Time    // time of the last call of due
	swept  time.Time    // when sweep last removed families
}

// due reports whether the metadata of a family must be sent now. If so, it records the time "now" as the time when the metadata was sent.
func (m *metadataSchedule) due(d *metric.Desc, now time.Time) bool {
	if d == m.last && now.Equal(m.lastAt) {
		return false
	}
	m.last, m.lastAt = d, now
	if at, known := m.sent[d]; known && now.Sub(at) < metadataInterval {
		return false
	}
	if m.sent == nil {
		m.sent = map[*metric.Desc]time.Time{}
	}
	m.sent[d] = now
	m.sweep(now)
	return true
}

// sweep removes the families that were not sent for ten intervals, such as those that a reload has removed. It does so at most once in
// ten intervals.
func (m *metadataSchedule) sweep(now time.Time) {
	if now.Sub(m.swept) < 10*metadataInterval {
		return
	}
	m.swept = now
	for d, at := range m.sent {
		if now.Sub(at) > 10*metadataInterval {
			delete(m.sent, d)
		}
	}
}
