package deliver

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/golang/snappy"

	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// Queued records are joined to one request, so that many small jobs do not wait for one response each. Joining a large record would save
// nothing. Records are not joined if the times at which they were queued differ by more than joinWithin, since a request that has become
// too old is dropped as a whole.
const (
	joinWithin = time.Minute
	maxJoined  = 1000 // maximum number of records in a request
)

// joined returns the record "first" and those records behind it in the queue that fit into the same request. The records are in the order
// in which they were queued.
func (s *Sender) joined(q *spool.Queue, first spool.Record) []spool.Record {
	all := []spool.Record{first}
	if first.Samples+first.Histograms > s.options.MaxJoin/2 || !s.joining.allowed(time.Now()) {
		return all
	}
	samples, size, limit := first.Samples+first.Histograms, sizeOf(first), s.size.bytes(time.Now())
	fits := func(m spool.Meta) bool {
		n := m.Samples + m.Histograms
		near := time.Duration(m.Taken-first.Taken).Abs()*time.Millisecond <= joinWithin
		return near && n <= s.options.MaxJoin/2 && samples+n <= s.options.MaxJoin
	}
	for len(all) < maxJoined {
		r, ok := q.More(first.Shard, s.options.Order, fits)
		if !ok {
			break
		}
		if size += sizeOf(r); size > limit {
			q.Return(r.ID)
			break
		}
		samples += r.Samples + r.Histograms
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b spool.Record) int { return cmp.Compare(a.ID, b.ID) }) // newest_first returns them in another order
	return all
}

// sizeOf returns the size of a record's request in bytes before compression.
func sizeOf(r spool.Record) int {
	n, err := snappy.DecodedLen(r.Payload)
	if err != nil {
		return 0 // delivery.judge handles the error when the record is sent
	}
	return n
}

// join returns one chunk of several records, in protocol p. It returns nil if a record cannot be decoded.
func join(p wire.Protocol, records []spool.Record) *chunk {
	var requests []wire.Request
	for _, r := range records {
		c := chunk{protocol: wire.Protocol(r.Protocol), packed: r.Payload}
		q, err := c.decode()
		if err != nil {
			return nil
		}
		requests = append(requests, q)
	}
	whole, err := wire.Join(p, nil, requests...)
	if err != nil {
		return nil
	}
	c := &chunk{}
	c.set(whole)
	return c
}

func idsOf(records []spool.Record) (ids []uint64) {
	for _, r := range records {
		ids = append(ids, r.ID)
	}
	return ids
}

// joining says whether records may be joined. Some receivers store nothing of a request with one bad sample. After a refusal by such a
// receiver, records are not joined until the duration apartFor has passed, unless the request is searched for the bad sample. So the bad
// sample of one job makes another job lose samples only once.
type joining struct {
	mu    sync.Mutex
	until time.Time // when joining is allowed again; zero = it is allowed
}

const apartFor = 10 * time.Minute

func (j *joining) allowed(now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !now.Before(j.until)
}

func (j *joining) refused(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.until = now.Add(apartFor)
}
