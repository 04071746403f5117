package deliver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	var b backoff
	for i := range 100 {
		bound := min(maxPause, firstPause<<min(i, 20))
		if d := b.next(0); d < 0 || d > bound {
			t.Fatalf("pause %d is %s, want at most %s", i, d, bound)
		}
	}
	spread := map[time.Duration]bool{}
	for range 50 {
		spread[b.next(0)] = true
	}
	if len(spread) < 40 {
		t.Errorf("50 pauses had %d lengths: no jitter", len(spread))
	}
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		began := time.Now()
		first := began.Add(-6 * time.Hour)
		for at := first; at.Before(began); at = at.Add(time.Minute) {
			p.wait(t.Context(), at)
			p.wait(t.Context(), at) // another record of the same batch
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
			t.Errorf("a gap took %s", took)
		}
		stopping, stop := context.WithCancel(t.Context())
		stop()
		began = time.Now()
		p.wait(stopping, began.Add(-3*time.Hour))
		if took := time.Since(began); took != 0 {
			t.Errorf("a backlog waited %s after stopping", took)
		}
	})
}

// TestLiveRecordsDoNotCount checks that live records do not delay a backlog if they are sent between records of the backlog, as with
// newest_first.
func TestLiveRecordsDoNotCount(t *testing.T) {
	var p pace
	now := time.Unix(1_000_000, 0)
	queued := now.Add(-time.Hour)
	p.next(queued, now)
	if pause := p.next(now, now); pause != 0 {
		t.Errorf("a live record waits %s", pause)
	}
	if pause := p.next(queued, now); pause != 0 {
		t.Errorf("the next record of the backlog waits %s", pause)
	}
}

// TestSlowReceiver checks that the time that a request takes counts as part of the pause.
func TestSlowReceiver(t *testing.T) {
	var p pace
	now := time.Unix(1_000_000, 0)
	queued := now.Add(-time.Hour)
	p.next(queued, now)
	if pause := p.next(queued.Add(time.Minute), now.Add(400*time.Millisecond)); pause != 600*time.Millisecond {
		t.Errorf("after an answer of 400 ms: %s", pause)
	}
	if pause := p.next(queued.Add(2*time.Minute), now.Add(5*time.Second)); pause != 0 {
		t.Errorf("after an answer of 4 s: %s", pause)
	}
}
