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

// Drain is how long a sink may continue to deliver when the agent stops.
const Drain = 10 * time.Second

// sink is a running sink.
type sink struct {
	*delivery
	drain  time.Duration
	ready  chan struct{} // closed: started
	stop   chan struct{} // closed: deliver what is left
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// newSink returns a sink. A patient one tries for as long as drain, at the end, what could be left on disk.
func newSink(plan Sink, drain time.Duration, patient bool) *sink {
	s := &sink{delivery: newDelivery(plan), drain: drain, ready: make(chan struct{}), stop: make(chan struct{})}
	if !patient {
		s.leave = s.stop
	}
	return s
}

// start starts the sink. It runs until end, also if ctx ends before, so that it outlives the jobs.
func (s *sink) start(ctx context.Context, fail context.CancelCauseFunc) {
	defer close(s.ready)
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if r, ok := s.Sink.Sink.(sinks.Runner); ok {
		s.wg.Go(func() { s.serve(ctx, r, fail) })
	}
	write, end := context.WithCancel(context.WithoutCancel(ctx))
	s.wg.Go(func() {
		defer end()
		// The sink's Run ends only when everything has been written to it.
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

// serve calls the sink's Run. If that fails, serve calls fail, which ends the agent. If fail is nil, it calls Run again later.
func (s *sink) serve(ctx context.Context, r sinks.Runner, fail context.CancelCauseFunc) {
	keepRunning(ctx, s.Log, "sink", r.Run, func(err error) (ended bool) {
		if fail != nil {
			fail(&sinkError{s.Name, err})
		}
		return fail != nil
	})
}

// end delivers what is queued, for as long as drain, and waits for the sink to finish.
func (s *sink) end() {
	close(s.stop)
	s.wg.Wait()
}

// How batches are delivered.
const (
	writeTimeout = 30 * time.Second
	firstPause   = time.Second // bounds the first pause between tries; doubled up to lastPause; the pause is a random part of it
	lastPause    = time.Minute
	maxWaiting   = 64 // batches of one job; the oldest is dropped, since batches hold running totals
)

// delivery writes batches to one sink, one at a time and in order.
type delivery struct {
	Sink
	report report

	mu      sync.Mutex
	waiting []metric.Batch
	wake    chan struct{} // holds a token if waiting may have grown
	lost    bool          // a batch could not be delivered
	undone  int           // batches that wait, and the one that is being written
	done    chan struct{} // closed when undone gets 0, and replaced when it grows again

	repeats  int           // the undone ones that are repeated
	repeated chan struct{} // likewise, of repeats

	leave <-chan struct{} // closed: what the sink has saved is not tried again; nil = it is
}

func newDelivery(s Sink) *delivery {
	done := make(chan struct{})
	close(done)
	return &delivery{Sink: s, report: report{log: s.Log}, wake: make(chan struct{}, 1), done: done, repeated: done}
}

// repeat queues the last batch of a job before a restart, if the sink can take it again. It is called before the first add for
// the job.
func (d *delivery) repeat(b metric.Batch) {
	if _, ok := d.Sink.Sink.(sinks.Repeater); ok {
		b.Repeated = true
		d.mu.Lock()
		d.push(b)
		d.mu.Unlock()
		d.wakeUp()
	}
}

// push appends a batch to those that wait. The caller holds mu.
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

// finished notes that a batch waits no more and is not being written.
func (d *delivery) finished(b metric.Batch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pop(b)
}

// pop is finished for a caller that holds mu.
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

// awaitRepeated waits until all batches that the sink repeats are on disk, or until ctx ends. A sink without a queue on disk has
// nothing to wait for: its receiver may be away for long.
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

// settled waits until everything that was queued is on disk or delivered, or until the sink has stopped.
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

// run delivers until stop is closed and nothing is waiting. After ctx has ended, batches are dropped instead of tried again.
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

// write delivers one batch. After an error it tries again, until the batch is superseded, the error is permanent, or ctx ends.
func (d *delivery) write(ctx context.Context, b metric.Batch) {
	pause := firstPause
	for {
		err := d.try(ctx, b)
		if err == nil {
			if len(b.Families) > 0 { // ending a job may have needed no request
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
			return // the newer batch has everything
		}
		d.Stats.Retried.Add(1)
	}
}

// lose counts a batch that will not be delivered.
func (d *delivery) lose(reason metric.Reason, b metric.Batch) {
	d.Stats.Drop(reason, b.Samples())
	d.setLost()
}

func (d *delivery) setLost() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = true
}

// try writes a batch once. A panic is a permanent error.
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
	s := SinkState{
		Name: d.Name, Sent: d.Stats.Sent.Load(), Failed: d.Stats.Failed.Load(), Retried: d.Stats.Retried.Load(),
		Dropped: d.Stats.Dropped(), Pending: d.Stats.Pending(), Queues: d.Stats.Queues(), Requests: d.Requests.Counts(),
	}
	if fault, ok := d.Stats.Spool(); ok {
		s.Spool = &fault
	}
	return s
}
