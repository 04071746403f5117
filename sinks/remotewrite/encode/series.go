package encode

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// series is one series as it is sent.
type series struct {
	wire wire.Series // labels and metadata

	hash    uint64
	last    int64  // timestamp of the newest sample, 0 = none
	batch   uint32 // number of the job's last batch that had it
	sampled bool   // it has a sample
	ownTime bool   // that sample had its own timestamp
	// native says that its samples are native histograms. Its staleness marker must be one too.
	native bool
	// closed says that the registry no longer has it: another job, whose series relabelling made equal, has ended it.
	closed bool

	exemplars *exemplars // nil = none
}

// exemplars identifies the exemplars that a series had last. An exporter exposes an exemplar until there is a newer one.
type exemplars struct {
	time int64    // of the newest one that was sent
	keys []uint64 // of all
}

// exemplarKey returns a hash of an exemplar. One without a timestamp stays the same one while its labels and its value do.
func (r *registry) exemplarKey(e *metric.Exemplar) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	maphash.WriteComparable(&h, [2]uint64{uint64(e.Time), math.Float64bits(e.Value)})
	for _, l := range e.Labels {
		maphash.WriteComparable(&h, l)
	}
	return h.Sum64()
}

// marker returns a staleness marker for the series. It is in order even if the clock was set back.
func (s *series) marker(at int64) sample {
	s.last = max(at, s.last+1)
	m := sample{series: s, time: s.last, value: staleNaN()}
	if s.native {
		m.histogram = &metric.HistogramValue{Sum: staleNaN(), Native: &metric.NativeBuckets{}}
	}
	return m
}

// staleNaN returns the value of a staleness marker, StaleNaN of Prometheus' model/value.
func staleNaN() float64 { return math.Float64frombits(0x7ff0000000000002) }

// newExemplars returns those exemplars that the sample before did not have, in order of time, or nil. One that is older than
// the newest one of that sample is left out: a receiver refuses it.
func (r *registry) newExemplars(s *series, all []metric.Exemplar, at int64) *[]metric.Exemplar {
	if len(all) == 0 {
		return nil
	}
	if s.exemplars == nil {
		s.exemplars = &exemplars{}
	}
	last := s.exemplars
	var fresh []metric.Exemplar
	r.keys = r.keys[:0]
	for _, e := range all {
		key := r.exemplarKey(&e)
		r.keys = append(r.keys, key)
		e.Time = cmp.Or(e.Time, at)
		if e.Time >= last.time && !slices.Contains(last.keys, key) {
			fresh = append(fresh, e)
		}
	}
	last.keys = append(last.keys[:0], r.keys...)
	if fresh == nil {
		return nil
	}
	slices.SortStableFunc(fresh, func(a, b metric.Exemplar) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Value, b.Value))
	})
	last.time = fresh[len(fresh)-1].Time
	return &fresh
}

// registry finds series by their labels. Series continue over a reload, which replaces all descriptions and label sets. A
// series that returns continues after its staleness marker.
type registry struct {
	seed  maphash.Seed
	table *wire.Table
	live  map[uint64]*series
	keys  []uint64       // reused
	stale []*wire.Series // to remove from the table when the batch is written

	closed map[uint64]int64 // last timestamps of closed series
	order  []closedSeries   // in the order in which they were closed
	// floor is the last timestamp that may have been sent of an unknown series: by an earlier process, or before the
	// series was closed and forgotten.
	floor int64

	beyondLegacy string // as Encoder.BeyondLegacy returns it
}

type closedSeries struct {
	hash uint64
	last int64
}

// Closed series are remembered for an hour, since receivers reject older samples, and up to a number.
const (
	rememberClosed = time.Hour
	maxClosed      = 100_000
)

func newRegistry(now time.Time) *registry {
	return &registry{
		seed:   maphash.MakeSeed(),
		table:  wire.NewTable(),
		live:   map[uint64]*series{},
		closed: map[uint64]int64{},
		floor:  now.UnixMilli() - 2, // the first batch may be of this millisecond, and its zeros one earlier
	}
}

// back moves the last timestamps of all series, because the clock has jumped back. Timestamps of the API's stay.
func (r *registry) back(by time.Duration, now time.Time) {
	ms, latest := by.Milliseconds(), now.UnixMilli()
	for _, s := range r.live {
		if !s.ownTime {
			s.last -= min(ms, s.last)
		}
	}
	for i := range r.order {
		c := &r.order[i]
		if c.last <= latest { // of the API's, or closed long ago
			continue
		}
		moved := min(c.last-ms, latest)
		if r.closed[c.hash] == c.last {
			r.closed[c.hash] = moved
		}
		c.last = moved
	}
	r.floor = min(r.floor, latest-2)
}

// open returns the series with these labels. It continues an open or closed series of the same labels.
func (r *registry) open(labels []metric.Label, desc *metric.Desc, batch uint32) *series {
	hash := r.hash(labels)
	for s := r.live[hash]; s != nil; s = r.live[hash] {
		switch {
		case !s.wire.Equal(labels):
			hash++ // a collision
			continue
		case s.batch == batch:
			return s // twice in one batch: the second sample will not be newer
		}
		// A reload may have changed the metadata.
		r.stale = append(r.stale, new(s.wire))
		s.wire = r.table.Series(labels, desc)
		return s
	}
	if r.beyondLegacy == "" {
		r.beyondLegacy = beyondLegacy(labels)
	}
	s := &series{wire: r.table.Series(labels, desc), hash: hash, last: r.closed[hash]}
	delete(r.closed, hash)
	r.live[hash] = s
	return s
}

// close removes a series and remembers its last timestamp.
func (r *registry) close(s *series) {
	if r.live[s.hash] != s {
		return
	}
	delete(r.live, s.hash)
	s.closed = true
	r.stale = append(r.stale, &s.wire)
	r.closed[s.hash] = s.last
	r.order = append(r.order, closedSeries{s.hash, s.last})
}

// forget removes what only the batch at now (in Unix milliseconds) needed, and series that were closed long before.
func (r *registry) forget(now int64) {
	for _, s := range r.stale {
		s.Forget()
	}
	clear(r.stale)
	r.stale = r.stale[:0]
	n := 0
	for n < len(r.order) && (r.order[n].last < now-rememberClosed.Milliseconds() || len(r.order)-n > maxClosed) {
		if c := r.order[n]; r.closed[c.hash] == c.last {
			delete(r.closed, c.hash)
			r.floor = max(r.floor, c.last)
		}
		n++
	}
	r.order = slices.Delete(r.order, 0, n)
}

// maxZeroDistance is how far before its first sample a zero may lie. Prometheus' TSDB, and those built on it, reject what
// lies more than an hour before their newest sample, and the sample may have waited in the queue.
const maxZeroDistance = 30 * time.Minute

// startsAt reports whether a zero at start, before the first sample at t, is correct and in order. It is not if samples of
// the running total may have been sent before.
func (r *registry) startsAt(s *series, start, t int64) bool {
	return !s.sampled && start != 0 && start < t && t-start <= maxZeroDistance.Milliseconds() && start > max(s.last, r.floor)
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
