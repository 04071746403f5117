package clock

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestReminder holds when something that lasts is logged again, and that times that have passed meanwhile count once.
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
