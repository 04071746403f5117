package sinks

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// The reasons why a sample does not reach a receiver.
const (
	Refused     metric.Reason = "refused"     // the receiver refused the sample, and would refuse it again
	QueueFull   metric.Reason = "queue_full"  // the queue's limit was reached
	TooOld      metric.Reason = "too_old"     // the sample waited longer than the queue keeps samples
	Shutdown    metric.Reason = "shutdown"    // the agent ended before the sample was delivered
	Unsupported metric.Reason = "unsupported" // the receiver's protocol has no such samples
	NotNewer    metric.Reason = "not_newer"   // the series already has a sample with the same or a later timestamp
	Past        metric.Reason = "past"        // the sample is older than the receiver accepts
	Collision   metric.Reason = "collision"   // another job has the same series, or the same metric name with another type
	Damaged     metric.Reason = "damaged"     // the sample was queued on disk, and can no longer be read
)

// Stats holds what a sink reports about its work. The agent's own metrics are made from it. The zero value is ready to use; all methods are
// safe for concurrent use.
type Stats struct {
	Sent    atomic.Int64 // samples that were delivered
	Failed  atomic.Int64 // deliveries (writes, requests) that ended in an error
	Retried atomic.Int64 // deliveries that were tried again

	mu      sync.Mutex
	dropped map[metric.Reason]int64
	pending func() Pending
	spool   func() SpoolFault
	refused map[string]*Refusal
}

// Pending describes the samples that a sink has queued and not yet delivered.
type Pending struct {
	Samples int64 // number of samples
	Bytes   int64
	Limit   int64     // most bytes that the queue takes; above that the oldest samples are dropped. 0 = unknown
	Oldest  time.Time // when the oldest pending sample was taken; zero if nothing is pending
}

// Drop counts samples that will never be delivered.
func (s *Stats) Drop(reason metric.Reason, samples int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped == nil {
		s.dropped = map[metric.Reason]int64{}
	}
	s.dropped[reason] += int64(samples)
}

// Dropped returns the number of samples lost, by reason.
func (s *Stats) Dropped() map[metric.Reason]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.dropped)
}

// Refusal is a reason for which a receiver has refused samples.
type Refusal struct {
	Samples int64  // number of samples
	Why     string // the request and the receiver's answer, from the first such refusal
	Do      string // what the user can do; "" = unknown
}

// maxRefusals is the largest number of different reasons that are kept.
const maxRefusals = 20

// Refuse counts samples that a receiver has refused. Refusals with the same gist have the same reason and are counted together.
func (s *Stats) Refuse(gist string, r Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = map[string]*Refusal{}
	}
	switch known := s.refused[gist]; {
	case known != nil:
		known.Samples += r.Samples
	case len(s.refused) < maxRefusals:
		s.refused[gist] = &r
	}
}

// Refusals returns the reasons that receivers have given, sorted by the number of samples, the largest number first.
func (s *Stats) Refusals() []Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Refusal
	for _, r := range s.refused {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(b.Samples, a.Samples), cmp.Compare(a.Why, b.Why))
	})
	return all
}

// TellPending sets the function that returns what the sink has queued.
func (s *Stats) TellPending(f func() Pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = f
}

// Pending returns what the sink has queued now.
func (s *Stats) Pending() Pending {
	s.mu.Lock()
	f := s.pending
	s.mu.Unlock()
	if f == nil {
		return Pending{}
	}
	return f()
}

// Queues reports whether the sink has a queue. A sink with a queue calls TellPending.
func (s *Stats) Queues() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending != nil
}

// SpoolFault says why queued samples are in memory although the sink has a directory for its queue. The zero value means that they are on
// disk.
type SpoolFault struct {
	Since time.Time
	Why   string
}

// TellSpool sets the function that returns what is wrong with the sink's spool. A sink without a spool does not call TellSpool.
func (s *Stats) TellSpool(f func() SpoolFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spool = f
}

// Spool returns what is wrong with the sink's spool. The result "ok" is false if the sink has no spool.
func (s *Stats) Spool() (fault SpoolFault, ok bool) {
	s.mu.Lock()
	f := s.spool
	s.mu.Unlock()
	if f == nil {
		return SpoolFault{}, false
	}
	return f(), true
}
