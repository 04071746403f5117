package remotewrite

import (
	"context"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/collectington/collectington/sinks"
)

// TestReceiverMoves gives the receiver's name another address. It checks that the sink sends to the new address within a minute, whatever
// the server at the old address answers. Samples that the server at the old address has not accepted are not lost.
func TestReceiverMoves(t *testing.T) {
	for name, old := range map[string]func(http.ResponseWriter, request){
		"the old one accepts": acceptAll,
		"it answers 503":      respond(503),
		"it answers 404":      respond(404),
		"it answers a page": func(w http.ResponseWriter, _ request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html><title>gone</title>"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var moved atomic.Bool
			var last atomic.Int64 // when the server at the old address got its last request
			d := &fakeReceiver{answer: acceptAll}
			handler := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				if q.Header.Get(servedBy) == "10.0.0.2:80" {
					d.ServeHTTP(w, q)
					return
				}
				last.Store(time.Now().UnixNano())
				got, err := decode(q)
				if err != nil {
					panic(err)
				}
				if !moved.Load() {
					acceptAll(w, got)
					return
				}
				old(w, got)
			})
			withReceiver(t, handler, func(_ *Config, env *sinks.Env) {
				env.Web.Resolve = func(context.Context, string) ([]netip.Addr, error) {
					if moved.Load() {
						return []netip.Addr{netip.MustParseAddr("10.0.0.2")}, nil
					}
					return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
				}
			}, func(r *rig) {
				write := func(n int) {
					for i := range n {
						r.write("j", gauge("x", float64(i), "a"))
						time.Sleep(15 * time.Second)
					}
				}
				write(5)
				moved.Store(true)
				began := time.Now()
				write(20)
				r.tick()
				if took := time.Unix(0, last.Load()).Sub(began); took > time.Minute {
					r.Errorf("the old one was asked for %s", took)
				}
				if n := r.stats.Sent.Load(); n != 25 {
					r.Errorf("Sent is %d, want 25", n)
				}
				got := len(points(d.all()))
				if most := 20; got < 16 || got > most || name != "the old one accepts" && got != most {
					r.Errorf("the new one has %d samples", got)
				}
			})
		})
	}
}
