package run

import (
	"context"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// Outbox delivers batches to sinks without an agent.
type Outbox struct{ sinks []*sink }

// NewOutbox starts the sinks. At the end, each sink has as much time to deliver as the argument "drain" says. In this time, the sink does
// not try batches again that it has saved on disk.
func NewOutbox(plan []Sink, drain time.Duration) *Outbox {
	o := &Outbox{}
	for _, p := range plan {
		o.sinks = append(o.sinks, newSink(p, drain, false))
	}
	for _, s := range o.sinks {
		s.start(context.Background(), func(err error) { s.Log.Error("the sink has failed", "error", err) })
	}
	return o
}

// Add queues a batch for all sinks. It does not wait.
func (o *Outbox) Add(b metric.Batch) {
	for _, s := range o.sinks {
		s.add(b)
	}
}

// Close delivers the queued batches and stops the sinks. It reports whether a receiver has refused something. The log says
// what could not be delivered, and why.
func (o *Outbox) Close() (refused bool) {
	stopSinks(o.sinks)
	for _, s := range o.sinks {
		refused = refused || s.Stats.Dropped()[sinks.Refused] > 0
	}
	return refused
}
