package remotewrite

import (
	"slices"
	"time"

	"github.com/golang/snappy"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// packer makes requests of samples, compressed, each a record of the queue. It cuts them between units alone. Its memory
// serves tick after tick.
type packer struct {
	max      int // samples in a request
	limit    *limit
	builders []*wire.Builder // of the shards
	metadata metadata

	protocol wire.Protocol // of the tick in hand
	now      time.Time
	size     int // that a request may have
	packed   []byte
	records  []spool.Record
}

func newPacker(table *wire.Table, shards, max int, limit *limit) *packer {
	p := &packer{max: max, limit: limit}
	for range shards {
		p.builders = append(p.builders, table.NewBuilder())
	}
	return p
}

// begin begins a tick's requests.
func (p *packer) begin(protocol wire.Protocol, now time.Time) {
	// A request is ended when it is full, which may be too late: an eighth is left for its last unit.
	p.protocol, p.now, p.size = protocol, now, p.limit.size(now)/8*7
	for _, b := range p.builders {
		b.Begin(protocol)
	}
}

// add adds samples of one unit, those of one time together.
func (p *packer) add(shard int, family *metric.Desc, samples []sample) {
	for len(samples) > 0 {
		n := 1
		for n < len(samples) && (samples[n].series != samples[n-1].series || samples[n-1].isZero()) {
			n++
		}
		p.together(shard, family, samples[:n])
		samples = samples[n:]
	}
}

// together adds samples of one family that stay together.
func (p *packer) together(shard int, family *metric.Desc, samples []sample) {
	b := p.builders[shard]
	if n := items(b.Counts()); n > 0 && (n+len(samples) > p.max || b.Size() >= p.size) {
		p.end(shard)
		b.Begin(p.protocol)
	}
	if p.protocol == wire.V1 && p.metadata.due(family, p.now) {
		b.AddMetadata(family)
	}
	b.Part() // so that two samples of a series in one message are a zero of ours and its sample: see leaveZeros
	for i := range samples {
		samples[i].write(b)
	}
}

// end makes a record of a shard's request.
func (p *packer) end(shard int) {
	r := p.builders[shard].End()
	p.packed = snappy.Encode(p.packed[:cap(p.packed)], r.Raw)
	p.records = append(p.records, spool.Record{
		Meta: spool.Meta{
			Shard: shard, Protocol: int(r.Protocol), Oldest: r.Counts.Oldest, Newest: r.Counts.Newest,
			Samples: r.Counts.Samples, Histograms: r.Counts.Histograms, Exemplars: r.Counts.Exemplars,
		},
		Payload: slices.Clone(p.packed),
	})
}

// done gives the tick's requests. They are valid until the next tick begins, their payloads for ever.
func (p *packer) done() []spool.Record {
	p.records = slices.Grow(p.records, len(p.builders))
	for shard, b := range p.builders {
		if items(b.Counts()) > 0 {
			p.end(shard)
		}
	}
	all := p.records
	p.records = p.records[:0]
	return all
}

func items(c wire.Counts) int { return c.Samples + c.Histograms }
