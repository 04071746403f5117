package deliver

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// delivery is a record that is being sent.
type delivery struct {
	*Sender
	saved         func() bool // reports whether the record is on disk
	queued        time.Time   // when the record was put into the queue
	chunks        []*chunk    // those that are not settled, in the order of sending; at first one, the whole record
	partlySettled bool
	lastAccepted  *chunk // nil = none of the record
	bisections    int    // number of requests caused by bisect
	backoff       backoff
}

func (s *Sender) newDelivery(r spool.Record) *delivery {
	whole := &chunk{
		protocol: wire.Protocol(r.Protocol), packed: r.Payload,
		counts: counts{r.Samples, r.Histograms}, acceptedAtStart: s.accepted.Load(),
	}
	return &delivery{Sender: s, queued: time.UnixMilli(r.Taken), chunks: []*chunk{whole}}
}

// run sends the record until all of it is settled, and reports whether it is. It is not if life is done before. Once
// stopping is done, pauses are short, and a record on disk is left to the next process at the first failure, unless
// Options.Patient is set. A panic costs the record only.
func (d *delivery) run(life, stopping context.Context) (done bool) {
	defer func() {
		if p := recover(); p != nil {
			d.options.Log.Error("sending a request panicked", "panic", p, "stack", string(debug.Stack()))
			d.drop(sinks.Damaged)
			done = true
		}
	}()
	for first := true; len(d.chunks) > 0; first = false {
		if time.Since(d.queued) > d.options.MaxAge {
			d.drop(sinks.TooOld)
			break
		}
		if !first {
			d.options.Stats.Retried.Add(1)
		}
		if !d.step(life, stopping) {
			return false
		}
	}
	if d.lastAccepted == nil {
		d.protocol.rejected()
	}
	if d.bisections > 0 {
		d.allRejected.Store(d.lastAccepted == nil)
	}
	return true
}

// step sends the first chunk once, and reports whether to go on.
func (d *delivery) step(life, stopping context.Context) bool {
	for d.chunks[0].size() > d.size.bytes(time.Now()) && d.split(d.chunks[0]) {
	}
	c := d.chunks[0]
	ctx, done := d.lifeOf(life, stopping)
	r, err := d.send(ctx, c)
	ended := err != nil && ctx.Err() != nil
	done()
	if ended {
		return false
	}
	switch d.judge(c, r, err) {
	case settled:
		d.chunks, d.partlySettled = d.chunks[1:], true
		d.backoff = backoff{}
	case retryLater:
		if d.mayLeave(stopping) {
			return false
		}
		return d.backoff.wait(life, stopping, r.retryAfter)
	}
	return true
}

// lastTry is how long a request may take, once the process is to end, if its record is on disk.
const lastTry = 2 * time.Second

// mayLeave reports whether the process is to end and the next one can send the record.
func (d *delivery) mayLeave(stopping context.Context) bool {
	return stopping.Err() != nil && !d.options.Patient && d.saved()
}

// lifeOf returns the context of a request: it is done with life, or lastTry after stopping if the record may be left.
func (d *delivery) lifeOf(life, stopping context.Context) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(life)
	stop := context.AfterFunc(stopping, func() {
		timer := time.NewTimer(lastTry)
		defer timer.Stop()
		select {
		case <-timer.C:
			if d.mayLeave(stopping) {
				cancel()
			}
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel() }
}

// send sends a chunk in the current protocol.
func (d *delivery) send(ctx context.Context, c *chunk) (response, error) {
	if err := c.convert(d.protocol.current(time.Now())); err != nil {
		return response{}, &damagedError{err}
	}
	return d.client.send(ctx, c.protocol, c.packed)
}

// damagedError says that a record cannot be decoded.
type damagedError struct{ error }

func (e *damagedError) Unwrap() error { return e.error }

// verdict is what a response means for the first chunk.
type verdict uint8

const (
	settled    verdict = iota // accepted or rejected, and counted
	retryNow                  // what is in chunks now is sent at once
	retryLater                // what is in chunks now is sent after a pause
)

// judge decides what a response means for a chunk. See "Retries & Backoff" and "Required Written Response Headers" in the
// specification of 2.0.
func (d *delivery) judge(c *chunk, r response, err error) verdict {
	if damaged, is := errors.AsType[*damagedError](err); is {
		if d.split(c) {
			return retryNow // it can be decoded, but would be too large in the other protocol
		}
		d.options.Log.Warn("dropped a queued request that cannot be decoded", "error", damaged, "samples", c.counts.total())
		d.options.Stats.Drop(sinks.Damaged, c.counts.total())
		return settled
	}
	failed := &d.options.Stats.Failed
	switch {
	case err != nil:
		failed.Add(1)
		d.outage.begin(0, err)
		return retryLater
	case r.code == 500:
		failed.Add(1)
		return d.serverError(c, r)
	case r.isTransient(), d.options.Durable && r.isAboutAccess():
		failed.Add(1)
		d.outage.begin(r.code, r.errorWithHint(d.options.Place))
		return retryLater
	}
	d.outage.end()
	switch {
	case r.code/100 == 2 && (c.protocol == wire.V1 || r.hasWritten):
		d.accept(c, r)
		return settled
	case d.protocol.fallBack(c.protocol, r, time.Now()), d.tooLarge(c, r), d.bisect(c, r):
		failed.Add(1)
		return retryNow
	}
	d.reject(c, r)
	return settled
}

// accept counts an accepted chunk. A receiver of 2.0 may have left out a part of it.
func (d *delivery) accept(c *chunk, r response) {
	d.accepted.Add(1)
	d.lastAccepted = c
	if message, why := d.protocol.accepted(c.protocol); message != "" {
		d.options.Log.Info(message, "url", d.options.Place, "answer", why)
	}
	written := c.counts
	if c.protocol == wire.V2 {
		written = r.written
	}
	if lost := d.settle(c, written); lost > 0 {
		d.options.Stats.Failed.Add(1)
		d.rejections.partly(c, r, lost)
	}
}

// reject counts a rejected chunk. A receiver of 2.0 may have stored a part of it.
func (d *delivery) reject(c *chunk, r response) {
	d.options.Stats.Failed.Add(1)
	d.rejections.wholly(c, r, d.settle(c, r.written))
}

// settle counts what was written of a chunk as sent, and the rest as rejected. It returns the size of the rest.
func (d *delivery) settle(c *chunk, written counts) (lost int) {
	arrived := min(c.counts.samples, written.samples) + min(c.counts.histograms, written.histograms)
	d.options.Stats.Sent.Add(int64(arrived))
	if lost = c.counts.total() - arrived; lost > 0 {
		d.options.Stats.Drop(sinks.Refused, lost)
	}
	return lost
}

// drop drops what is not settled.
func (d *delivery) drop(why metric.Reason) {
	for _, c := range d.chunks {
		d.options.Stats.Drop(why, c.counts.total())
	}
	d.chunks = nil
}

// split replaces the first chunk by its halves. It reports whether the chunk can be divided.
func (d *delivery) split(c *chunk) bool {
	halves := c.halves(1, d.accepted.Load())
	if halves == nil {
		return false
	}
	d.chunks = append(halves, d.chunks[1:]...)
	return true
}

// tooLarge splits a chunk that is too large for the receiver, and remembers its size.
func (d *delivery) tooLarge(c *chunk, r response) bool {
	if r.code != 413 {
		return false
	}
	d.size.exceeded(c.size(), time.Now())
	return d.split(c)
}

// A receiver of 1.0, such as Prometheus, may reject all of a request for one bad sample. Then up to maxBisections more
// requests are sent for the record to find the good samples, or up to maxBisectionsAfterNone if none of the last record
// was accepted.
const (
	maxBisections          = 64
	maxBisectionsAfterNone = 3
)

// bisect reduces a rejected chunk: it leaves out the zeros that package encode has added, then the series that the
// receiver names, or else splits the chunk. It reports whether there is something to send again.
func (d *delivery) bisect(c *chunk, r response) bool {
	if r.code != 400 && r.code != 409 && r.code != 422 || r.hasWritten || storesRest(r.text) || c.isProbe() {
		return false
	}
	limit := maxBisections
	if d.allRejected.Load() && d.lastAccepted == nil {
		limit = maxBisectionsAfterNone
	}
	if d.bisections >= limit {
		return false
	}
	q, err := c.decode()
	if err != nil {
		return false
	}
	d.bisections++
	if n := c.leaveOutZeros(q); n > 0 {
		d.leftOut(n)
		return true
	}
	if labels := r.rejectedLabels(); labels != nil {
		if n := c.keep(q, func(i *wire.Item) bool { return !slices.Equal(i.Labels, labels) }); n > 0 {
			d.leftOut(n)
			d.rejections.wholly(c, r, n)
			return true
		}
	}
	d.bisections++
	return d.split(c)
}

func (d *delivery) leftOut(samples int) {
	d.options.Stats.Drop(sinks.Refused, samples)
	d.partlySettled = true
}

// storesRest reports whether the text of a rejection is that of a receiver that has stored the good samples of the
// request. Mimir and Cortex do.
func storesRest(text string) bool {
	return strings.Contains(text, "err-mimir-") || strings.HasPrefix(text, "user=")
}

// maxServerErrors is how many responses of 500 make a chunk suspect. Receivers answer 500 to a request that they cannot
// process, and during an outage of their own.
const maxServerErrors = 8

// serverError judges a response of 500.
//
// If other requests were accepted since the chunk was made, the second 500 splits it; else it is an outage, and the chunk
// is split when it is suspect. A suspect chunk that cannot be split is sent after the others of its record, and is rejected
// when a request was accepted since its first 500.
func (d *delivery) serverError(c *chunk, r response) verdict {
	accepted := d.accepted.Load()
	if c.serverErrors == 0 {
		c.acceptedAtError = accepted
	}
	c.serverErrors++
	suspect := c.serverErrors >= maxServerErrors
	if suspect || c.serverErrors > 1 && accepted > c.acceptedAtStart {
		if halves := c.halves(2, accepted); halves != nil {
			d.chunks = append(d.chunks[1:], halves...)
			return retryLater
		}
	}
	if suspect && accepted > c.acceptedAtError && !c.isProbe() {
		d.reject(c, r)
		return settled
	}
	if d.lastAccepted == nil || c.serverErrors > maxServerErrors {
		d.outage.begin(r.code, r.error(d.options.Place))
	}
	switch {
	case !suspect || c.isProbe():
	case len(d.chunks) > 1:
		d.chunks = append(d.chunks[1:], c)
	case d.lastAccepted != nil:
		d.chunks = []*chunk{d.lastAccepted.probe(), c}
	}
	return retryLater
}
