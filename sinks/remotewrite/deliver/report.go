package deliver

import (
	"cmp"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// outage logs when nothing can be delivered. It logs at the start, again when the status code changes, and now and then while the outage
// lasts.
type outage struct {
	log   *slog.Logger
	ended func() // is called when the receiver has answered again

	mu    sync.Mutex
	lasts *clock.Reminder // nil = there is no outage
	code  int             // status code that was logged last
}

// begin notes a failure with a status code; 0 = there was no response.
func (o *outage) begin(code int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := o.lasts == nil
	if first {
		o.lasts = clock.NewReminder()
	}
	if first || o.code != code || o.lasts.Due() {
		o.code = code
		o.log.Warn("cannot deliver, trying again", "error", err, "since", o.lasts.Since())
	}
}

// isLogged reports whether an outage lasts.
func (o *outage) isLogged() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lasts != nil
}

// end notes that the receiver has answered.
func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lasts != nil {
		o.log.Info("the receiver answers again", "after", time.Since(o.lasts.Since()).Round(time.Millisecond))
		o.lasts, o.code = nil, 0
		o.ended()
	}
}

// seeLog is what to do if no better advice is known.
const seeLog = "see the receiver's log"

// rejections counts rejected samples by reason. It logs the first rejection, and another one when the reason changes.
type rejections struct {
	log   *slog.Logger
	stats *sinks.Stats
	place string
	fixed bool // only one protocol is sent

	mu   sync.Mutex
	last string
}

// partly is called for an accepted chunk. It counts the samples of the chunk that the receiver has not stored.
func (l *rejections) partly(c *chunk, r response, lost int) {
	err := fmt.Errorf("POST %s: %d: the receiver accepted only %d of %d samples; the others are not sent again", l.place, r.code, c.counts.total()-lost, c.counts.total())
	l.note("partly", err, c, r, lost, "")
}

// wholly is called for a rejected chunk. It counts the samples of the chunk that are lost. The receiver may have stored other samples of
// the chunk.
func (l *rejections) wholly(c *chunk, r response, lost int) {
	err, do := r.error(l.place), hint(r.code, r.text)
	if r.code == 415 {
		do = wrongProtocol(c.protocol, l.fixed)
	}
	if r.code == 500 {
		do = fmt.Sprintf("the receiver answered this for %s, at last %d times to this part of the request alone, and accepted other samples meanwhile: %s",
			time.Since(c.erredAt).Round(time.Second), c.serverErrors, cmp.Or(do, seeLog))
	}
	l.note(r.gist(), err, c, r, lost, do)
}

// wrongProtocol returns what to do about a 415 to a request in protocol p. If fixed is false, the receiver has answered 415 to the other
// protocol too.
func wrongProtocol(p wire.Protocol, fixed bool) string {
	if fixed {
		return fmt.Sprintf("the receiver does not accept remote-write %s: set protocol to auto", p)
	}
	return "the receiver accepts neither remote-write 2.0 nor 1.0: check that url is that of a remote-write receiver, not one for another format such as OTLP, " +
		"and that no proxy refuses the Content-Type application/x-protobuf"
}

func (l *rejections) note(gist string, err error, c *chunk, r response, lost int, do string) {
	l.stats.Refuse(gist, sinks.Refusal{Samples: int64(lost), Why: err.Error(), Do: do})
	l.mu.Lock()
	defer l.mu.Unlock()
	if gist == l.last {
		return
	}
	l.last = gist
	series := r.series()
	if series == "" {
		q, _ := c.decode() // no error is possible: the chunk was encoded or decoded before
		if series = q.First(); lost > 1 {
			series = "unknown; the first in the request is " + series
		}
	}
	l.log.Warn("the receiver refused samples", "error", err, "samples", lost, "series", series, "do", cmp.Or(do, seeLog))
}

// losses counts dropped samples by reason, and logs those that are dropped because they have waited for too long or too many wait. It logs
// the first of them, now and then how many there were since, and the others when the receiver answers again and at the end. So the numbers
// in these lines add up to all samples that were dropped.
type losses struct {
	log     *slog.Logger
	stats   *sinks.Stats
	durable bool

	mu  sync.Mutex
	now map[metric.Reason]*loss
}

// loss is a loss that may go on.
type loss struct {
	lasts   *clock.Reminder
	last    time.Time
	samples int // number of dropped samples that were not logged
}

// lossEnds is the time without a loss after which the next one is logged at once.
const lossEnds = time.Hour

// drop counts dropped samples.
func (l *losses) drop(why metric.Reason, samples int) {
	l.stats.Drop(why, samples)
	if samples == 0 || why != sinks.QueueFull && why != sinks.TooOld {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	x, now := l.now[why], time.Now()
	first := x == nil || now.Sub(x.last) > lossEnds
	if first {
		l.tell(why)
		x = &loss{lasts: clock.NewReminder()}
		if l.now == nil {
			l.now = map[metric.Reason]*loss{}
		}
		l.now[why] = x
	}
	x.last = now
	x.samples += samples
	if first || x.lasts.Due() {
		l.tell(why)
	}
}

// end logs what was not logged yet. The next loss is then logged at once.
func (l *losses) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, why := range []metric.Reason{sinks.QueueFull, sinks.TooOld} {
		l.tell(why)
	}
	clear(l.now)
}

// tell logs the samples of a reason that were not logged yet. The caller holds mu.
func (l *losses) tell(why metric.Reason) {
	x := l.now[why]
	if x == nil || x.samples == 0 {
		return
	}
	more := []any{"samples", x.samples, "since", x.lasts.Since()}
	x.samples = 0
	switch {
	case why == sinks.TooOld:
		l.log.Error("samples have waited for longer than max_age of spool, and are dropped", more...)
	case l.durable:
		l.log.Error("the queue is full, and its oldest samples are dropped: raise max_bytes of spool for longer outages", more...)
	default:
		l.log.Error("the queue in memory is full, and its oldest samples are dropped: set spool: {dir: …} for longer outages", more...)
	}
}
