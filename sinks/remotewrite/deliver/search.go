package deliver

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// A receiver such as Prometheus refuses all of a 1.0 request for one bad sample. The search halves a refused request until few samples are
// left, and then sends each of them alone, so that every good sample is tried. It pauses after each refusal, and it remembers the series
// that were refused. When a later request has such series, one of them is sent alone, and the others in a request of their own.

// While a search sends the parts of a refused request, later samples wait. They must wait less than five minutes, since Prometheus would
// otherwise show gaps. A search in 1,000 bad samples takes about 80 seconds: 1,511 requests, with a pause of up to maxSearchPause each.
const (
	maxSearchPause = 100 * time.Millisecond
	fewSamples     = 4 // if at most this number of samples is left, they are sent one by one: halving would need at least as many requests
)

// searches reports whether a refused chunk is to be searched for samples that the receiver accepts.
func (d *delivery) searches(c *chunk, r response) bool {
	if r.code != 400 && r.code != 409 && r.code != 413 && r.code != 422 || r.hasWritten || c.isProbe() {
		return false
	}
	switch d.options.Refusals {
	case Drop:
		return false
	case Search:
		return true
	}
	return r.code == 413 || c.protocol == wire.V1 && d.receiver == refusesWhole
}

// search makes a refused chunk smaller. If the chunk is joined from several records and has zeros that package encode has added, the chunk
// is replaced by a chunk for each record. Otherwise such zeros are removed, or the chunk is split. The result is true if there are chunks
// to send again.
func (d *delivery) search(c *chunk, r response) bool {
	if !d.searches(c, r) || c.suspect {
		return false
	}
	if r.code != 413 {
		q, err := c.decode()
		if err != nil {
			return false
		}
		if c.joined != nil && slices.Contains(zerosOf(q), true) {
			// One record may have zeros that the receiver refuses because it already has later samples. This does not mean that the zeros
			// of the other records are refused.
			d.chunks = append(d.apart(c.joined), d.chunks[1:]...)
			return true
		}
		if n := c.leaveOutZeros(q); n > 0 {
			if c.again {
				d.options.Stats.Sent.Add(int64(n)) // the earlier process has sent them
			} else {
				d.options.Stats.Drop(sinks.Refused, n)
			}
			d.partlySettled = true
			return true
		}
	}
	if c.counts.total() > fewSamples {
		return d.split(c)
	}
	pieces := c.pieces(d.accepted.Load())
	d.chunks = append(pieces, d.chunks[1:]...)
	return len(pieces) > 1
}

// setSuspectsApart divides the first chunk into up to three chunks: one with the series that are not suspects, one with a suspect to try
// alone, and one with the other suspects.
func (d *delivery) setSuspectsApart() {
	c := d.chunks[0]
	if d.suspects.empty() {
		return
	}
	q, err := c.decode()
	if err != nil {
		return // delivery.judge handles the error when the chunk is sent
	}
	found, alone := d.suspects.in(q, time.Now())
	if len(found) == 0 {
		return
	}
	var parts []*chunk
	for i, keep := range []func(uint64) bool{
		func(h uint64) bool { return !found[h] },
		func(h uint64) bool { return h == alone },
		func(h uint64) bool { return found[h] && h != alone },
	} {
		part, err := q.Rewrite(q.Protocol, func(i *wire.Item) bool { return keep(d.suspects.hash(i.Labels)) })
		if err != nil {
			return
		}
		if part.Counts.Total() > 0 {
			p := &chunk{acceptedAtStart: c.acceptedAtStart, suspect: i > 0, again: c.again}
			p.set(part)
			parts = append(parts, p)
		}
	}
	d.chunks = append(parts, d.chunks[1:]...)
}

// The limits of what a search remembers.
const (
	maxSuspects  = 20_000    // number of series
	suspectedFor = time.Hour // time since the last refusal
)

// suspects is a set of series. A series is in the set if the receiver has refused one of its samples when this sample was alone in a
// request.
type suspects struct {
	seed maphash.Seed

	mu  sync.Mutex
	all map[uint64]suspect // suspects by the hash of their labels
}

type suspect struct{ refused, triedAlone time.Time }

func (s *suspects) hash(labels []metric.Label) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, l := range labels {
		_, _ = h.WriteString(l.Name)
		_ = h.WriteByte(0xff) // cannot occur in UTF-8, so it separates the texts
		_, _ = h.WriteString(l.Value)
		_ = h.WriteByte(0xff)
	}
	return h.Sum64()
}

func (s *suspects) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) == 0
}

// in returns those series of a request that are suspects. The result "alone" is the one of them that was sent alone the longest time ago.
// Since the caller then sends this suspect alone, "now" is stored as the time when that happened.
func (s *suspects) in(q wire.Request, now time.Time) (found map[uint64]bool, alone uint64) {
	found = map[uint64]bool{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, err := range q.Items() {
		if err != nil {
			return nil, 0
		}
		h := s.hash(i.Labels)
		x, known := s.all[h]
		switch {
		case !known || found[h]:
			continue
		case now.Sub(x.refused) > suspectedFor:
			delete(s.all, h)
			continue
		}
		if len(found) == 0 || x.triedAlone.Before(s.all[alone].triedAlone) {
			alone = h
		}
		found[h] = true
	}
	if len(found) > 0 {
		s.all[alone] = suspect{s.all[alone].refused, now}
	}
	return found, alone
}

// refused adds the series of a chunk to the suspects.
func (s *suspects) refused(c *chunk, now time.Time) {
	s.each(c, func(h uint64) {
		x, known := s.all[h]
		if !known && len(s.all) >= maxSuspects {
			s.expire(now)
		}
		if !known && len(s.all) >= maxSuspects {
			return
		}
		if !known {
			x.triedAlone = now
		}
		x.refused = now
		s.all[h] = x
	})
}

// accepted removes the series of a chunk from the suspects.
func (s *suspects) accepted(c *chunk) {
	s.each(c, func(h uint64) { delete(s.all, h) })
}

func (s *suspects) each(c *chunk, f func(uint64)) {
	q, err := c.decode()
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[uint64]suspect{}
	}
	series := -1
	for i, err := range q.Items() {
		if err != nil {
			return
		}
		if i.Series != series {
			series = i.Series
			f(s.hash(i.Labels))
		}
	}
}

func (s *suspects) expire(now time.Time) {
	for h, x := range s.all {
		if now.Sub(x.refused) > suspectedFor {
			delete(s.all, h)
		}
	}
}
