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

// Why a sample is left out on the way to a receiver.
const (
	Refused     metric.Reason = "refused"     // the receiver would not have it, and never will
	QueueFull   metric.Reason = "queue_full"  // the queue's bound was reached
	TooOld      metric.Reason = "too_old"     // it waited longer than the queue keeps samples
	Shutdown    metric.Reason = "shutdown"    // the agent ended before it could be delivered
	Unsupported metric.Reason = "unsupported" // the receiver's protocol cannot carry it
	NotNewer    metric.Reason = "not_newer"   // its series has a sample of that time, or of a later one
	Past        metric.Reason = "past"        // its time is older than the receiver takes
	Collision   metric.Reason = "collision"   // another job has the same series, or the name with another type
	Damaged     metric.Reason = "damaged"     // it waited on disk, and cannot be read any more
)

// Stats is what a sink tells of its work, read by the agent's own metrics. The zero value is ready; all methods are safe
// for concurrent use.
type Stats struct {
	Sent    atomic.Int64 // samples delivered
	Failed  atomic.Int64 // deliveries (writes, requests) that ended in an error
	Retried atomic.Int64 // deliveries tried again

	mu      sync.Mutex
	dropped map[metric.Reason]int64
	pending func() Pending
	spool   func() SpoolFault
	refused map[string]*Refusal
}

// Pending is what a sink holds that is not delivered yet.
type Pending struct {
	Samples int64
	Bytes   int64
	Oldest  time.Time // when the oldest of it was taken; zero where nothing is pending
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

// Dropped is the count of samples lost, by reason.
func (s *Stats) Dropped() map[metric.Reason]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.dropped)
}

// Refusal is why a receiver would not have samples.
type Refusal struct {
	Samples int64
	Why     string // the request and the receiver's own words, of the first time
	Do      string // what to do about it; "" = nothing is known
}

// maxRefusals bounds how many reasons are told apart.
const maxRefusals = 20

// Refuse notes samples that a receiver would not have. The gist is the same for what it refuses for the same reason.
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

// Refusals are the reasons that receivers have given, the one of most samples first.
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

// TellPending sets the function that says what the sink holds.
func (s *Stats) TellPending(f func() Pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = f
}

// Pending is what the sink holds now.
func (s *Stats) Pending() Pending {
	s.mu.Lock()
	f := s.pending
	s.mu.Unlock()
	if f == nil {
		return Pending{}
	}
	return f()
}

// Queues reports whether the sink has said what it holds.
func (s *Stats) Queues() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending != nil
}

// SpoolFault is why what a sink holds is not on disk, although it has a directory for that. The zero value means that it is.
type SpoolFault struct {
	Since time.Time
	Why   string
}

// TellSpool sets the function that says whether the sink's spool works. A sink without a spool sets none.
func (s *Stats) TellSpool(f func() SpoolFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spool = f
}

// Spool returns what is wrong with the sink's spool, and reports whether there is one.
func (s *Stats) Spool() (fault SpoolFault, ok bool) {
	s.mu.Lock()
	f := s.spool
	s.mu.Unlock()
	if f == nil {
		return SpoolFault{}, false
	}
	return f(), true
}
