package run

import (
	"maps"

	"github.com/collectington/collectington/sinks"
)

// A reload may replace a sink by one of the same name. The counters of the name go on: the new sink adds those of the old one to its own. If
// the kind is the same too, the new sink also takes over what the old one could not deliver.

// replaced is the part of a sink's state that comes from earlier sinks of the same name.
type replaced struct {
	running *delivery // the replaced sink while it still stops; nil = it has stopped
	totals  SinkState // the counters of the sinks that have stopped
}

// state returns the counters, and what a sink that still stops has queued.
func (r *replaced) state() SinkState {
	if r.running != nil {
		return r.running.state()
	}
	return r.totals
}

// stopped keeps the counters of the replaced sink, and forgets the sink itself.
func (r *replaced) stopped() {
	r.totals, r.running = r.state(), nil
	r.totals.Pending = sinks.Pending{} // it is in a queue of the new sink, or of no sink
}

// add adds the counters of an earlier sink, and what it has queued.
func (s *SinkState) add(earlier SinkState) {
	s.Sent += earlier.Sent
	s.Failed += earlier.Failed
	s.Retried += earlier.Retried
	s.Dropped = sum(s.Dropped, earlier.Dropped)
	s.Requests = sum(s.Requests, earlier.Requests)
	s.Pending.Samples += earlier.Pending.Samples
	s.Pending.Bytes += earlier.Pending.Bytes
	if t := earlier.Pending.Oldest; s.Pending.Oldest.IsZero() || !t.IsZero() && t.Before(s.Pending.Oldest) {
		s.Pending.Oldest = t
	}
}

// sum returns a map with the sums of the values of a and b.
func sum[K comparable](a, b map[K]int64) map[K]int64 {
	if len(b) == 0 {
		return a
	}
	all := maps.Clone(b)
	for key, n := range a {
		all[key] += n
	}
	return all
}

// succeed connects new sinks, which the agent does not use yet, with the sinks that they replace.
func succeed(added, removed []*sink) {
	for _, s := range added {
		for _, old := range removed {
			if s.Name != old.Name {
				continue
			}
			s.earlier.running = old.delivery
			if s.Kind != old.Kind {
				continue
			}
			old.inheritedBy(s.delivery)
			if heir, ok := s.Sink.Sink.(sinks.Successor); ok {
				heir.Succeed(old.Sink.Sink)
			}
		}
	}
}

// endReplaced stops the sinks that a reload has replaced or removed. It logs what is lost.
func (a *Agent) endReplaced(added, removed []*sink) {
	stopSinks(removed)
	a.mu.Lock()
	for _, s := range added {
		s.earlier.stopped()
	}
	a.mu.Unlock()
	for _, s := range removed {
		if n := s.Stats.Dropped()[sinks.Shutdown]; n > 0 {
			a.log.Error("samples of a sink that the reload has changed or removed were not delivered, and are lost", "sink", s.Name, "samples", n, "do", s.remedy())
		}
		if n := s.Stats.Pending().Samples; n > 0 && s.Durable && s.heir == nil {
			a.log.Warn("samples wait in the spool of a sink that the reload has removed: they are sent once a sink has that spool", "sink", s.Name, "samples", n)
		}
	}
}

// inheritedBy says which sink takes over the batches that this one cannot deliver.
func (d *delivery) inheritedBy(heir *delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.heir = heir
}

// takeOver queues a batch of the sink that this one replaces: after those that were taken over before it, and before the newer batches of
// its job.
func (d *delivery) takeOver(h *held) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begin(h.Batch)
	d.insert(&held{Batch: h.Batch, tried: true, takenOver: true, pause: firstPause}, func(w *held) bool { return !w.takenOver })
}
