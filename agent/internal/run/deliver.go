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

// How batches are delivered.
const (
	writeTimeout = 30 * time.Second
	firstPause   = time.Second // between tries; doubled up to lastPause, and a random part of it waited
	lastPause    = time.Minute
	maxWaiting   = 64 // batches of one job; an older one is superseded, since batches hold running totals
)

// delivery hands batches to one sink, one at a time and in order.
type delivery struct {
	Sink
	report report

	mu      sync.Mutex
	waiting []metric.Batch
	wake    chan struct{} // holds one token where waiting may have grown
	lost    bool          // a batch could not be delivered
}

func newDelivery(s Sink) *delivery {
	return &delivery{Sink: s, report: report{log: s.Log}, wake: make(chan struct{}, 1)}
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
		d.waiting = slices.Delete(d.waiting, oldest, oldest+1)
	}
	d.waiting = append(d.waiting, b)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
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

// superseded tells whether a newer batch of the same job is waiting.
func (d *delivery) superseded(b metric.Batch) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.waiting, func(w metric.Batch) bool { return w.Job == b.Job })
}

// run delivers until stop ends and everything that waits is delivered, or ctx ends.
func (d *delivery) run(ctx context.Context, stop <-chan struct{}) {
	for stopping := false; ; {
		if b, ok := d.next(); ok {
			d.write(ctx, b)
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

// write delivers one batch, trying again until it is superseded or nothing more can be done.
func (d *delivery) write(ctx context.Context, b metric.Batch) {
	pause := firstPause
	for {
		err := d.try(ctx, b)
		if err == nil {
			if len(b.Families) > 0 { // ending a job may have needed nobody
				d.report.recovered(b.Job)
			}
			return
		}
		d.Stats.Failed.Add(1)
		if ctx.Err() == nil {
			d.report.failed("cannot deliver", b.Job, err)
		}
		if sinks.IsPermanent(err) {
			d.lose(sinks.Refused, b)
			return
		}
		wait := max(time.Duration(rand.Int64N(int64(pause))), sinks.Pause(err))
		pause = min(2*pause, lastPause)
		select {
		case <-ctx.Done():
			d.lose(sinks.Shutdown, b)
			return
		case <-time.After(wait):
		}
		if d.superseded(b) && b.Points() == 0 {
			return // the newer one will tell
		}
		d.Stats.Retried.Add(1)
	}
}

// lose gives a batch up.
func (d *delivery) lose(reason metric.Reason, b metric.Batch) {
	d.Stats.Drop(reason, b.Samples())
	d.lost = true
}

func (d *delivery) try(ctx context.Context, b metric.Batch) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, writeTimeout, fmt.Errorf("no answer within %s", writeTimeout))
	defer cancel()
	panicked := true
	err = contained(d.Log, func() error {
		err := d.Sink.Sink.Write(ctx, b)
		panicked = false
		return err
	})
	if panicked {
		return sinks.Permanent(err)
	}
	return err
}
