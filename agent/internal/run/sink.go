package run

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// Drain is how long a sink may continue to deliver after the agent has begun to stop.
const Drain = 10 * time.Second

// sink is a running sink.
type sink struct {
	*delivery
	drain  time.Duration
	ready  chan struct{} // closed when the sink has started
	stop   chan struct{} // closed when the sink should deliver what is left and stop
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// newSink returns a sink. At the end, a patient sink tries to deliver everything until drain has passed, even batches that
// it could leave on disk. Other sinks leave these on disk.
func newSink(plan Sink, drain time.Duration, patient bool) *sink {
	s := &sink{delivery: newDelivery(plan), drain: drain, ready: make(chan struct{}), stop: make(chan struct{})}
	if !patient {
		s.leave = s.stop
	}
	return s
}

// start starts the sink. The sink runs until end is called, even if ctx ends earlier, since it must run longer than the
// jobs.
func (s *sink) start(ctx context.Context, fail context.CancelCauseFunc) {
	defer close(s.ready)
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if r, ok := s.Sink.Sink.(sinks.Runner); ok {
		s.wg.Go(func() { s.serve(ctx, r, fail) })
	}
	write, end := context.WithCancel(context.WithoutCancel(ctx))
	s.wg.Go(func() {
		defer end()
		// The sink's Run must end only after everything was written to the sink.
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

// serve calls the sink's Run. If Run fails, serve calls fail, which ends the agent. If fail is nil, serve calls Run again
// later.
func (s *sink) serve(ctx context.Context, r sinks.Runner, fail context.CancelCauseFunc) {
	keepRunning(ctx, s.Log, "sink", r.Run, func(err error) (ended bool) {
		if fail != nil {
			fail(&sinkError{s.Name, err})
		}
		return fail != nil
	})
}

// end delivers queued batches, at most for the time drain, and waits until the sink has stopped.
func (s *sink) end() {
	close(s.stop)
	s.wg.Wait()
}

// Limits for the delivery of batches.
const (
	writeTimeout = 30 * time.Second
	firstPause   = time.Second // limit of the first pause between tries, which is random; the limit doubles up to lastPause
	lastPause    = time.Minute
	maxWaiting   = 64 // batches of one job; above this the oldest is dropped, since newer ones have the newer running totals
)

// delivery writes batches to one sink, one at a time and in order.
type delivery struct {
	Sink
	report report

	mu      sync.Mutex
	waiting []metric.Batch
	wake    chan struct{} // holds a token if waiting may have grown
	lost    bool          // a batch could not be delivered
	undone  int           // number of batches that wait or are being written
	done    chan struct{} // closed when undone becomes 0, and replaced when it grows again

	repeats  int           // number of repeated batches in undone
	repeated chan struct{} // closed when repeats becomes 0, and replaced when it grows again

	leave <-chan struct{} // closed when batches saved on disk should not be tried again; nil = they always are
}

func newDelivery(s Sink) *delivery {
	done := make(chan struct{})
	close(done)
	return &delivery{Sink: s, report: report{log: s.Log}, wake: make(chan struct{}, 1), done: done, repeated: done}
}

// repeat queues the last batch of a job from before a restart, if the sink can take a batch again. It is called before the
// first add for the job.
func (d *delivery) repeat(b metric.Batch) {
	if _, ok := d.Sink.Sink.(sinks.Repeater); ok {
		b.Repeated = true
		d.mu.Lock()
		d.push(b)
		d.mu.Unlock()
		d.wakeUp()
	}
}

// push appends a batch to the waiting batches. The caller holds mu.
func (d *delivery) push(b metric.Batch) {
	if d.undone == 0 {
		d.done = make(chan struct{})
	}
	d.undone++
	if b.Repeated {
		if d.repeats == 0 {
			d.repeated = make(chan struct{})
		}
		d.repeats++
	}
	d.waiting = append(d.waiting, b)
}

// finished notes that a batch no longer waits and is not being written.
func (d *delivery) finished(b metric.Batch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pop(b)
}

// pop does the same as finished. The caller holds mu.
func (d *delivery) pop(b metric.Batch) {
	d.undone--
	if d.undone == 0 {
		close(d.done)
	}
	if !b.Repeated {
		return
	}
	d.repeats--
	if d.repeats == 0 {
		close(d.repeated)
	}
}

// awaitRepeated waits until all repeated batches are on disk, or until ctx ends. It does not wait if the sink has no queue
// on disk, since the receiver may be unreachable for a long time.
func (d *delivery) awaitRepeated(ctx context.Context) {
	if !d.Durable {
		return
	}
	d.mu.Lock()
	repeated := d.repeated
	d.mu.Unlock()
	select {
	case <-repeated:
	case <-ctx.Done():
	}
}

// settled waits until all queued batches are on disk or delivered, or until the sink has stopped.
func (d *delivery) settled(stopped <-chan struct{}) {
	d.mu.Lock()
	done := d.done
	d.mu.Unlock()
	select {
	case <-done:
	case <-stopped:
		return
	}
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !d.Durable && d.Stats.Pending().Samples > 0 {
		select {
		case <-look.C:
		case <-stopped:
			return
		}
	}
}

func (d *delivery) hasLost() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

func (d *delivery) wakeUp() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// add queues a batch.
func (d *delivery) add(b metric.Batch) {
	d.mu.Lock()
	same := 0
	for i := range d.waiting {
		if d.waiting[i].Job == b.Job {
			same++
		}
	}
	if same >= maxWaiting {
		oldest := slices.IndexFunc(d.waiting, func(w metric.Batch) bool { return w.Job == b.Job })
		if n := d.waiting[oldest].Points(); n > 0 {
			d.Stats.Drop(sinks.QueueFull, n)
		}
		dropped := d.waiting[oldest]
		d.waiting = slices.Delete(d.waiting, oldest, oldest+1)
		d.pop(dropped)
	}
	d.push(b)
	d.mu.Unlock()
	d.wakeUp()
}

func (d *delivery) next() (metric.Batch, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) == 0 {
		return metric.Batch{}, false
	}
	b := d.waiting[0]
	d.waiting = slices.Delete(d.waiting, 0, 1)
	return b, true
}

// superseded reports whether a newer batch of the same job is waiting.
func (d *delivery) superseded(b metric.Batch) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.waiting, func(w metric.Batch) bool { return w.Job == b.Job })
}

// run delivers batches until stop is closed and no batch is waiting. After ctx has ended, a batch that fails is dropped and
// not tried again.
func (d *delivery) run(ctx context.Context, stop <-chan struct{}) {
	for stopping := false; ; {
		if b, ok := d.next(); ok {
			d.write(ctx, b)
			d.finished(b)
			continue
		}
		if stopping {
			return
		}
		select {
		case <-d.wake:
		case <-stop:
			stopping = true
		}
	}
}

// write delivers one batch. After an error it tries again, until a newer batch of the same job can replace this one, the
// error is permanent, or ctx ends.
func (d *delivery) write(ctx context.Context, b metric.Batch) {
	pause := firstPause
	for {
		err := d.try(ctx, b)
		if err == nil {
			if len(b.Families) > 0 { // a batch that ends a job may have needed no request
				d.report.recovered(b.Job)
			}
			return
		}
		d.Stats.Failed.Add(1)
		saved := sinks.IsSaved(err)
		switch {
		case ctx.Err() != nil:
		case saved:
			d.report.failed("cannot deliver now: it waits on disk", b.Job, err)
		default:
			d.report.failed("cannot deliver", b.Job, err)
		}
		if !saved && sinks.IsPermanent(err) {
			d.lose(sinks.Refused, b)
			return
		}
		wait := max(time.Duration(rand.Int64N(int64(pause))), sinks.Pause(err))
		pause = min(2*pause, lastPause)
		var leave <-chan struct{}
		if saved {
			leave = d.leave
		}
		select {
		case <-leave:
			d.setLost()
			return
		case <-ctx.Done():
			if saved {
				d.setLost()
				return
			}
			d.lose(sinks.Shutdown, b)
			return
		case <-time.After(wait):
		}
		if d.superseded(b) && b.Points() == 0 {
			return // the newer batch contains everything
		}
		d.Stats.Retried.Add(1)
	}
}

// lose counts the samples of a batch that will not be delivered.
func (d *delivery) lose(reason metric.Reason, b metric.Batch) {
	d.Stats.Drop(reason, b.Samples())
	d.setLost()
}

func (d *delivery) setLost() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = true
}

// try writes a batch once. A panic counts as a permanent error.
func (d *delivery) try(ctx context.Context, b metric.Batch) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, writeTimeout, fmt.Errorf("timed out after %s", writeTimeout))
	defer cancel()
	panicked := true
	err = contain(d.Log, "sink", func() error {
		write := d.Sink.Sink.Write
		if b.Repeated {
			write = d.Sink.Sink.(sinks.Repeater).Repeat
		}
		err := write(ctx, b)
		panicked = false
		return err
	})
	if panicked {
		return sinks.Permanent(err)
	}
	return err
}

// state returns the current state of the sink.
func (d *delivery) state() SinkState {
	return SinkState{
		Name: d.Name, Sent: d.Stats.Sent.Load(), Failed: d.Stats.Failed.Load(), Retried: d.Stats.Retried.Load(),
		Dropped: d.Stats.Dropped(), Pending: d.Stats.Pending(), Queues: d.Stats.Queues(), Requests: d.Requests.Counts(),
	}
}
