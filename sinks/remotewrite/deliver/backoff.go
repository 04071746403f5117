package deliver

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"
)

// The pause before the first retry is a random time of up to 100 ms. This bound doubles with each retry, up to 30 s (full jitter). If the
// receiver asks for a pause with Retry-After, that pause is added, but at most 5 minutes.
const (
	firstPause    = 100 * time.Millisecond
	maxPause      = 30 * time.Second
	maxRetryAfter = 5 * time.Minute
)

// backoff is the state of the retries of a request.
type backoff struct {
	retries int           // number of retries so far
	limit   time.Duration // the longest pause; 0 = maxPause
}

// next returns the pause before the next retry, and counts that retry.
func (b *backoff) next(retryAfter time.Duration) time.Duration {
	bound := min(cmp.Or(b.limit, maxPause), firstPause<<min(b.retries, 10))
	b.retries++
	return min(retryAfter, maxRetryAfter) + rand.N(bound)
}

// wait waits until it is time for the next retry. It returns true if the caller should retry, and false if the context "life" is done. If
// the context "stopping" becomes done during the pause, this method returns at once, unless the receiver has asked for the pause with
// Retry-After. The pauses after that begin with short ones again.
func (b *backoff) wait(life, stopping context.Context, retryAfter time.Duration) bool {
	hurry := stopping.Done()
	if retryAfter > 0 || stopping.Err() != nil {
		hurry = nil
	}
	timer := time.NewTimer(b.next(retryAfter))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry:
		b.retries = 0
	case <-life.Done():
	}
	return life.Err() == nil
}

// A backlog is sent at most catchUp times as fast as it was queued: the requests of six hours take six minutes. Without this limit, a
// receiver could be overloaded after an outage, when many senders reach it again at the same time. A gap in the backlog, such as the time
// that the agent was down, takes at most maxGap.
const (
	catchUp     = 60
	maxGap      = time.Second
	backlogFrom = time.Minute // a record that has waited for a shorter time is live, not part of the backlog
)

// pace limits the speed at which a shard's backlog is sent. The speed of live records is not limited.
type pace struct {
	queued time.Time // when the previous record of the backlog was put into the queue
	sent   time.Time // when the last record of the backlog was sent
}

// next returns how long the caller must wait before it sends a record. The current time is "now", and the record was put into the queue at
// the time "queued".
func (p *pace) next(queued, now time.Time) time.Duration {
	if now.Sub(queued) < backlogFrom {
		return 0
	}
	gap, since, first := queued.Sub(p.queued).Abs(), now.Sub(p.sent), p.sent.IsZero()
	p.queued, p.sent = queued, now
	if first {
		return 0
	}
	pause := max(0, min(gap/catchUp, maxGap)-since)
	p.sent = now.Add(pause)
	return pause
}

// wait waits until it is time to send the record, or until the context "stopping" is done.
func (p *pace) wait(stopping context.Context, queued time.Time) {
	pause := p.next(queued, time.Now())
	if pause == 0 {
		return
	}
	select {
	case <-time.After(pause):
	case <-stopping.Done():
	}
}
