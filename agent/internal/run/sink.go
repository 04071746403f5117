package run

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/collectington/collectington/sinks"
)

// Drain is how long a sink may go on delivering when the agent stops.
const Drain = 10 * time.Second

// rerunPause is how long a sink that came with a reload and cannot work waits before it is tried again.
const rerunPause = 10 * time.Second

// sink is a sink at work.
type sink struct {
	*delivery
	drain  time.Duration
	stop   chan struct{} // closed: deliver what is left
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newSink(plan Sink, drain time.Duration) *sink {
	return &sink{delivery: newDelivery(plan), drain: drain, stop: make(chan struct{})}
}

// start sets the sink to work. Its end comes by end alone, so that it outlives the jobs.
func (s *sink) start(ctx context.Context, fail context.CancelCauseFunc) {
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if r, ok := s.Sink.Sink.(sinks.Runner); ok {
		s.wg.Go(func() { s.serve(ctx, r, fail) })
	}
	write, end := context.WithCancel(context.WithoutCancel(ctx))
	s.wg.Go(func() {
		defer end()
		// The sink itself may go on until all is handed to it.
		defer s.cancel()
		go func() {
			select {
			case <-s.stop:
			case <-write.Done():
				return
			}
			select {
			case <-time.After(s.drain):
				end()
			case <-write.Done():
			}
		}()
		s.delivery.run(write, s.stop)
	})
}

// serve runs the sink's own work. If that cannot be done at all, the agent ends, or else tries again.
func (s *sink) serve(ctx context.Context, r sinks.Runner, fail context.CancelCauseFunc) {
	for {
		err := contained(s.Log, func() error { return r.Run(ctx) })
		if ctx.Err() != nil {
			return
		}
		if err != nil && fail != nil {
			fail(&sinkError{s.Name, err})
			return
		}
		if err != nil {
			s.Log.Error(err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rerunPause):
		}
	}
}

// end delivers what is left, within a bound, and waits for the sink to finish.
func (s *sink) end() {
	close(s.stop)
	s.wg.Wait()
}

// contained turns a panic into an error.
func contained(log *slog.Logger, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("sink panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("sink panicked: %v", p)
		}
	}()
	return f()
}
