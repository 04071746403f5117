package remotewrite

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/sinks"
)

// refusing accepts requests in one protocol, and answers requests in the other with a status code.
func refusing(p Protocol, code int) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, r request) {
		if r.protocol == p {
			http.Error(w, "cannot parse the request", code)
			return
		}
		acceptAll(w, r)
	}
}

// TestReceiverIsRolledBack checks that no sample is lost when a receiver that has accepted 2.0 refuses it from then on, and that 2.0 is sent
// again when it is accepted again.
func TestReceiverIsRolledBack(t *testing.T) {
	for _, code := range []int{400, 406, 415, 422} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			d := &fakeReceiver{}
			withReceiver(t, d, nil, func(r *rig) {
				sent := 0
				write := func(n int) {
					for range n {
						sent++
						r.write("j", gauge("x", float64(sent), "a"))
						r.tick()
					}
				}
				write(2)
				d.set(refusing(Protocol2, code))
				write(3)
				if got, want := protocols(d.all()), []Protocol{2, 2, 2, 1, 1, 1}; !slices.Equal(got, want) {
					r.Errorf("protocols %v, want %v", got, want)
				}
				r.wantLogged("does not accept remote-write 2.0: sending 1.0", 1)
				d.set(nil)
				time.Sleep(24 * time.Hour)
				write(2)
				if last := d.all()[len(d.all())-1].protocol; last != Protocol2 {
					r.Errorf("after a day, the protocol is %s", last)
				}
				r.wantDropped(sinks.Refused, 0)
				if n := r.stats.Sent.Load(); n != int64(sent) {
					r.Errorf("Sent is %d, want %d", n, sent)
				}
			})
		})
	}
}

// TestOneReplicaIsOld checks that no sample is lost if every second request reaches a receiver that accepts only 1.0.
func TestOneReplicaIsOld(t *testing.T) {
	n := 0
	d := &fakeReceiver{}
	d.answer = func(w http.ResponseWriter, r request) {
		if n++; n%2 == 0 {
			refusing(Protocol2, 400)(w, r)
			return
		}
		acceptAll(w, r)
	}
	withReceiver(t, d, func(c *Config, _ *sinks.Env) { c.Connections = 1 }, func(r *rig) {
		for i := range 60 {
			r.write("j", gauge("x", float64(i), "a"))
			r.tick()
		}
		r.wantDropped(sinks.Refused, 0)
		if n := r.stats.Sent.Load(); n != 60 {
			r.Errorf("Sent is %d, want 60", n)
		}
	})
}

// TestReceiverTakesOnly2Now checks that no sample is lost when a receiver that has accepted only 1.0 is replaced by one that accepts only
// 2.0.
func TestReceiverTakesOnly2Now(t *testing.T) {
	d := &fakeReceiver{answer: accept1Only}
	withReceiver(t, d, nil, func(r *rig) {
		for i := range 4 {
			if i == 2 {
				d.set(refusing(Protocol1, 415))
			}
			r.write("j", gauge("x", float64(i), "a"))
			r.tick()
		}
		if got, want := protocols(d.all()), []Protocol{2, 1, 1, 1, 2, 2}; !slices.Equal(got, want) {
			r.Errorf("protocols %v, want %v", got, want)
		}
		r.wantDropped(sinks.Refused, 0)
		r.wantLogged("accepts remote-write 2.0 now", 1)
	})
}

// TestBadSamplesAreNotSentTwice checks that a receiver that refuses bad samples in both protocols gets few of these requests twice, and that
// the sink stays with 2.0.
func TestBadSamplesAreNotSentTwice(t *testing.T) {
	const minutes = 60
	for _, c := range []struct {
		does        string
		good        bool // a job without bad samples runs too
		sent        int64
		least, most int // requests in 1.0
	}{
		{"some requests are refused", true, minutes, 5, 7},
		{"all requests are refused", false, 0, 10, 16},
	} {
		t.Run(c.does, func(t *testing.T) {
			d := &fakeReceiver{}
			withReceiver(t, d, func(c *Config, _ *sinks.Env) {
				c.Connections = 1
				if err := c.URL.UnmarshalText([]byte("http://receiver/in")); err != nil {
					t.Fatal(err)
				}
			}, func(r *rig) {
				r.write("first", gauge("first", 1, "a"))
				r.tick()
				d.set(rejectAny(400, "bad sample", "bad")(r.began))
				for i := range minutes {
					r.write("j", gauge("x", float64(i), "bad"))
					time.Sleep(time.Second)
					if c.good {
						r.write("k", gauge("y", float64(i), "good"))
					}
					r.tick()
				}
				ones := 0
				for _, p := range protocols(d.all()) {
					if p == Protocol1 {
						ones++
					}
				}
				if ones < c.least || ones > c.most {
					r.Errorf("%d requests in 1.0, want %d to %d", ones, c.least, c.most)
				}
				r.wantDropped(sinks.Refused, minutes)
				if n := r.stats.Sent.Load(); n != c.sent+1 {
					r.Errorf("Sent is %d, want %d", n, c.sent+1)
				}
				r.wantLogged("sending 1.0", 0)
			})
		})
	}
}

// TestNeitherProtocol checks the advice about a 415 to both protocols.
func TestNeitherProtocol(t *testing.T) {
	const want = "the receiver accepts neither remote-write 2.0 nor 1.0"
	d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) { w.WriteHeader(415) }}
	withReceiver(t, d, nil, func(r *rig) {
		if err := r.sink.Check(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
			r.Errorf("check: %v", err)
		}
		for range 3 {
			r.write("j", gauge("x", 1, "a"))
			r.tick()
		}
		if got, want := protocols(d.all()), []Protocol{1, 2, 2, 1, 1, 1}; !slices.Equal(got, want) {
			r.Errorf("protocols %v, want %v", got, want)
		}
		r.wantDropped(sinks.Refused, 3)
		r.wantLogged(want, 1)
		r.wantLogged("set protocol to auto", 0)
		d.set(refusing(Protocol1, 415))
		if err := r.sink.Check(context.Background()); err != nil {
			r.Errorf("check of a receiver of 2.0: %v", err)
		}
	})
}
