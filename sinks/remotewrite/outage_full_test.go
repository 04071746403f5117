//go:build outage

package remotewrite

import (
	"io"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
)

// TestOutageOf30000Series logs the CPU time of an outage like that of TestOutageOfSixHours, with 30,000 series. The receiver
// discards what it gets.
func TestOutageOf30000Series(t *testing.T) {
	discard := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		setWritten(w, 1e9, 0)
		w.WriteHeader(http.StatusNoContent)
	})
	for _, c := range []outageCase{{Protocol2, 1, spool.OldestFirst}, {Protocol2, 4, spool.OldestFirst}, {Protocol1, 1, spool.OldestFirst}} {
		t.Run(c.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fleet()
				began := cpu(t)
				r := c.run(t, discard, 10*time.Millisecond, func(int) metric.Family {
					for i := range f.Series {
						f.Series[i].Value += float64(i % 7)
					}
					return f
				}, func(*rig) {})
				t.Logf("%d samples sent by the second process, %.1f s of CPU in all", r.stats.Sent.Load(), (cpu(t) - began).Seconds())
			})
		})
	}
}

func cpu(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
