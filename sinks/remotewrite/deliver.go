package remotewrite

import (
	"context"
	"log/slog"
	"time"

	"github.com/collectington/collectington/sinks"
)

// sender delivers chunks, one at a time and in order, each until it is settled.
type sender struct {
	post     *post
	stats    *sinks.Stats
	log      *slog.Logger
	maxAge   time.Duration
	dialect  dialect
	encoder1 encoder1
	encoder2 encoder2
	payload  payload
	metadata metadata
	outage   outage
	refusals refusals
}

func newSender(c *Config, env sinks.Env, post *post) *sender {
	return &sender{
		post:     post,
		stats:    env.Stats,
		log:      env.Log,
		maxAge:   time.Duration(c.Queue.MaxAge),
		dialect:  dialect{want: c.Protocol},
		outage:   outage{log: env.Log},
		refusals: refusals{log: env.Log},
	}
}

// parcel is a chunk on its way.
type parcel struct {
	samples  []sample
	zeros    int      // that have been left out
	protocol Protocol // of the try in hand
}

// verdict is what an answer means for a parcel.
type verdict uint8

const (
	settled verdict = iota // delivered or refused, and counted
	anew                   // to be sent again at once, in another form
	later                  // to be sent again after a pause
)

// deliver sends a chunk until it is settled; it is not when life has ended before. From the end of stopping on, pauses
// are short.
func (s *sender) deliver(life, stopping context.Context, c *chunk) (done bool) {
	p := &parcel{samples: c.samples}
	var pause backoff
	for try := 0; ; try++ {
		if time.Since(c.taken) > s.maxAge {
			s.stats.Drop(sinks.TooOld, len(c.samples))
			return true
		}
		if try > 0 {
			s.stats.Retried.Add(1)
		}
		a, err := s.try(life, p)
		if err != nil && life.Err() != nil {
			return false
		}
		switch s.judge(p, a, err) {
		case settled:
			return true
		case later:
			if !pause.wait(life, stopping, a.pause) {
				return false
			}
		}
	}
}

// try encodes the parcel in the protocol of the moment and sends it.
func (s *sender) try(ctx context.Context, p *parcel) (answer, error) {
	now := time.Now()
	p.protocol = s.dialect.speak(now)
	var body []byte
	var err error
	if p.protocol == Protocol2 {
		body, err = s.encoder2.encode(p.samples)
	} else {
		body, err = s.encoder1.encode(p.samples, s.metadata.dueFor(p.samples, now))
	}
	if err != nil {
		return answer{}, err
	}
	s.payload.pack(body)
	return s.post.send(ctx, p.protocol, &s.payload)
}

// judge decides what becomes of the parcel; see "Retries & Backoff" and "Required Written Response Headers" in the
// specification of 2.0.
func (s *sender) judge(p *parcel, a answer, err error) verdict {
	switch {
	case err != nil:
		s.stats.Failed.Add(1)
		s.outage.failed(0, err)
		return later
	case a.code == 429 || a.code >= 500:
		s.stats.Failed.Add(1)
		s.outage.failed(a.code, a.error(s.post.place))
		return later
	}
	s.outage.over()
	switch {
	case a.code/100 == 2 && (p.protocol == Protocol1 || a.told):
		s.accepted(p, a)
		return settled
	case s.dialect.fallBack(p.protocol, a, time.Now()), p.leaveZeros(a):
		s.stats.Failed.Add(1)
		return anew
	}
	s.refused(p, a)
	return settled
}

// leaveZeros leaves out the zeros of a 1.0 request that was refused, and tells whether there were any: a receiver that
// has something newer already may refuse all of a request for one such sample (Prometheus does).
func (p *parcel) leaveZeros(a answer) bool {
	if p.protocol != Protocol1 || a.code != 400 && a.code != 409 && a.code != 422 {
		return false
	}
	rest := withoutZeros(p.samples)
	n := len(p.samples) - len(rest)
	if n == 0 || len(rest) == 0 {
		return false
	}
	p.samples, p.zeros = rest, n
	return true
}

// accepted counts what has arrived. A 2.0 receiver may have left out some of it.
func (s *sender) accepted(p *parcel, a answer) {
	if news := s.dialect.accepted(p.protocol); news != "" {
		s.log.Info(news, "url", s.post.place, "answer", s.dialect.why)
		s.dialect.why = ""
	}
	s.metadata.delivered(time.Now())
	wrote := count(p.samples)
	if p.protocol == Protocol2 {
		wrote = a.wrote
	}
	if lost := s.settle(p, wrote); lost > p.zeros {
		s.stats.Failed.Add(1)
		s.refusals.partly(p, a, lost, s.post.place)
	}
}

// refused gives up a parcel that the receiver will never take; some 2.0 receivers take the good part of one.
func (s *sender) refused(p *parcel, a answer) {
	s.stats.Failed.Add(1)
	s.dialect.refused()
	lost := s.settle(p, a.wrote)
	s.refusals.wholly(p, a, lost, s.post.place)
}

// settle counts what was written of a parcel, and the rest of it as refused.
func (s *sender) settle(p *parcel, wrote written) (lost int) {
	all := count(p.samples)
	arrived := min(all.samples, wrote.samples) + min(all.histograms, wrote.histograms)
	s.stats.Sent.Add(int64(arrived))
	lost = all.samples + all.histograms - arrived + p.zeros
	if lost > 0 {
		s.stats.Drop(sinks.Refused, lost)
	}
	return lost
}
