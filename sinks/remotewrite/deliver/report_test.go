package deliver

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestOutageReminds checks that an outage of two days is logged four times, even if requests end at the same time, and that its end is
// logged once.
func TestOutageReminds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		o := outage{log: slog.New(slog.NewTextHandler(&log, nil)), ended: func() {}}
		for range 2 * 24 * 60 {
			o.begin(503, errors.New("503 Service Unavailable"))
			o.begin(503, errors.New("503 Service Unavailable"))
			time.Sleep(time.Minute)
		}
		o.end()
		o.end()
		for line, times := range map[string]int{`msg="cannot deliver, trying again" error="503 Service Unavailable" since=2000-01-01T00:00:00.000Z`: 4, `msg="the receiver answers again" after=48h0m0s`: 1} {
			if got := strings.Count(log.String(), line); got != times {
				t.Errorf("%d times %q:\n%s", got, line, &log)
			}
		}
	})
}
