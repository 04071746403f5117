package remotewrite

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/sinks"
)

// TestSeriesThatGets500 checks what becomes of series to which a receiver answers 500, while it accepts the rest. They are not lost if it
// accepts them within four minutes. If it never does, only they are lost, and the later samples of the rest do not fall behind.
func TestSeriesThatGets500(t *testing.T) {
	const series, minutes = 1000, 60
	for _, c := range []struct {
		bad  int
		ends time.Duration // when the receiver accepts all; 0 = never
	}{{1, 3 * time.Minute}, {1, 0}, {2, 0}} {
		t.Run(fmt.Sprint(c.bad, " until ", c.ends), func(t *testing.T) {
			d := &fakeReceiver{}
			change := func(config *Config, _ *sinks.Env) { config.Protocol, config.Spool.Dir = Protocol1, t.TempDir() }
			withReceiver(t, d, change, func(r *rig) {
				var rooms []string
				for i := range series {
					rooms = append(rooms, fmt.Sprint("r", i))
				}
				answer := rejectAny(500, "panic", []string{"r7", "r801"}[:c.bad]...)(r.began)
				if c.ends > 0 {
					answer = until(c.ends, answer)(r.began)
				}
				d.set(answer)
				oldest := time.Duration(0)
				for i := range minutes {
					r.write("j", gauge("x", float64(i), rooms...))
					r.tick()
					if p := r.stats.Pending(); i >= minutes/2 && !p.Oldest.IsZero() {
						oldest = max(oldest, time.Since(p.Oldest))
					}
				}
				time.Sleep(2 * time.Minute)
				lost := int64(c.bad * minutes)
				if c.ends > 0 {
					lost = 0
				}
				r.wantDropped(sinks.Refused, lost)
				if n := r.stats.Sent.Load(); n != series*minutes-lost {
					r.Errorf("Sent is %d, want %d", n, series*minutes-lost)
				}
				if oldest > 2*time.Minute {
					r.Errorf("in the second half, samples wait up to %s", oldest)
				}
				r.wantNothingPending()
				if told := strings.Contains(r.log.String(), `500 Internal Server Error: panic" samples=1 series=`) &&
					strings.Contains(r.log.String(), "do=\"the receiver answered this for 4m"); told != (lost > 0) {
					r.Errorf("the log:\n%s", r.log)
				}
			})
		})
	}
}

// TestOutageOf500IsNoRefusal checks that nothing is refused if the receiver answers 500 to some series at first, and then to everything.
func TestOutageOf500IsNoRefusal(t *testing.T) {
	d := &fakeReceiver{}
	withReceiver(t, d, withProtocol(Protocol1), func(r *rig) {
		some := rejectAny(500, "ingester", "a")(r.began)
		d.set(func(w http.ResponseWriter, q request) {
			switch at := time.Since(r.began); {
			case at < 2*time.Minute:
				some(w, q)
			case at < time.Hour:
				w.WriteHeader(500)
			default:
				acceptAll(w, q)
			}
		})
		r.write("j", gauge("x", 1, "a", "b", "c", "d"))
		time.Sleep(2 * time.Hour)
		r.wantDropped(sinks.Refused, 0)
		if n := r.stats.Sent.Load(); n != 4 {
			r.Errorf("Sent is %d, want 4", n)
		}
	})
}
