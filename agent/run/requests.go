package run

import (
	"maps"
	"sync"
)

// Requests counts a job's or sink's requests. The zero value is ready; it is safe for concurrent use.
type Requests struct {
	mu     sync.Mutex
	counts map[Request]int64
}

// Request is what requests are told apart by. Code is 0 where no response came.
type Request struct {
	Host string
	Code int
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
