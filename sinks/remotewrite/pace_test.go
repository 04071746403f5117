package remotewrite

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/sinks"
)

func TestABacklogIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		began := time.Now()
		first := began.Add(-6 * time.Hour)
		for at := first; at.Before(began); at = at.Add(time.Minute) {
			p.wait(t.Context(), at)
			p.wait(t.Context(), at) // of the same tick
		}
		if took := time.Since(began); took < 5*time.Minute || took > 6*time.Minute {
			t.Errorf("six hours took %s", took)
		}

		began = time.Now()
		p.wait(t.Context(), began.Add(-30*time.Second))
		p.wait(t.Context(), began)
		if took := time.Since(began); took != 0 {
			t.Errorf("live samples waited %s", took)
		}

		p.wait(t.Context(), began.Add(-40*time.Hour))
		if took := time.Since(began); took > maxGap {
			t.Errorf("a gap cost %s", took)
		}
		stopping, stop := context.WithCancel(t.Context())
		stop()
		began = time.Now()
		p.wait(stopping, began.Add(-3*time.Hour))
		if took := time.Since(began); took != 0 {
			t.Errorf("at the end a backlog waited %s", took)
		}
	})
}

// With the newest first, live records come in between: they cost the backlog no pause.
func TestLiveRecordsCostABacklogNothing(t *testing.T) {
	var p pace
	now := time.Unix(1_000_000, 0)
	taken := now.Add(-time.Hour)
	p.next(taken, now)
	if pause := p.next(now, now); pause != 0 {
		t.Errorf("a live record waits %s", pause)
	}
	if pause := p.next(taken, now); pause != 0 {
		t.Errorf("behind it, the rest of a tick waits %s", pause)
	}
}

// A receiver that is slow has its time taken into account: no pause comes on top of it.
func TestASlowReceiverIsNotWaitedFor(t *testing.T) {
	var p pace
	now := time.Unix(1_000_000, 0)
	taken := now.Add(-time.Hour)
	p.next(taken, now)
	if pause := p.next(taken.Add(time.Minute), now.Add(400*time.Millisecond)); pause != 600*time.Millisecond {
		t.Errorf("after an answer of 400 ms: %s", pause)
	}
	if pause := p.next(taken.Add(2*time.Minute), now.Add(5*time.Second)); pause != 0 {
		t.Errorf("after an answer of 4 s: %s", pause)
	}
}

// TestAPanicCostsItsRequest holds that the sink goes on behind a request that makes it panic.
func TestAPanicCostsItsRequest(t *testing.T) {
	first := true
	answer := func(req *http.Request) (*http.Response, error) {
		if first {
			first = false
			panic("cannot be")
		}
		return &http.Response{StatusCode: 204, Body: http.NoBody, Request: req}, nil
	}
	change := func(c *Config, env *sinks.Env) { c.Protocol, env.Web.Transport = Protocol1, answerer(answer) }
	receiving(t, nil, change, func(r *rig) {
		for range 2 {
			r.write("house", gauge("temp", 20, "a"))
			r.tick()
		}
		r.drops(sinks.Damaged, 1)
		if sent := r.stats.Sent.Load(); sent != 1 || !strings.Contains(r.log.String(), "cannot be") {
			t.Errorf("sent %d samples, log:\n%s", sent, r.log)
		}
	})
}

type answerer func(*http.Request) (*http.Response, error)

func (f answerer) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
