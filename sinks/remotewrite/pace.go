package remotewrite

import (
	"context"
	"time"
)

// A backlog is sent at most catchUp times as fast as it was made: six hours take six minutes, however many samples that
// is, and a receiver to which a whole fleet comes back at once gets catchUp times its usual load and no more. A gap in it,
// such as an agent that was down, costs at most maxGap.
const (
	catchUp     = 60
	maxGap      = time.Second
	backlogFrom = time.Minute // what has waited for less is live
)

// pace spreads a shard's backlog. Live records, which may come in between, do not count.
type pace struct {
	taken time.Time // when the record of it that was sent last had been put into the queue
	sent  time.Time
}

// next is how long to wait at now before a record that was taken at some time is sent.
func (p *pace) next(taken, now time.Time) time.Duration {
	if now.Sub(taken) < backlogFrom {
		return 0
	}
	gap, since, first := taken.Sub(p.taken).Abs(), now.Sub(p.sent), p.sent.IsZero()
	p.taken, p.sent = taken, now
	if first {
		return 0
	}
	pause := max(0, min(gap/catchUp, maxGap)-since)
	p.sent = now.Add(pause)
	return pause
}

// wait waits for a record's turn, but not when stopping has come: what is left then is to be sent while there is time.
func (p *pace) wait(stopping context.Context, taken time.Time) {
	pause := p.next(taken, time.Now())
	if pause == 0 {
		return
	}
	select {
	case <-time.After(pause):
	case <-stopping.Done():
	}
}
