package sinks

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestStatsDropped(t *testing.T) {
	var s Stats
	if got := s.Dropped(); len(got) != 0 {
		t.Errorf("nothing was dropped, and it says %v", got)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s.Drop(Refused, 3)
			s.Drop(TooOld, 1)
			s.Dropped()
		})
	}
	wg.Wait()
	got := s.Dropped()
	if got[Refused] != 24 || got[TooOld] != 8 || len(got) != 2 {
		t.Errorf("says %v, want 24 refused and 8 too old", got)
	}
	got[Refused] = 0
	if s.Dropped()[Refused] != 24 {
		t.Error("whoever reads the counts can change them")
	}
}

func TestStatsPending(t *testing.T) {
	var s Stats
	if got := s.Pending(); got != (Pending{}) {
		t.Errorf("a sink that holds nothing says %v", got)
	}
	want := Pending{Samples: 2, Bytes: 3, Oldest: time.Unix(4, 0)}
	s.TellPending(func() Pending {
		s.Dropped() // a sink may ask its own counts
		return want
	})
	if got := s.Pending(); got != want {
		t.Errorf("says %v, want %v", got, want)
	}
}

// TestMarks checks the marks of Permanent and After. They are found in an error that wraps a marked error, and they do not change the text
// of an error.
func TestMarks(t *testing.T) {
	cause := errors.New("no")
	for _, c := range []struct {
		err       error
		permanent bool
		pause     time.Duration
	}{
		{cause, false, 0},
		{Permanent(cause), true, 0},
		{After(cause, time.Minute), false, time.Minute},
		{fmt.Errorf("push: %w", Permanent(cause)), true, 0},
		{fmt.Errorf("push: %w", After(fmt.Errorf("again: %w", cause), time.Second)), false, time.Second},
		{errors.Join(errors.New("other"), After(cause, time.Hour)), false, time.Hour},
	} {
		if IsPermanent(c.err) != c.permanent || Pause(c.err) != c.pause {
			t.Errorf("%q: permanent %t, pause %s", c.err, IsPermanent(c.err), Pause(c.err))
		}
		if !errors.Is(c.err, cause) {
			t.Errorf("%q hides its cause", c.err)
		}
	}
	if text := Permanent(After(cause, 1)).Error(); text != "no" {
		t.Errorf("a marked error says %q", text)
	}
	if IsPermanent(nil) || Pause(nil) != 0 {
		t.Error("no error is marked")
	}
}
