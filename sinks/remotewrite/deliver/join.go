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

// Records that wait are joined to one request, so that many small jobs do not wait for a response each. A large record gains
// nothing. Nor are records joined that were queued more than joinWithin apart: a request is given up as a whole when it is too
// old.
const (
	joinWithin = time.Minute
	maxJoined  = 1000 // records
)

// joined returns a record, and those that wait behind it and fit into its request, in the order in which they were queued.
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
	slices.SortFunc(all, func(a, b spool.Record) int { return cmp.Compare(a.ID, b.ID) }) // newest first is another order
	return all
}

// sizeOf returns the size of a record's request in bytes before compression.
func sizeOf(r spool.Record) int {
	n, err := snappy.DecodedLen(r.Payload)
	if err != nil {
		return 0 // judged when it is sent
	}
	return n
}

// join returns the chunk of several records, in a protocol. It returns nil if one of them cannot be decoded.
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

// joining says whether records are joined. A receiver that refuses a request, may store nothing of it for one bad sample, and
// is not searched, gets each record by itself for a while: so the bad sample of one job costs another job's samples once.
type joining struct {
	mu    sync.Mutex
	until time.Time // zero = they are
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
