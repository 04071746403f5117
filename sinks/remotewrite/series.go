package remotewrite

import (
	"hash/maphash"
	"math"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// series is one series as it is pushed.
type series struct {
	wire wire.Series // its labels and what is told of its family

	hash  uint64
	last  int64  // time of the newest sample queued, 0 = none
	batch uint32 // number of the job's batch that had it last
	begun bool   // a sample has been queued since the series came up
	own   bool   // that sample had a time of its own
	// native tells that its samples are native histograms, so that its staleness marker must be one too.
	native bool
	// closed tells that it has left the registry: another job ended it, which the rules had given the same labels.
	closed bool

	exemplar *exemplar // that was told last; nil = none
}

// registry knows the sink's series by their content. It is what carries a series over a reload, which makes all pointers
// new, and what keeps a series that comes back from going behind its own staleness marker.
type registry struct {
	seed  maphash.Seed
	table *wire.Table
	live  map[uint64]*series
	gone  []*wire.Series // to be given back to the table when the tick in hand is written

	ended map[uint64]int64 // the last time of series that have ended
	order []ending
	// floor is the time up to which anything may have been sent of a series that is not known: by the process before this
	// one, or as a series that has ended too long ago to be remembered.
	floor int64
}

type ending struct {
	hash uint64
	last int64
}

// An ended series is remembered for an hour, since receivers refuse what is older, and only so many of them.
const (
	rememberEnded = time.Hour
	maxEnded      = 100_000
)

func newRegistry(now time.Time) *registry {
	return &registry{
		seed:  maphash.MakeSeed(),
		table: wire.NewTable(),
		live:  map[uint64]*series{},
		ended: map[uint64]int64{},
		floor: now.UnixMilli() - 2, // a total may be told to be zero just before the first tick of all, which may be now
	}
}

// open gives the series of these labels, which goes on from where a series of the same labels is or was.
func (r *registry) open(labels []metric.Label, desc *metric.Desc, batch uint32) *series {
	hash := r.hash(labels)
	for old := r.live[hash]; old != nil; old = r.live[hash] {
		switch {
		case !old.wire.Equal(labels):
			hash++ // two series of one hash
			continue
		case old.batch == batch:
			return old // twice in one batch: the second sample will not be newer
		}
		// After a reload, other things may be told of the family.
		r.gone = append(r.gone, new(old.wire))
		old.wire = r.table.Series(labels, desc)
		return old
	}
	s := &series{wire: r.table.Series(labels, desc), hash: hash, last: r.ended[hash]}
	delete(r.ended, hash)
	r.live[hash] = s
	return s
}

// close forgets a series but for its last time.
func (r *registry) close(s *series) {
	if r.live[s.hash] != s {
		return
	}
	delete(r.live, s.hash)
	s.closed = true
	r.gone = append(r.gone, &s.wire)
	r.ended[s.hash] = s.last
	r.order = append(r.order, ending{s.hash, s.last})
}

// forget drops the memory of series that ended long before now (Unix milliseconds), and what only samples before needed.
func (r *registry) forget(now int64) {
	for _, s := range r.gone {
		s.Forget()
	}
	clear(r.gone)
	r.gone = r.gone[:0]
	n := 0
	for n < len(r.order) && (r.order[n].last < now-rememberEnded.Milliseconds() || len(r.order)-n > maxEnded) {
		if e := r.order[n]; r.ended[e.hash] == e.last {
			delete(r.ended, e.hash)
			r.floor = max(r.floor, e.last)
		}
		n++
	}
	r.order = slices.Delete(r.order, 0, n)
}

// zeroReach bounds how far before its first sample a running total is told to have been zero. Prometheus' TSDB and those
// built on it refuse what lies more than an hour behind their newest sample; the sample itself may have waited.
const zeroReach = 30 * time.Minute

// beginsAt tells whether a zero at start, ahead of the series' first sample at t, is true and in order: a running total
// that may have been sent before does not begin now.
func (r *registry) beginsAt(s *series, start, t int64) bool {
	return !s.begun && start != 0 && start < t && t-start <= zeroReach.Milliseconds() && start > max(s.last, r.floor)
}

func (r *registry) hash(labels []metric.Label) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	for _, l := range labels {
		h.WriteString(l.Name)
		h.WriteByte(0xff) // never part of UTF-8
		h.WriteString(l.Value)
		h.WriteByte(0xff)
	}
	return h.Sum64()
}

// stale is the value of a staleness marker: Prometheus' model/value.StaleNaN.
func stale() float64 { return math.Float64frombits(0x7ff0000000000002) }

// number is a value as it is sent: no NaN of ours may look like a staleness marker.
func number(v float64) float64 {
	if math.IsNaN(v) {
		return math.NaN()
	}
	return v
}

// counted is a native histogram as it is sent, whose sum is a number in the same sense.
func counted(h *metric.HistogramValue) *metric.HistogramValue {
	if !math.IsNaN(h.Sum) {
		return h
	}
	next := *h
	next.Sum = number(h.Sum)
	return &next
}
