package deliver

import (
	"cmp"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// outage logs when nothing can be delivered. It logs at the start, again when the status code changes, and now and then while the outage
// lasts.
type outage struct {
	log *slog.Logger

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

// end notes that the receiver has answered.
func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lasts != nil {
		o.log.Info("the receiver answers again", "after", time.Since(o.lasts.Since()).Round(time.Millisecond))
		o.lasts, o.code = nil, 0
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
