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

// series is one series as the receiver sees it.
type series struct {
	wire wire.Series // labels and metadata

	hash    uint64
	last    int64  // timestamp of the newest sample in Unix milliseconds; 0 = none
	batch   uint32 // number of the job's newest batch that contains the series
	sampled bool   // a sample was added to it
	ownTime bool   // its newest sample had its own timestamp
	// native says that the series' samples are native histograms. The staleness marker must then be a native histogram too.
	native bool
	// closed says that the registry no longer contains the series. If relabelling has given two jobs the same series, one job may have ended
	// the series of the other.
	closed bool

	exemplars *exemplars // nil = none
}

// exemplars remembers which exemplars a series has had. This is needed because an exporter exposes an exemplar until there is a newer one.
type exemplars struct {
	time int64    // timestamp of the newest exemplar that was sent
	keys []uint64 // keys of all exemplars of the last sample
}

// exemplarKey returns a hash of an exemplar. Exemplars without timestamps have the same key if their labels and values are equal.
func (r *registry) exemplarKey(e *metric.Exemplar) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	maphash.WriteComparable(&h, [2]uint64{uint64(e.Time), math.Float64bits(e.Value)})
	for _, l := range e.Labels {
		maphash.WriteComparable(&h, l)
	}
	return h.Sum64()
}

// marker returns a staleness marker for the series. The argument "part" says which part of its group the series is. The marker is newer
// than the last sample, even if the clock was set back.
func (s *series) marker(part int, at int64) (sample, extra) {
	s.last = max(at, s.last+1)
	m, more := sample{part: int32(part), time: s.last, value: staleNaN()}, extra{}
	if s.native {
		more.histogram = &metric.HistogramValue{Sum: staleNaN(), Native: &metric.NativeBuckets{}}
	}
	return m, more
}

// staleNaN returns the value of a staleness marker, which is StaleNaN in Prometheus' package model/value.
func staleNaN() float64 { return math.Float64frombits(0x7ff0000000000002) }

// newExemplars returns the exemplars that the previous sample did not have, in order of time. If there are none, it returns nil. An
// exemplar that is older than the newest one sent is left out, since a receiver refuses it.
func (r *registry) newExemplars(s *series, all []metric.Exemplar, at int64) []metric.Exemplar {
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
	return fresh
}

// registry finds series by their labels. A series continues over a configuration reload, although a reload replaces all descriptions and
// label sets. A series that ends and comes back continues after its staleness marker.
type registry struct {
	seed  maphash.Seed
	table *wire.Table
	live  index
	keys  []uint64       // memory that newExemplars reuses
	stale []*wire.Series // series to remove from the table after the batch is written

	closed map[uint64]int64 // last timestamps of closed series
	order  []closedSeries   // closed series in the order in which they were closed
	// floor is the newest timestamp that may have been sent for an unknown series. Either an earlier process has perhaps sent a sample with
	// this timestamp, or this process has sent one before it closed and forgot the series.
	floor int64

	beyondLegacy string // the result of Encoder.BeyondLegacy
}

type closedSeries struct {
	hash uint64
	last int64
}

// Closed series are remembered for an hour, since receivers reject samples that are older than an hour. At most maxClosed are remembered.
const (
	rememberClosed = time.Hour
	maxClosed      = 100_000
)

func newRegistry(now time.Time) *registry {
	return &registry{
		seed:   maphash.MakeSeed(),
		table:  wire.NewTable(),
		closed: map[uint64]int64{},
		floor:  now.UnixMilli() - 2, // less than the first batch can have: now, and now − 1 ms for its zero samples
	}
}

// back moves the last timestamps of all series back, because the clock has jumped back. Timestamps that come from the API are not moved.
func (r *registry) back(by time.Duration, now time.Time) {
	ms, latest := by.Milliseconds(), now.UnixMilli()
	for s := range r.live.all {
		if !s.ownTime {
			s.last -= min(ms, s.last)
		}
	}
	for i := range r.order {
		c := &r.order[i]
		if c.last <= latest { // a timestamp from the API, or closed before the time to which the clock jumped
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

// open returns the series with these labels. If a series with the same labels is open or was closed, it is continued.
func (r *registry) open(labels []metric.Label, desc *metric.Desc, batch uint32) *series {
	hash := r.hash(labels)
	for s := r.live.get(hash); s != nil; s = r.live.get(hash) {
		switch {
		case !s.wire.Equal(labels):
			hash++ // another series has the same hash
			continue
		case s.batch == batch:
			return s // it occurs twice in this batch; its second sample is left out as not newer
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
	r.live.put(s)
	return s
}

// close removes a series and remembers its last timestamp.
func (r *registry) close(s *series) {
	if r.live.get(s.hash) != s {
		return
	}
	r.live.remove(s.hash)
	s.closed = true
	r.stale = append(r.stale, &s.wire)
	r.closed[s.hash] = s.last
	r.order = append(r.order, closedSeries{s.hash, s.last})
}

// forget releases series that were kept only until the batch was written. It also forgets series that were closed long before the time
// "now" (Unix milliseconds).
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

// maxZeroDistance is the longest time by which a zero can be before the first sample. Prometheus and databases built on its TSDB reject
// samples that are more than an hour older than their newest sample. The limit is only half an hour, since the sample may have waited in
// the queue.
const maxZeroDistance = 30 * time.Minute

// startsAt reports whether a zero with the timestamp "start" can be sent before the first sample, which has the timestamp t. The zero
// cannot be sent if it would be out of order, or if samples of the running total may have been sent before.
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
