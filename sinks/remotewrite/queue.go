package remotewrite

import (
	"context"
	"sync"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// sampleBytes is what a waiting sample takes in memory; its labels are shared by all samples of the series.
const sampleBytes = 40

// queue is the chunks that wait, oldest first, at most max samples of them. The first may be under way.
type queue struct {
	max   int
	stats *sinks.Stats
	wake  chan struct{} // holds a token when there may be something new

	mu       sync.Mutex
	chunks   []*chunk
	samples  int
	underway bool
	closed   bool
}

func newQueue(max int, stats *sinks.Stats) *queue {
	return &queue{max: max, stats: stats, wake: make(chan struct{}, 1)}
}

// put adds a chunk. Where there is no room, the oldest chunks that are not under way are dropped.
func (q *queue) put(c *chunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.stats.Drop(sinks.Shutdown, len(c.samples))
		return
	}
	for q.samples+len(c.samples) > q.max && q.dropOldest(sinks.QueueFull) {
	}
	q.chunks = append(q.chunks, c)
	q.samples += len(c.samples)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// dropOldest drops the oldest chunk that is not under way and tells whether there was one.
func (q *queue) dropOldest(reason metric.Reason) bool {
	first := 0
	if q.underway {
		first = 1
	}
	if first >= len(q.chunks) {
		return false
	}
	n := len(q.chunks[first].samples)
	q.chunks[first] = q.chunks[0]
	q.chunks[0] = nil
	q.chunks = q.chunks[1:]
	q.samples -= n
	q.stats.Drop(reason, n)
	return true
}

// next waits for the oldest chunk and puts it under way until it is settled. It is nil when ctx has ended and nothing
// waits.
func (q *queue) next(ctx context.Context) *chunk {
	for {
		if c := q.first(); c != nil {
			return c
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return q.first()
		}
	}
}

func (q *queue) first() *chunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.chunks) == 0 {
		return nil
	}
	q.underway = true
	return q.chunks[0]
}

// settled removes the chunk under way: it has been delivered or given up, and counted.
func (q *queue) settled() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.samples -= len(q.chunks[0].samples)
	q.chunks[0] = nil
	q.chunks = q.chunks[1:]
	q.underway = false
}

// close drops what is left and takes no more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.underway = true, false
	for q.dropOldest(sinks.Shutdown) {
	}
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

func (q *queue) pending() sinks.Pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := sinks.Pending{Samples: int64(q.samples), Bytes: int64(q.samples) * sampleBytes}
	if len(q.chunks) > 0 {
		p.Oldest = q.chunks[0].taken
	}
	return p
}
