package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/clock"
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

// newSink returns a sink. At the end, a patient sink tries to deliver everything for as long as the argument "drain" says, even batches
// that it could leave on disk. Other sinks leave such batches on disk.
func newSink(plan Sink, drain time.Duration, patient bool) *sink {
	s := &sink{delivery: newDelivery(plan), drain: drain, ready: make(chan struct{}), stop: make(chan struct{})}
	if !patient {
		s.leave = s.stop
	}
	return s
}

// start starts the sink. The sink runs until end is called, even if ctx ends earlier, because it must run longer than the jobs.
func (s *sink) start(ctx context.Context, fail context.CancelCauseFunc) {
	defer close(s.ready)
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if r, ok := s.Sink.Sink.(sinks.Runner); ok {
		s.wg.Go(func() { s.serve(ctx, r, fail) })
	}
	write, end := context.WithCancelCause(context.WithoutCancel(ctx))
	s.wg.Go(func() {
		defer end(nil)
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
				end(s.timeIsOver())
			case <-write.Done():
			}
		}()
		s.delivery.run(write, s.stop)
	})
}

// serve calls the sink's Run. If Run fails, serve calls the function "fail", which ends the agent. If "fail" is nil, serve calls Run again
// later.
func (s *sink) serve(ctx context.Context, r sinks.Runner, fail context.CancelCauseFunc) {
	keepRunning(ctx, s.Log, "sink", r.Run, func(err error) (ended bool) {
		if fail != nil {
			fail(&sinkError{s.Name, err})
		}
		return fail != nil
	})
}

// end delivers queued batches, for at most the duration s.drain, and waits until the sink has stopped.
func (s *sink) end() {
	close(s.stop)
	s.wg.Wait()
}

// timeIsOver returns the error of a write that ends now, since the time for deliveries at the end is over.
func (d *delivery) timeIsOver() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writing == "" {
		return errors.New("the time for deliveries at the end is over")
	}
	return fmt.Errorf("no answer within %s", time.Since(d.began).Round(100*time.Millisecond))
}

// Limits for the delivery of batches.
const (
	writeTimeout = 30 * time.Second
	firstPause   = time.Second // a pause between tries is random, at first up to firstPause; this limit doubles up to lastPause
	lastPause    = time.Minute
	maxWaiting   = 64 // batches of one job; above this the oldest is dropped, because newer ones have the newer running totals
)

// delivery writes batches to one sink, one batch at a time. The batches of a job are written in order. A batch that fails is tried again
// later; meanwhile the batches of other jobs are written.
type delivery struct {
	Sink
	report report

	mu      sync.Mutex
	waiting []*held
	pause   time.Duration // bounds the pause after the next failure; 0 = the last try succeeded
	failed  string        // the job of the last batch that failed
	resume  time.Time     // until then no batch is tried again
	wake    chan struct{} // receives a value when a batch may have been added to waiting
	lost    bool          // a batch could not be delivered
	writing string        // the job whose batch is being written; "" = none
	began   time.Time     // when that write began
	undone  int           // number of batches that wait or are being written
	done    chan struct{} // closed when undone becomes 0, and replaced when it grows again

	overflow *clock.Reminder // batches were dropped since the last that was delivered, because too many wait; nil = none
	unlogged int             // number of samples in them that were not logged

	repeats  int           // number of repeated batches in undone
	repeated chan struct{} // closed when repeats becomes 0, and replaced when it grows again

	earlier replaced  // earlier sinks of the same name; guarded by Agent.mu
	heir    *delivery // the sink of the same name and kind that replaces this one; nil = none

	leave <-chan struct{} // closed when batches on disk should be left to the next process; nil = they are always tried again
}

// held is a batch that is not delivered.
type held struct {
	metric.Batch
	tried bool
	saved bool          // the last try has written the batch to disk
	due   time.Time     // time of the next try; zero = at once
	pause time.Duration // limit of the next pause of the batch; the pause itself is random

	takenOver bool // the batch is from the sink that this one has replaced
}

func newDelivery(s Sink) *delivery {
	done := make(chan struct{})
	close(done)
	return &delivery{Sink: s, report: report{log: s.Log}, wake: make(chan struct{}, 1), done: done, repeated: done}
}

// repeat queues the last batch of a job from before a restart, if the sink can take a batch again. repeat must be called before add is
// called for the same job.
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
	d.begin(b)
	d.waiting = append(d.waiting, &held{Batch: b, pause: firstPause})
}

// begin counts a batch that waits from now on. The caller holds mu.
func (d *delivery) begin(b metric.Batch) {
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
}

// finished is called when a batch no longer waits and is not being written.
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

// awaitRepeated waits until all repeated batches are on disk, or until ctx ends. It does not wait if the sink has no queue on disk,
// because the receiver may be unreachable for a long time.
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

// holds returns true if batches of a job are only in memory. It also returns true if the sink has a queue of its own in memory that is not
// empty, because it is not known which jobs the samples in that queue are from.
func (d *delivery) holds(job string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writing == job || !d.Durable && d.Stats.Pending().Samples > 0 ||
		slices.ContainsFunc(d.waiting, func(h *held) bool { return h.Job == job && !h.saved })
}

func (d *delivery) hasLost() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

// isWaiting reports whether a batch waits or is being written.
func (d *delivery) isWaiting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.undone > 0
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
		oldest := slices.IndexFunc(d.waiting, func(w *held) bool { return w.Job == b.Job })
		dropped := d.waiting[oldest].Batch
		if n := dropped.Points(); n > 0 {
			d.overflowed(n)
		}
		d.waiting = slices.Delete(d.waiting, oldest, oldest+1)
		d.pop(dropped)
	}
	d.push(b)
	d.mu.Unlock()
	d.wakeUp()
}

// isReplaced reports whether another sink takes over the batches that wait.
func (d *delivery) isReplaced() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heir != nil
}

// overflowed counts samples that were dropped because too many batches of their job wait, and logs the first, and then now and then how many
// there were since. The caller holds mu.
func (d *delivery) overflowed(samples int) {
	d.Stats.Drop(sinks.QueueFull, samples)
	first := d.overflow == nil
	if first {
		d.overflow = clock.NewReminder()
	}
	if d.unlogged += samples; first || d.overflow.Due() {
		d.tellOverflow()
	}
}

// tellOverflow logs the dropped samples that were not logged yet. The caller holds mu.
func (d *delivery) tellOverflow() {
	if d.unlogged > 0 {
		d.Log.Error("too many batches wait, and the samples with their own times in the oldest are dropped", "samples", d.unlogged, "since", d.overflow.Since())
		d.unlogged = 0
	}
}

// next removes the next batch to try from the waiting batches and returns it. If no batch is due, it returns how long to wait for the
// next one, or 0 if no batch waits. If the argument "ending" is true, a batch that was not tried yet is due at once.
func (d *delivery) next(now time.Time, ending bool) (h *held, pause time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writing = ""
	d.discard()
	jobs := map[string]bool{} // jobs with an earlier batch that waits
	for i, h := range d.waiting {
		if jobs[h.Job] {
			continue
		}
		due := h.due
		if d.resume.After(due) && (h.tried || !d.Durable) { // a durable sink puts a new batch on disk
			due = d.resume
		}
		if !due.After(now) || ending && !h.tried {
			d.waiting = slices.Delete(d.waiting, i, i+1)
			d.writing, d.began = h.Job, now
			return h, 0
		}
		if wait := due.Sub(now); pause == 0 || wait < pause {
			pause = wait
		}
		jobs[h.Job] = true
	}
	return nil, pause
}

// discard removes batches that need not be tried again: those whose samples are all replaced by a newer waiting batch of the same job. At
// the end of the process, discard also removes the batches that are on disk too. The next process delivers these from the disk. The caller
// holds mu.
func (d *delivery) discard() {
	leaving := false
	select {
	case <-d.leave:
		leaving = true
	default:
	}
	for i := 0; i < len(d.waiting); i++ {
		h := d.waiting[i]
		if !h.tried {
			continue
		}
		newer := slices.IndexFunc(d.waiting[i+1:], func(w *held) bool { return w.Job == h.Job })
		switch {
		case leaving && h.saved:
			d.lost = true
		case newer >= 0 && h.Points() == 0:
			next := d.waiting[i+1+newer]
			next.due, next.pause = h.due, h.pause
		default:
			continue
		}
		d.pop(h.Batch)
		d.waiting = slices.Delete(d.waiting, i, i+1)
		i--
	}
}

// run delivers batches until the channel "stop" is closed and no batch is waiting. After ctx has ended, a batch that fails is dropped and
// not tried again.
func (d *delivery) run(ctx context.Context, stop <-chan struct{}) {
	for stopping := false; ; {
		h, pause := d.next(time.Now(), stopping || ctx.Err() != nil)
		switch {
		case h != nil:
			d.write(ctx, h)
			continue
		case pause == 0 && stopping:
			d.mu.Lock()
			d.tellOverflow()
			d.mu.Unlock()
			return
		}
		stopped, ended, again := stop, ctx.Done(), time.After(pause)
		if stopping {
			stopped = nil
		}
		if pause == 0 {
			ended, again = nil, nil
		}
		select {
		case <-d.wake:
		case <-again:
		case <-stopped:
			stopping = true
		case <-ended:
			d.giveUp()
		}
	}
}

// write tries to deliver a batch. If that fails, and the error is not permanent, the batch waits for the next try.
func (d *delivery) write(ctx context.Context, h *held) {
	if h.tried {
		d.Stats.Retried.Add(1)
	}
	err := d.try(ctx, h.Batch)
	if err == nil {
		if len(h.Families) > 0 { // otherwise the batch only ends series, perhaps without a request
			d.report.recovered(h.Job)
		}
		d.mu.Lock()
		d.tellOverflow()
		d.pause, d.resume, d.overflow = 0, time.Time{}, nil
		d.pop(h.Batch)
		d.mu.Unlock()
		return
	}
	d.Stats.Failed.Add(1)
	h.tried, h.saved = true, sinks.IsSaved(err)
	switch {
	case ctx.Err() != nil && (d.report.isFailing(h.Job) || d.isReplaced()): // the reason was logged, or the sink that replaces this one tries again
	case ctx.Err() != nil && h.saved:
		d.report.failed("not delivered before the end: it waits on disk for the next process", h.Job, err)
	case ctx.Err() != nil:
		d.report.failed("not delivered before the end, and it is not on disk", h.Job, err)
	case h.saved:
		d.report.failed("cannot deliver now: it waits on disk", h.Job, err)
	case sinks.IsPermanent(err):
		d.report.failed("cannot deliver: trying again would not help, so it is dropped", h.Job, err)
	default:
		d.report.failed("cannot deliver now: it waits in memory, and is lost if the process ends", h.Job, err)
	}
	if !h.saved && sinks.IsPermanent(err) {
		d.lose(sinks.Refused, h.Batch)
		d.finished(h.Batch)
		return
	}
	d.retry(h, sinks.Pause(err))
}

// retry puts a batch that has failed back to the waiting batches. The batch is tried again after a random pause, which is at least the
// pause that the receiver has asked for. If the batch is not on disk, the whole sink pauses too.
func (d *delivery) retry(h *held, asked time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	h.due = now.Add(max(rand.N(h.pause), asked))
	h.pause = min(2*h.pause, lastPause)
	if !h.saved {
		if d.pause == 0 || d.failed == h.Job { // do not double the pause: perhaps the receiver refuses only this job
			d.pause = firstPause
		}
		d.failed = h.Job
		d.resume = now.Add(max(rand.N(d.pause), asked))
		d.pause = min(2*d.pause, lastPause)
	}
	d.insert(h, func(*held) bool { return true })
}

// insert puts a batch before the first waiting batch of its job for which newer returns true. The caller holds mu.
func (d *delivery) insert(h *held, newer func(*held) bool) {
	at := slices.IndexFunc(d.waiting, func(w *held) bool { return w.Job == h.Job && newer(w) })
	if at < 0 {
		at = len(d.waiting)
	}
	d.waiting = slices.Insert(d.waiting, at, h)
}

// giveUp removes the batches that were tried from the waiting batches. Unless they are on disk, the sink that replaces this one takes them
// over. If there is none, their samples count as dropped.
func (d *delivery) giveUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var left []*held
	d.waiting = slices.DeleteFunc(d.waiting, func(h *held) bool {
		switch {
		case !h.tried:
			return false
		case h.saved:
		case d.heir != nil:
			left = append(left, h)
		default:
			d.Stats.Drop(sinks.Shutdown, h.Samples())
		}
		d.lost = true
		d.pop(h.Batch)
		return true
	})
	for _, h := range left {
		d.heir.takeOver(h)
	}
}

// lose adds the samples of a batch that will not be delivered to the number of dropped samples.
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

// remedy says what would have kept the samples that are lost because the sink ended before they were delivered.
func (d *delivery) remedy() string {
	if !d.Durable {
		return "set spool: {dir: …} of the sink: samples then wait on disk"
	}
	do := "see the directory of the sink's spool, its owner and mode, and the free space of its disk: samples that cannot be written there wait in memory only"
	if fault, _ := d.Stats.Spool(); fault.Why != "" {
		do += ": " + fault.Why
	}
	return do
}

// state returns the current state of the sink. Its counters include those of earlier sinks of the same name.
func (d *delivery) state() SinkState {
	s := SinkState{
		Name: d.Name, Sent: d.Stats.Sent.Load(), Failed: d.Stats.Failed.Load(), Retried: d.Stats.Retried.Load(),
		Dropped: d.Stats.Dropped(), Pending: d.Stats.Pending(), Queues: d.Stats.Queues(), Requests: d.Requests.Counts(),
	}
	if fault, ok := d.Stats.Spool(); ok {
		s.Spool = &fault
	}
	s.add(d.earlier.state())
	return s
}
