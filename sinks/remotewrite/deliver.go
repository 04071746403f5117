package remotewrite

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
)

// sender is what all shards know of the receiver.
type sender struct {
	post     *post
	stats    *sinks.Stats
	log      *slog.Logger
	maxAge   time.Duration
	durable  bool // what waits is on disk
	dialect  dialect
	limit    limit
	outage   outage
	refusals refusals
	accepts  atomic.Int64 // requests that were taken
	hopeless atomic.Bool  // of the last record that was refused, nothing could be saved
}

func newSender(c *Config, env sinks.Env, post *post) *sender {
	return &sender{
		post:     post,
		stats:    env.Stats,
		log:      env.Log,
		maxAge:   time.Duration(c.Spool.MaxAge),
		durable:  c.Spool.Dir != "",
		dialect:  dialect{want: c.Protocol},
		outage:   outage{log: env.Log},
		refusals: refusals{log: env.Log, stats: env.Stats},
	}
}

// delivery is a record on its way.
type delivery struct {
	*sender
	taken   time.Time
	line    []*parcel // what is not settled of it, in the order in which it is sent; the whole at first
	touched bool      // something of it is settled
	good    *parcel   // of it, the one that was accepted last; nil = none
	asked   int       // requests made to find out what of it is bad
	pause   backoff
}

func (s *sender) delivery(r spool.Record) *delivery {
	whole := &parcel{
		protocol: Protocol(r.Protocol), packed: r.Payload,
		holds: written{r.Samples, r.Histograms}, born: s.accepts.Load(),
	}
	return &delivery{sender: s, taken: time.UnixMilli(r.Taken), line: []*parcel{whole}}
}

// verdict is what an answer means for the first parcel of the line.
type verdict uint8

const (
	settled verdict = iota // delivered or refused, and counted
	anew                   // the line is to be sent again at once, in another form
	later                  // the line is to be sent again after a pause
)

// contained is run, where a panic costs the record and no more.
func (d *delivery) contained(life, stopping context.Context) (done bool) {
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("sending a request panicked", "panic", p, "stack", string(debug.Stack()))
			d.giveUp(sinks.Damaged)
			done = true
		}
	}()
	return d.run(life, stopping)
}

// run sends the record until all of it is settled; it is not when life has ended before. From the end of stopping on,
// pauses are short.
func (d *delivery) run(life, stopping context.Context) (done bool) {
	for again := false; len(d.line) > 0; again = true {
		if time.Since(d.taken) > d.maxAge {
			d.giveUp(sinks.TooOld)
			break
		}
		for d.line[0].size() > d.limit.size(time.Now()) && d.divide(d.line[0]) {
		}
		p := d.line[0]
		if again {
			d.stats.Retried.Add(1)
		}
		a, err := d.try(life, p)
		if err != nil && life.Err() != nil {
			return false
		}
		switch d.judge(p, a, err) {
		case settled:
			d.line, d.touched = d.line[1:], true
			d.pause = backoff{}
		case later:
			if !d.pause.wait(life, stopping, a.pause) {
				return false
			}
		}
	}
	if d.good == nil {
		d.dialect.refused()
	}
	if d.asked > 0 {
		d.hopeless.Store(d.good == nil)
	}
	return true
}

// giveUp drops what is left.
func (d *delivery) giveUp(why metric.Reason) {
	for _, p := range d.line {
		d.stats.Drop(why, p.holds.sum())
	}
	d.line = nil
}

// try sends a parcel in the protocol of the moment.
func (d *delivery) try(ctx context.Context, p *parcel) (answer, error) {
	if err := p.speak(d.dialect.speak(time.Now())); err != nil {
		return answer{}, &brokenError{err}
	}
	return d.post.send(ctx, p.protocol, p.packed)
}

// brokenError says that a record is not what this program writes.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// judge decides what becomes of a parcel; see "Retries & Backoff" and "Required Written Response Headers" in the
// specification of 2.0.
func (d *delivery) judge(p *parcel, a answer, err error) verdict {
	if broken, is := errors.AsType[*brokenError](err); is {
		if d.divide(p) {
			return anew // it can be read, but would be too large in the other protocol
		}
		d.log.Warn("a waiting request cannot be read", "error", broken, "samples", p.holds.sum())
		d.stats.Drop(sinks.Damaged, p.holds.sum())
		return settled
	}
	switch {
	case err != nil:
		d.stats.Failed.Add(1)
		d.outage.failed(0, err)
		return later
	case a.code == 500:
		d.stats.Failed.Add(1)
		return d.poisoned(p, a)
	case a.isTransient(), d.durable && a.isAboutUs():
		d.stats.Failed.Add(1)
		d.outage.failed(a.code, a.advised(d.post.place))
		return later
	}
	d.outage.over()
	switch {
	case a.code/100 == 2 && (p.protocol == Protocol1 || a.told):
		d.accepted(p, a)
		return settled
	case d.dialect.fallBack(p.protocol, a, time.Now()), d.tooLarge(p, a), d.isolate(p, a):
		d.stats.Failed.Add(1)
		return anew
	}
	d.refused(p, a)
	return settled
}

// accepted counts what has arrived. A 2.0 receiver may have left out some of it.
func (d *delivery) accepted(p *parcel, a answer) {
	d.accepts.Add(1)
	d.good = p
	if news, why := d.dialect.accepted(p.protocol); news != "" {
		d.log.Info(news, "url", d.post.place, "answer", why)
	}
	wrote := p.holds
	if p.protocol == Protocol2 {
		wrote = a.wrote
	}
	if lost := d.settle(p, wrote); lost > 0 {
		d.stats.Failed.Add(1)
		d.refusals.partly(p, a, lost, d.post.place)
	}
}

// refused gives up a parcel that the receiver will never take; some 2.0 receivers take the good part of one.
func (d *delivery) refused(p *parcel, a answer) {
	d.stats.Failed.Add(1)
	lost := d.settle(p, a.wrote)
	d.refusals.wholly(p, a, lost, d.post.place)
}

// settle counts what was written of a parcel, and the rest of it as refused.
func (d *delivery) settle(p *parcel, wrote written) (lost int) {
	arrived := min(p.holds.samples, wrote.samples) + min(p.holds.histograms, wrote.histograms)
	d.stats.Sent.Add(int64(arrived))
	lost = p.holds.sum() - arrived
	if lost > 0 {
		d.stats.Drop(sinks.Refused, lost)
	}
	return lost
}
