package run

import (
	"maps"
	"sync"
)

// Requests counts a job's or sink's requests. The zero value is ready; it is safe for concurrent use.
type Requests struct {
	mu     sync.Mutex
	counts map[Request]int64
	costs  map[string]Cost // by host
}

// Request is what requests are told apart by. Code is 0 where no response came.
type Request struct {
	Host string
	Code int
}

// Cost is what else requests to a host have cost.
type Cost struct {
	Received int64  // bytes of bodies, decompressed
	Reused   int64  // answers that were there already, so that nothing was sent
	Left     *int64 // requests that the host still takes for now, as it says; nil where it does not
}

// Add adds what one more request has cost.
func (r *Requests) Add(host string, c Cost) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.costs == nil {
		r.costs = map[string]Cost{}
	}
	sum := r.costs[host]
	sum.Received += c.Received
	sum.Reused += c.Reused
	if c.Left != nil {
		sum.Left = c.Left
	}
	r.costs[host] = sum
}

// Costs is a copy of the costs, by host.
func (r *Requests) Costs() map[string]Cost {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.costs)
}

// Count counts one request.
func (r *Requests) Count(host string, code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[Request]int64{}
	}
	r.counts[Request{host, code}]++
}

// Counts is a copy of the counts.
func (r *Requests) Counts() map[Request]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}
