package run

import (
	"maps"
	"sync"
)

// A Requests counts the requests of a job or sink. The zero value is ready to use. A Requests is safe for concurrent use.
type Requests struct {
	mu     sync.Mutex
	counts map[Request]int64
	costs  map[string]Cost // by host
}

// Request is the key by which requests are counted. Code is the status code, or 0 if there was no response.
type Request struct {
	Host string
	Code int
}

// Cost is the cost of the requests to a host.
type Cost struct {
	Received int64  // bytes of response bodies, decompressed
	Cached   int64  // responses that came from the cache, so no request was sent
	Left     *int64 // requests that the host still accepts, as its rate limit headers say; nil if the host sends no such headers
}

// Add adds the cost of one request.
func (r *Requests) Add(host string, c Cost) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.costs == nil {
		r.costs = map[string]Cost{}
	}
	sum := r.costs[host]
	sum.Received += c.Received
	sum.Cached += c.Cached
	if c.Left != nil {
		sum.Left = c.Left
	}
	r.costs[host] = sum
}

// Costs returns a copy of the costs by host.
func (r *Requests) Costs() map[string]Cost {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.costs)
}

// Count counts one request by its host and status code.
func (r *Requests) Count(host string, code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[Request]int64{}
	}
	r.counts[Request{host, code}]++
}

// Counts returns a copy of the counts.
func (r *Requests) Counts() map[Request]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}
