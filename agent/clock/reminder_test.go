package clock

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestReminder checks when an error that lasts is logged again. It also checks that several reminders that have become due since the
// previous call count as one.
func TestReminder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, r := time.Now(), NewReminder()
		var at []time.Duration
		look := func(span, pause time.Duration) {
			for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(pause) {
				if r.Due() {
					at = append(at, time.Since(began))
				}
			}
		}
		look(50*time.Hour, time.Minute)
		time.Sleep(100 * time.Hour)
		look(24*time.Hour, time.Minute)
		want := []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour, 48 * time.Hour, 150 * time.Hour, 168 * time.Hour}
		if !slices.Equal(at, want) {
			t.Errorf("due after %v, want %v", at, want)
		}
		if !r.Since().Equal(began) {
			t.Errorf("since %s", r.Since())
		}
	})
}

// TestContinuing checks when an error is logged: when it begins, when its text changes, and when it begins again. It also checks that a
// reminder says when the error began.
func TestContinuing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Continuing
		failed := func(text string, since time.Time, want bool) {
			t.Helper()
			more, log := c.Failed(text)
			if log != want || log && (len(more) == 0) != since.IsZero() || log && len(more) > 0 && !more[1].(time.Time).Equal(since) {
				t.Errorf("%s at %s: %v, %t", text, time.Now(), more, log)
			}
		}
		if c.Ended() {
			t.Error("an error has ended that has not begun")
		}
		failed("a", time.Time{}, true)
		failed("a", time.Time{}, false)
		failed("b", time.Time{}, true)
		began := time.Now()
		time.Sleep(9 * time.Minute)
		failed("b", began, false)
		time.Sleep(time.Minute)
		failed("b", began, true)
		failed("b", began, false)
		if !c.Ended() || c.Ended() {
			t.Error("the error does not end once")
		}
		failed("b", time.Time{}, true)
	})
}
