package deliver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// delivery is a record that is being sent, or several records that are sent in one request.
type delivery struct {
	*Sender
	saved         func() bool // reports whether all the records are on disk, or will be handed over
	allSaved      func() bool // reports the same for all records of the queue
	queued        time.Time   // when the last record was put into the queue
	chunks        []*chunk    // the chunks that are not settled, in the order of sending; at first one chunk with all the records
	partlySettled bool
	lastAccepted  *chunk // the chunk that was accepted most recently; nil = none yet
	backoff       backoff
	refusals      *backoff // pauses after refusals in a row; shared with the earlier deliveries of the shard
	refused       bool     // the last response was a refusal

	waits  int  // number of responses to the first chunk that do not come from a receiver
	blamed bool // a request without samples was accepted meanwhile, so the chunk itself is the reason

	trial  wire.Protocol // the protocol in which the chunks are tried since they were refused in the other one; 0 = no trial
	why    string        // the response that was the reason for the trial
	inBoth bool          // a chunk was sent in both protocols already, so there is no further trial
}

func (s *Sender) newDelivery(records []spool.Record, refusals *backoff) *delivery {
	d := &delivery{Sender: s, queued: time.Now().Add(-records[len(records)-1].Age), refusals: refusals}
	if len(records) > 1 {
		if c := join(s.protocol.current(time.Now()), records); c != nil {
			c.acceptedAtStart, c.joined = s.accepted.Load(), records
			c.again = slices.ContainsFunc(records, func(r spool.Record) bool { return r.Again })
			d.chunks = []*chunk{c}
		}
	}
	if d.chunks == nil {
		d.chunks = d.apart(records)
	}
	d.setSuspectsApart()
	return d
}

// apart returns a chunk for each record.
func (d *delivery) apart(records []spool.Record) (all []*chunk) {
	for _, r := range records {
		all = append(all, &chunk{
			protocol: wire.Protocol(r.Protocol), packed: r.Payload, counts: counts{r.Samples, r.Histograms},
			acceptedAtStart: d.accepted.Load(), again: r.Again,
		})
	}
	return all
}

// run sends the records until all of their chunks are settled. It reports false if life is done before that. Once stopping is done, pauses
// are short, and at the first failure records are left to the next process if all of the queue is on disk, unless Options.Patient is set.
// A panic only loses these records.
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
		if !d.step(life, stopping) && len(d.chunks) > 0 {
			return false
		}
	}
	if d.inBoth && d.lastAccepted == nil {
		d.protocol.tried(d.trial, d.why, false, time.Now())
	}
	return true
}

// step sends the first chunk once, and reports whether to go on.
func (d *delivery) step(life, stopping context.Context) bool {
	for d.chunks[0].size() > d.size.bytes(time.Now()) && d.split(d.chunks[0]) {
	}
	c := d.chunks[0]
	ctx, done := d.lifeOf(life, stopping)
	sent := time.Now()
	r, err := d.send(ctx, c)
	ended := err != nil && ctx.Err() != nil
	done()
	if ended {
		d.cutShort(time.Since(sent))
		return false
	}
	d.backoff.limit = 0
	switch d.judge(c, r, err) {
	case settled:
		d.chunks, d.partlySettled = d.chunks[1:], true
		d.backoff, d.waits, d.blamed = backoff{}, 0, false
	case retryLater:
		if d.waits > 0 && d.waits%maxWaits == 0 {
			d.blamed = d.acceptsEmpty(life)
		}
		if d.mayLeave(stopping) {
			return false
		}
		return d.backoff.wait(life, stopping, r.retryAfter)
	}
	if d.refused {
		d.refused = false
		return d.refusals.wait(life, stopping, 0)
	}
	return true
}

// cutShort logs that the time to deliver was over before the receiver has answered. An outage was logged before.
func (d *delivery) cutShort(took time.Duration) {
	if d.outage.isLogged() || d.succeeded.Load() {
		return
	}
	err := fmt.Errorf("POST %s: no answer within %s", d.options.Place, took.Round(100*time.Millisecond))
	if d.saved() {
		d.options.Log.Warn("not delivered before the end: the samples wait on disk for the next process", "error", err)
		return
	}
	d.options.Log.Warn("not delivered before the end, and the samples are not on disk", "error", err)
}

// lastTry is how long a request may take after stopping is done, if its record is on disk.
const lastTry = 2 * time.Second

// mayLeave reports whether stopping is done and the next process or Sender can send the record. If other records are only in memory, it returns
// false even for a record on disk: those behind it must be tried too, and can only be sent after it.
func (d *delivery) mayLeave(stopping context.Context) bool {
	return stopping.Err() != nil && !d.options.Patient && d.allSaved()
}

// lifeOf returns the context of a request. It is done when the context "life" is done. If the record can be left to the next process, it is
// also done when the time lastTry has passed since the context "stopping" was done.
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

// send sends a chunk in the protocol of the trial, or else in the current protocol.
func (d *delivery) send(ctx context.Context, c *chunk) (response, error) {
	p := d.trial
	if p == 0 {
		p = d.protocol.current(time.Now())
	}
	if err := c.convert(p); err != nil {
		return response{}, &damagedError{err}
	}
	return d.client.send(ctx, c.protocol, c.packed)
}

// damagedError says that a record cannot be decoded.
type damagedError struct{ error }

func (e *damagedError) Unwrap() error { return e.error }

// verdict says what to do with the first chunk after a response.
type verdict uint8

const (
	settled    verdict = iota // the chunk was accepted or rejected, and its samples are counted
	retryNow                  // send the current chunks at once
	retryLater                // send the current chunks after a pause
)

// judge decides what a response means for a chunk. See "Retries & Backoff" and "Required Written Response Headers" in the
// specification of 2.0.
func (d *delivery) judge(c *chunk, r response, err error) verdict {
	if damaged, is := errors.AsType[*damagedError](err); is {
		if d.split(c) {
			return retryNow // the chunk can be decoded, but would be too large in the other protocol
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
	case r.isTransient(), d.isMute(c, r), d.waitsOut(r):
		failed.Add(1)
		d.outage.begin(r.code, r.errorWithHint(d.options.Place))
		return retryLater
	}
	d.outage.end()
	switch {
	case r.code/100 == 2 && (c.protocol == wire.V1 || r.hasWritten || d.options.Protocol != 0):
		d.accept(c, r)
		return settled
	case d.protocol.fallBack(c.protocol, r, time.Now()):
		failed.Add(1)
		d.trial, d.inBoth = 0, true
		return retryNow
	case d.startTrial(c, r):
		failed.Add(1)
		return retryNow
	}
	d.refused = true
	if r.code == 413 {
		d.size.exceeded(c.size(), time.Now())
	}
	if d.search(c, r) {
		failed.Add(1)
		return retryNow
	}
	d.reject(c, r)
	return settled
}

// startTrial reports whether the chunks are to be tried in the other protocol, after a refusal of the chunk c.
func (d *delivery) startTrial(c *chunk, r response) bool {
	if d.inBoth {
		return false
	}
	if d.trial = d.protocol.other(c.protocol, r, time.Now()); d.trial == 0 {
		return false
	}
	d.why, d.inBoth = r.status(), true
	return true
}

// maxWaits is the number of responses that do not come from a receiver, after which a request without samples is sent: if that is accepted,
// the chunk is the cause. For example, a firewall may block one request because of its contents. Later requests must not wait for it.
const maxWaits = 16

// waitsOut reports whether a response does not come from a receiver, and counts such a response. If the request without samples was
// accepted, waitsOut returns false for a 4xx, since the 4xx is then a refusal of the chunk.
func (d *delivery) waitsOut(r response) bool {
	if !r.isAboutAccess() && !r.isForeign() || d.blamed && r.code/100 == 4 {
		return false
	}
	d.waits++
	return true
}

// acceptsEmpty reports whether a request without samples is accepted.
func (d *delivery) acceptsEmpty(ctx context.Context) bool {
	p := d.protocol.current(time.Now())
	r, err := d.sendEmpty(ctx, p)
	return err == nil && r.code/100 == 2 && !r.isForeign() && (p == wire.V1 || r.hasWritten)
}

// isMute reports whether a response does not say what was written, although the settings allow only 2.0. The result is false for 202, which
// is a success even without the headers: Mimir and Cortex send it to a replica that is not the leader of its HA group.
func (d *delivery) isMute(c *chunk, r response) bool {
	return d.options.Protocol == wire.V2 && c.protocol == wire.V2 && r.code/100 == 2 && r.code != 202 && !r.hasWritten
}

// accept counts a chunk that was accepted. A receiver of 2.0 may have ignored a part of it.
func (d *delivery) accept(c *chunk, r response) {
	d.accepted.Add(1)
	d.lastAccepted = c
	*d.refusals = backoff{limit: maxSearchPause}
	if c.suspect {
		d.suspects.accepted(c)
	}
	if d.trial == c.protocol {
		d.protocol.tried(d.trial, d.why, true, time.Now())
		d.trial = 0
	}
	if message, why := d.protocol.accepted(c.protocol); message != "" {
		d.options.Log.Info(message, "url", d.options.Place, "answer", why)
	}
	written := c.counts
	if c.protocol == wire.V2 && r.hasWritten {
		written = r.written
	}
	if lost := d.settle(c, written); lost > 0 {
		d.options.Stats.Failed.Add(1)
		d.rejections.partly(c, r, lost)
	}
}

// reject counts a chunk that was rejected. A receiver of 2.0 may have stored a part of it.
func (d *delivery) reject(c *chunk, r response) {
	d.options.Stats.Failed.Add(1)
	if d.searches(c, r) {
		d.suspects.refused(c, time.Now())
	} else if d.receiver != storesRest && !r.hasWritten {
		d.joining.refused(time.Now())
	}
	if lost := d.settle(c, r.written); lost > 0 {
		d.rejections.wholly(c, r, lost)
	}
}

// settle counts the written samples of a chunk as sent, and the others as refused. It returns the number of refused samples. If all refused
// samples can be zeros that package encode has added, they count as sent, since the receiver then already has later samples.
func (d *delivery) settle(c *chunk, written counts) (lost int) {
	arrived := min(c.counts.samples, written.samples) + min(c.counts.histograms, written.histograms)
	if lost = c.counts.total() - arrived; lost > 0 && c.hasZeros(lost) {
		arrived, lost = c.counts.total(), 0
	}
	d.options.Stats.Sent.Add(int64(arrived))
	if lost > 0 {
		d.options.Stats.Drop(sinks.Refused, lost)
	}
	return lost
}

// drop drops the samples that are not settled. The argument "why" is the reason.
func (d *delivery) drop(why metric.Reason) {
	for _, c := range d.chunks {
		d.Drop(why, c.counts.total())
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

// maxServerErrors is the number of responses of 500 after which a chunk is suspected. A receiver answers 500 to a request that it cannot
// process, but also during an outage.
const maxServerErrors = 8

// serverErrorWait is the minimum time for which a series is tried before it is given up, from the first 500 to a request with this series:
// an ingester of the receiver may be restarting. Later records wait meanwhile. They must wait less than five minutes, since Prometheus would
// otherwise show gaps.
const serverErrorWait = 4 * time.Minute

// A series that was given up after responses of 500 is then sent apart, as a suspect. Later records wait for these tries too, so there are
// fewer of them, with shorter pauses, if the receiver has accepted the rest of the record.
const (
	maxSuspectErrors = 4
	maxSuspectPause  = time.Second
)

// isSuspected reports whether the responses of 500 may be due to the chunk.
func (c *chunk) isSuspected() bool {
	return c.serverErrors >= maxServerErrors || c.suspect && c.serverErrors >= maxSuspectErrors
}

// serverError judges a response of 500.
//
// If other requests were accepted since the chunk was made, the second 500 splits the chunk. Otherwise the 500 is seen as the sign of an
// outage, and the chunk is split only when it is suspected. A suspected chunk that cannot be split is sent after the other chunks of its
// record. After serverErrorWait, such a chunk is rejected if another request was accepted between two responses of 500 to it. If only
// suspected chunks are left, the chunk that was accepted last is sent again, to find out whether the receiver works.
//
// The series of a rejected chunk is then sent apart from later records (setSuspectsApart). The search for a series takes minutes, and if
// each record needed one, samples would be queued faster than they are sent.
func (d *delivery) serverError(c *chunk, r response) verdict {
	accepted := d.accepted.Load()
	if c.erredAt.IsZero() {
		c.erredAt = time.Now()
	}
	waited := c.suspect || time.Since(c.erredAt) >= serverErrorWait
	if c.serverErrors == 0 || !waited {
		c.acceptedAtError = accepted
	}
	c.serverErrors++
	suspect := c.isSuspected()
	if c.suspect && d.lastAccepted != nil {
		d.backoff.limit = maxSuspectPause
	}
	if suspect || c.serverErrors > 1 && accepted > c.acceptedAtStart {
		if halves := c.halves(2, accepted); halves != nil {
			d.chunks = append(d.chunks[1:], halves...)
			return retryLater
		}
	}
	if suspect && waited && accepted > c.acceptedAtError && !c.isProbe() {
		d.suspects.refused(c, time.Now())
		d.reject(c, r)
		return settled
	}
	if d.lastAccepted == nil || c.serverErrors > maxServerErrors {
		d.outage.begin(r.code, r.error(d.options.Place))
	}
	if !suspect || c.isProbe() {
		return retryLater
	}
	d.chunks = append(d.chunks[1:], c)
	allSuspected := !slices.ContainsFunc(d.chunks, func(other *chunk) bool { return !other.isSuspected() })
	if allSuspected && waited && d.lastAccepted != nil {
		d.chunks = append([]*chunk{d.lastAccepted.probe()}, d.chunks...)
	}
	return retryLater
}
