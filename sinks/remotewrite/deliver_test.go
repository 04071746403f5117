package remotewrite

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/deliver"
)

func withProtocol(p Protocol) func(*Config, *sinks.Env) {
	return func(c *Config, _ *sinks.Env) { c.Protocol = p }
}

func protocols(requests []request) (all []Protocol) {
	for _, r := range requests {
		all = append(all, r.protocol)
	}
	return all
}

func TestRequestHeaders(t *testing.T) {
	d := &fakeReceiver{answer: accept1Only}
	withReceiver(t, d, func(c *Config, env *sinks.Env) {
		c.Headers = map[string]setting.Text{"X-Scope-OrgID": "ops", "X-Api-Key": "env:KEY"}
		env.Web.Secrets.LookupEnv = func(string) (string, bool) { return "hunter2", true }
	}, func(r *rig) {
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		var got []string
		for _, q := range d.all() {
			for _, name := range []string{"Content-Type", "Content-Encoding", deliver.VersionHeader, "User-Agent", "X-Scope-Orgid", "X-Api-Key"} {
				got = append(got, q.header.Get(name))
			}
		}
		want := []string{
			"application/x-protobuf;proto=io.prometheus.write.v2.Request", "snappy", "2.0.0", "cton/test", "ops", "hunter2",
			"application/x-protobuf", "snappy", "0.1.0", "cton/test", "ops", "hunter2",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Errorf("headers differ (-want +got):\n%s", diff)
		}
	})
}

func TestFallBack(t *testing.T) {
	silent := func(w http.ResponseWriter, r request) { w.WriteHeader(http.StatusNoContent) }
	refuses2 := func(w http.ResponseWriter, r request) {
		if r.protocol == Protocol2 {
			http.Error(w, "cannot parse the request", http.StatusBadRequest)
		}
	}
	for name, answer := range map[string]func(http.ResponseWriter, request){
		"415": accept1Only, "a 2xx that does not say what was written": silent, "a 400 before it has taken 2.0": refuses2,
	} {
		t.Run(name, func(t *testing.T) {
			d := &fakeReceiver{answer: answer}
			withReceiver(t, d, nil, func(r *rig) {
				for range 3 {
					r.write("j", gauge("x", 1, "a"))
					r.tick()
				}
				if got, want := protocols(d.all()), []Protocol{2, 1, 1, 1}; !slices.Equal(got, want) {
					r.Errorf("protocols %v, want %v", got, want)
				}
				if !slices.Equal(points(d.all()[:1]), points(d.all()[1:2])) {
					r.Error("the same samples were not sent again")
				}
				r.wantLogged("does not accept remote-write 2.0: sending 1.0", 1)
				if n := r.stats.Sent.Load(); n != 3 {
					r.Errorf("Sent is %d, want 3", n)
				}
				// After a day, a record is sent in 2.0 again. If the reason for the fallback was not a 415, an empty request is sent in 2.0 after five
				// minutes.
				d.set(acceptAll)
				after, want := 24*time.Hour, []Protocol{2, 2}
				if name != "415" {
					after, want = 5*time.Minute, []Protocol{2, 2, 2}
				}
				time.Sleep(after - 2*time.Minute) // the fallback was three minutes ago, so its end is due after this pause
				for range 2 {
					r.write("j", gauge("x", 1, "a"))
					r.tick()
				}
				if got := protocols(d.all()[4:]); !slices.Equal(got, want) {
					r.Errorf("after %s protocols %v, want %v", after, got, want)
				}
				if n := len(points(d.all()[4:])); n != 2 {
					r.Errorf("%d samples were sent, want 2", n)
				}
				r.wantLogged("accepts remote-write 2.0 now", 1)
				r.wantDropped(sinks.Refused, 0)
			})
		})
	}
}

// TestGuessIsUndone checks that a fallback after a 400 is undone if 1.0 is rejected too, since the protocol was then not the reason.
func TestGuessIsUndone(t *testing.T) {
	d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) { http.Error(w, "bad sample", 400) }}
	withReceiver(t, d, nil, func(r *rig) {
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		d.set(acceptAll)
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		d.set(func(w http.ResponseWriter, _ request) { http.Error(w, "bad sample", 400) })
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		if got, want := protocols(d.all()), []Protocol{2, 1, 2, 2}; !slices.Equal(got, want) {
			r.Errorf("protocols %v, want %v", got, want)
		}
		r.wantLogged("sending 1.0", 0)
		r.wantDropped(sinks.Refused, 2)
	})
}

func TestFixedProtocolHasNoFallBack(t *testing.T) {
	for p, want := range map[Protocol]string{
		Protocol1: "does not accept remote-write 1.0: set protocol to auto",
		Protocol2: "does not accept remote-write 2.0: set protocol to auto",
	} {
		d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) { w.WriteHeader(415) }}
		withReceiver(t, d, withProtocol(p), func(r *rig) {
			r.write("j", gauge("x", 1, "a", "b"))
			r.tick()
			r.wantLogged(want, 1)
			r.wantDropped(sinks.Refused, 2)
			if n := len(d.all()); n != 1 {
				r.Errorf("%d requests, want 1", n)
			}
		})
	}
	// A 2xx that does not say what was written does not count as a success of 2.0: another server may have answered.
	d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) { w.WriteHeader(200) }}
	withReceiver(t, d, withProtocol(Protocol2), func(r *rig) {
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		r.wantLogged("the receiver supports 1.0 only; set protocol to auto or 1.0", 1)
		r.wantDropped(sinks.Refused, 0)
		d.set(acceptAll)
		time.Sleep(maxPause)
		r.tick()
		if n := r.stats.Sent.Load(); n != 1 {
			r.Errorf("Sent is %d, want 1", n)
		}
	})
}

func TestPartlyWritten(t *testing.T) {
	d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) { setWritten(w, 2, 0) }}
	withReceiver(t, d, nil, func(r *rig) {
		for range 3 {
			r.write("j", gauge("x", 1, "a", "b", "c"))
			r.tick()
		}
		r.wantDropped(sinks.Refused, 3)
		r.wantLogged("200: the receiver accepted only 2 of 3 samples", 1)
		if sent, n := r.stats.Sent.Load(), len(d.all()); sent != 6 || n != 3 {
			r.Errorf("Sent is %d with %d requests, want 6 with 3", sent, n)
		}
		// The receiver answers 400, and says that it has stored one sample.
		d.set(func(w http.ResponseWriter, _ request) {
			setWritten(w, 1, 0)
			http.Error(w, "out of order sample", 400)
		})
		r.write("j", gauge("x", 1, "a", "b", "c"))
		r.tick()
		r.wantDropped(sinks.Refused, 5)
		// A receiver cannot have stored more than was sent.
		d.set(func(w http.ResponseWriter, _ request) { setWritten(w, 99, 99) })
		r.write("j", gauge("x", 1, "a", "b", "c"))
		r.tick()
		if sent := r.stats.Sent.Load(); sent != 10 {
			r.Errorf("Sent is %d, want 10", sent)
		}
	})
}

func TestRejectionIsLoggedOnceWithHint(t *testing.T) {
	d := &fakeReceiver{}
	refuse := func(code int, text string) {
		d.set(func(w http.ResponseWriter, _ request) { http.Error(w, text, code) })
	}
	withReceiver(t, d, withProtocol(Protocol1), func(r *rig) {
		for i := range 3 {
			refuse(400, fmt.Sprintf("failed pushing to ingester: the sample has been rejected because its timestamp is too old "+
				"(err-mimir-sample-timestamp-too-old). The affected sample has timestamp 2000-01-01T00:0%d:00Z and is from series x{room=\"}%d\"}", i, i))
			r.write("j", gauge("x", 1, "a"))
			r.tick()
		}
		r.wantLogged("the receiver refused samples", 1)
		r.wantLogged("400 Bad Request: failed pushing to ingester", 1)
		r.wantLogged("out_of_order_time_window", 1)
		r.wantLogged(`series="{room=\"}0\"}"`, 1)
		refuse(410, "nothing here, k-s3cret k-s3cret")
		r.sink.env.Web.Secrets.Remember("k-s3cret")
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		r.wantLogged("the receiver refused samples", 2)
		r.wantLogged("410 Gone: nothing here", 1)
		r.wantLogged(`series="{__name__=\"x\"`, 1)
		r.wantLogged("k-s3cret", 0)
		r.wantDropped(sinks.Refused, 4)
		if n := r.stats.Failed.Load(); n != 4 {
			r.Errorf("Failed is %d, want 4", n)
		}
	})
}

func TestRetriesKeepOrder(t *testing.T) {
	failures := map[string]func(w http.ResponseWriter, r request){
		"500":                   func(w http.ResponseWriter, _ request) { http.Error(w, "no", 500) },
		"429":                   func(w http.ResponseWriter, _ request) { http.Error(w, "slow down", http.StatusTooManyRequests) },
		"the connection breaks": func(http.ResponseWriter, request) { panic(http.ErrAbortHandler) },
		"it hangs":              func(http.ResponseWriter, request) { time.Sleep(45 * time.Second) },
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			parts := int64(0)
			if name == "500" {
				parts = 1 // the two samples are sent one by one
			}
			d := &fakeReceiver{answer: fail}
			withReceiver(t, d, withProtocol(Protocol1), func(r *rig) {
				for i := range 5 {
					r.write("j", gauge("x", float64(i), "a", "b"))
					r.tick()
				}
				for _, q := range d.all() {
					if q.points[0].time != r.began.UnixMilli() {
						r.Errorf("%v was sent before the first record was settled", q.points)
					}
				}
				if n := len(d.all()); n < 3 {
					r.Errorf("%d tries", n)
				}
				if p := r.stats.Pending(); p.Samples != 10 || p.Bytes == 0 || !p.Oldest.Equal(r.began) {
					r.Errorf("pending %+v", p)
				}
				failed := len(d.all())
				d.set(acceptAll)
				time.Sleep(2 * maxPause)
				r.tick()
				var times []int64
				for _, q := range d.all()[failed:] { // records that waited may be joined
					for _, p := range q.points {
						times = append(times, p.time)
					}
				}
				want := []int64{0, 60e3, 120e3, 180e3, 240e3}
				for i := range want {
					want[i] += r.began.UnixMilli()
				}
				if !slices.Equal(slices.Compact(times), want) {
					r.Errorf("times %v, want %v", times, want)
				}
				r.wantLogged("cannot deliver, trying again", 1)
				r.wantLogged(map[string]string{
					"500": "500 Internal Server Error: no", "429": "429 Too Many Requests: slow down",
					"the connection breaks": "closed the connection without a response", "it hangs": "no answer within 30s",
				}[name], 1)
				r.wantLogged("the receiver answers again", 1)
				if s := r.stats; s.Sent.Load() != 10 || s.Failed.Load() == 0 || s.Failed.Load() != s.Retried.Load()-parts {
					r.Errorf("sent %d, failed %d, retried %d", s.Sent.Load(), s.Failed.Load(), s.Retried.Load())
				}
			})
		})
	}
}

// TestTruncatedBody checks that the status code counts even if the body is truncated.
func TestTruncatedBody(t *testing.T) {
	d := &fakeReceiver{answer: func(w http.ResponseWriter, r request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "half of a te")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}}
	withReceiver(t, d, withProtocol(Protocol1), func(r *rig) {
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		if sent, n := r.stats.Sent.Load(), len(d.all()); sent != 1 || n != 1 {
			r.Errorf("Sent is %d after %d requests, want 1 after 1", sent, n)
		}
	})
}

// TestEndlessBody checks that the sink soon stops reading the body of a response: it uses at most 8 KiB of the body.
func TestEndlessBody(t *testing.T) {
	var read atomic.Int64
	d := &fakeReceiver{answer: func(w http.ResponseWriter, r request) {
		w.WriteHeader(400)
		for range 1 << 20 {
			n, err := w.Write([]byte(strings.Repeat("no \x00", 256)))
			read.Add(int64(n))
			if err != nil {
				panic(http.ErrAbortHandler)
			}
		}
	}}
	withReceiver(t, d, withProtocol(Protocol1), func(r *rig) {
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		r.wantDropped(sinks.Refused, 1)
		if read.Load() > 256<<10 || len(r.log.String()) > 2000 {
			r.Errorf("%d bytes of the reply were taken, %d logged", read.Load(), len(r.log.String()))
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		header func() string
		min    time.Duration
	}{
		"seconds":        {func() string { return "40" }, 40 * time.Second},
		"a date":         {func() string { return time.Now().Add(40 * time.Second).UTC().Format(http.TimeFormat) }, 40 * time.Second},
		"far too long":   {func() string { return "99999999999999999999" }, maxRetryAfter},
		"the past":       {func() string { return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, 0},
		"no sense":       {func() string { return "soon" }, 0},
		"less than 0":    {func() string { return "-5" }, 0},
		"nothing at all": {func() string { return "" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) {
				w.Header().Set("Retry-After", c.header())
				w.WriteHeader(429)
			}}
			withReceiver(t, d, nil, func(r *rig) {
				r.write("j", gauge("x", 1, "a"))
				synctest.Wait()
				d.set(acceptAll)
				time.Sleep(maxRetryAfter)
				r.tick()
				took := d.all()[1].at.Sub(d.all()[0].at)
				if took < c.min || took > c.min+firstPause {
					r.Errorf("tried again after %s, want %s and a little", took, c.min)
				}
			})
		})
	}
}

func TestTooOld(t *testing.T) {
	d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) { w.WriteHeader(503) }}
	withReceiver(t, d, func(c *Config, _ *sinks.Env) { c.Spool.MaxAge = setting.Duration(10 * time.Minute) }, func(r *rig) {
		for range 20 {
			r.write("j", gauge("x", 1, "a"))
			r.tick()
		}
		if p := r.stats.Pending(); p.Samples < 9 || p.Samples > 11 {
			r.Errorf("%d samples wait, want those of about 10 minutes", p.Samples)
		}
		d.set(acceptAll)
		r.tick()
		sent, old := r.stats.Sent.Load(), r.stats.Dropped()[sinks.TooOld]
		if sent+old != 20 || old < 9 || old > 11 {
			r.Errorf("sent %d, too old %d, want 20 together and half of them too old", sent, old)
		}
		r.wantLossesLogged("samples have waited for longer than max_age of spool, and are dropped", 2, int(old)) // the first, and the others
	})
}

// TestLossIsLoggedAgain checks when a loss that continues is logged: at once, after 10 minutes, an hour and a day, and at its end. The next loss
// is logged at once.
func TestLossIsLoggedAgain(t *testing.T) {
	d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) { w.WriteHeader(503) }}
	const line = "the queue in memory is full, and its oldest samples are dropped: set spool: {dir: …} for longer outages"
	withReceiver(t, d, func(c *Config, _ *sinks.Env) { c.Spool.MaxBytes = 1100 }, func(r *rig) {
		lost := func() int { return int(r.stats.Dropped()[sinks.QueueFull]) }
		write := func(minutes int) {
			for range minutes {
				r.write("j", gauge("x", 1, "a"))
				r.tick()
			}
		}
		for lost() == 0 {
			write(1)
		}
		r.wantLossesLogged(line, 1, lost())
		write(9)
		r.wantLossesLogged(line, 1, 1)
		write(3)
		r.wantLogged(line, 2)
		write(60)
		r.wantLogged(line, 3)
		write(24 * 60)
		r.wantLogged(line, 4)
		d.set(acceptAll)
		r.tick()
		r.wantLossesLogged(line, 5, lost())
		d.set(func(w http.ResponseWriter, _ request) { w.WriteHeader(503) })
		for before := lost(); lost() == before; {
			write(1)
		}
		r.wantLossesLogged(line, 6, lost())
		write(1)
		r.stop()
		r.wantLossesLogged(line, 7, lost())
	})
}

func TestDrain(t *testing.T) {
	d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) { w.WriteHeader(503) }}
	withReceiver(t, d, withProtocol(Protocol1), func(r *rig) {
		for range 30 { // until the pauses are long
			r.write("j", gauge("x", 1, "a"))
			r.tick()
		}
		d.set(acceptAll)
		stopped := time.Now()
		r.stop()
		if took := time.Since(stopped); took > time.Second {
			r.Errorf("draining took %s though the receiver works", took)
		}
		if sent := r.stats.Sent.Load(); sent != 30 {
			r.Errorf("Sent is %d, want 30", sent)
		}
		err := r.sink.Write(context.Background(), batchOf(gauge("x", 1, "a")))
		if !sinks.IsPermanent(err) {
			r.Errorf("Write after the end: %v, want a permanent error", err)
		}
	})
}

func TestDrainIsBounded(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, request){
		"it hangs":            func(http.ResponseWriter, request) { time.Sleep(time.Hour) },
		"it fails":            func(w http.ResponseWriter, _ request) { w.WriteHeader(500) },
		"it asks for a pause": func(w http.ResponseWriter, _ request) { w.Header().Set("Retry-After", "600"); w.WriteHeader(503) },
	} {
		t.Run(name, func(t *testing.T) {
			d := &fakeReceiver{answer: answer}
			withReceiver(t, d, nil, func(r *rig) {
				for range 3 {
					r.write("j", gauge("x", 1, "a", "b"))
				}
				r.write("k", gauge("x", 1, "a", "b"))
				r.tick()
				stopped, tries := time.Now(), len(d.all())
				r.stop()
				if took := time.Since(stopped); took != 10*time.Second {
					r.Errorf("the end took %s, want 10s", took)
				}
				if n := len(d.all()) - tries; n > 30 {
					r.Errorf("%d tries in the last 10s", n)
				}
				r.wantDropped(sinks.Shutdown, 4)
				r.wantDropped(sinks.NotNewer, 4)
			})
		})
	}
}

func TestConnectionRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.NewNetwork()
		r := newRig(t, network, nil)
		r.run()
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		r.wantLogged("connection refused", 1)
		r.wantLogged("s3cret", 0)
		d := new(fakeReceiver)
		network.Serve(t, "receiver:80", d)
		r.tick()
		if n := r.stats.Sent.Load(); n != 1 {
			r.Errorf("Sent is %d, want 1", n)
		}
		r.stop()
	})
}

// TestSecretIsMissingForAWhile checks that samples wait while a secret cannot be read.
func TestSecretIsMissingForAWhile(t *testing.T) {
	d, there := new(fakeReceiver), new(atomic.Bool)
	withReceiver(t, d, func(c *Config, env *sinks.Env) {
		c.Headers = map[string]setting.Text{"X-Api-Key": "env:KEY"}
		env.Web.Secrets.LookupEnv = func(string) (string, bool) { return "hunter2", there.Load() }
	}, func(r *rig) {
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		r.wantLogged("header X-Api-Key: secret env:KEY: the environment variable KEY is not set", 1)
		there.Store(true)
		r.tick()
		if n := r.stats.Sent.Load(); n != 1 {
			r.Errorf("Sent is %d, want 1", n)
		}
	})
}

// TestHeaderIsASecret checks a header whose name says that its value is a secret. The value is not shown, even if the settings contain it
// literally and a receiver repeats it.
func TestHeaderIsASecret(t *testing.T) {
	d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) { http.Error(w, "unknown key tiger-and-monkey", 400) }}
	withReceiver(t, d, func(c *Config, _ *sinks.Env) {
		c.Headers = map[string]setting.Text{"X-Api-Key": "tiger-and-monkey"}
	}, func(r *rig) {
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		r.wantLogged("unknown key", 1)
		r.wantLogged("tiger", 0)
	})
}

func TestMetadata(t *testing.T) {
	both := func(p Protocol) []map[string]string {
		d := new(fakeReceiver)
		withReceiver(t, d, withProtocol(p), func(r *rig) {
			calls := counter("calls_total", 1, time.Time{}, "a")
			calls.Desc.Unit = "calls"
			x := gauge("x", 1, "a", "b")
			for range 5 {
				r.write("j", x, calls)
				time.Sleep(2 * time.Minute)
			}
		})
		var all []map[string]string
		for _, q := range d.all() {
			all = append(all, q.metadata)
		}
		return all
	}
	first := map[string]string{"x": "GAUGE A gauge. ", "calls_total": "COUNTER A counter. calls"}
	none := map[string]string{}
	if diff := cmp.Diff([]map[string]string{first, none, none, first, none}, both(Protocol1)); diff != "" {
		t.Errorf("1.0 has metadata every 5 minutes (-want +got):\n%s", diff)
	}
	const more = `, instance="host-1", job="j", room=`
	always := map[string]string{
		`{__name__="x"` + more + `"a"}`:           "GAUGE A gauge. ",
		`{__name__="x"` + more + `"b"}`:           "GAUGE A gauge. ",
		`{__name__="calls_total"` + more + `"a"}`: "COUNTER A counter. calls",
	}
	if diff := cmp.Diff([]map[string]string{always, always, always, always, always}, both(Protocol2)); diff != "" {
		t.Errorf("2.0 has metadata in every series (-want +got):\n%s", diff)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		protocol Protocol
		code     int
		text     string
		want     string // of the error, "" = none
	}{
		{Auto, 204, "", ""},
		{Auto, 400, "empty write request", ""},
		{Auto, 415, "", "(the receiver accepts neither remote-write 2.0 nor 1.0: check that url"},
		{Protocol2, 204, "", ""},
		{Protocol2, 415, "", "(the receiver does not accept remote-write 2.0: set protocol to auto)"},
		{Protocol1, 415, "", "(the receiver does not accept remote-write 1.0: set protocol to auto)"},
		{Auto, 401, "no org id", "401 Unauthorized: no org id (set headers: {X-Scope-OrgID"},
		{Auto, 401, "", "check basic_auth"},
		{Auto, 403, "", "these credentials may not write there"},
		{Auto, 404, "404 page not found", "check the path of url"},
		{Auto, 404, "remote write receiver needs to be enabled with --web.enable-remote-write-receiver", "start Prometheus with"},
		{Auto, 503, "starting", "POST http://receiver/api/v1/write: 503 Service Unavailable: starting"},
	} {
		d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) { http.Error(w, c.text, c.code) }}
		withReceiver(t, d, withProtocol(c.protocol), func(r *rig) {
			err := r.sink.Check(context.Background())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				r.Errorf("%s, %d %s: %v, want %q", c.protocol, c.code, c.text, err, c.want)
			}
			if n := len(points(d.all())); n > 0 || r.stats.Failed.Load() > 0 {
				r.Errorf("%d samples were sent", n)
			}
		})
	}
}

// TestPanicDropsItsRequest checks that a panic drops the request that caused it, and that the sink continues with the next one.
func TestPanicDropsItsRequest(t *testing.T) {
	first := true
	answer := func(req *http.Request) (*http.Response, error) {
		if first {
			first = false
			panic("cannot be")
		}
		return &http.Response{StatusCode: 204, Body: http.NoBody, Request: req}, nil
	}
	change := func(c *Config, env *sinks.Env) { c.Protocol, env.Web.Transport = Protocol1, answerer(answer) }
	withReceiver(t, nil, change, func(r *rig) {
		for range 2 {
			r.write("house", gauge("temp", 20, "a"))
			r.tick()
		}
		r.wantDropped(sinks.Damaged, 1)
		if sent := r.stats.Sent.Load(); sent != 1 || !strings.Contains(r.log.String(), "cannot be") {
			t.Errorf("sent %d samples, log:\n%s", sent, r.log)
		}
	})
}

type answerer func(*http.Request) (*http.Response, error)

func (f answerer) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestOnceBehindBacklog checks a short run with several connections, whose spool has a backlog for one of the connections. The run sends
// its own samples too.
func TestOnceBehindBacklog(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		network := memnet.NewNetwork()
		change := func(c *Config, _ *sinks.Env) { c.Spool.Dir = dir; c.Connections = 4; c.Protocol = Protocol1 }
		r := newRig(t, network, change) // the receiver is down
		r.run()
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		r.stop()
		d := &fakeReceiver{answer: func(w http.ResponseWriter, q request) { time.Sleep(time.Second); acceptAll(w, q) }}
		network.Serve(t, "receiver:80", d)
		r = newRig(t, network, change)
		r.run()
		synctest.Wait()
		r.write("j", gauge("x", 2, "a", "b", "c", "d", "e", "f", "g", "h"))
		synctest.Wait()
		r.stop()
		r.wantNothingPending()
	})
}

// TestScrapedTypes checks scraped metrics that are passed on as gauges. They keep the type that their exporter states.
func TestScrapedTypes(t *testing.T) {
	types := map[string]metric.Type{"build_info": metric.Info, "state": metric.StateSet, "q_bucket": metric.GaugeHistogram, "temp": 0}
	want := map[string]string{"build_info": "INFO", "state": "STATESET", "q_bucket": "GAUGEHISTOGRAM", "temp": "GAUGE"}
	for _, p := range []Protocol{Protocol1, Protocol2} {
		d := new(fakeReceiver)
		withReceiver(t, d, withProtocol(p), func(r *rig) {
			for name, is := range types {
				f := gauge(name, 1, "a")
				f.Desc.Scraped = is
				r.write(name, f)
			}
			r.tick()
			got := map[string]string{}
			for _, q := range d.all() {
				for of, text := range q.metadata {
					for name := range types {
						if of == name || strings.Contains(of, `__name__="`+name+`"`) {
							got[name], _, _ = strings.Cut(text, " ")
						}
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				r.Errorf("%s: types differ (-want +got):\n%s", p, diff)
			}
		})
	}
}

// notes is a sinks.Memory.
type notes struct {
	mu   sync.Mutex
	data []byte
}

func (n *notes) Load() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.data
}

func (n *notes) Store(data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.data = data
}

// TestProtocolIsRemembered checks that a receiver of 1.0 gets a request in 2.0 only from the first of several processes. If a process sends
// to another receiver, this receiver gets such a request too.
func TestProtocolIsRemembered(t *testing.T) {
	memory, d := &notes{}, &fakeReceiver{answer: accept1Only}
	process := func(url string) (protocols []Protocol) {
		before := len(d.all())
		withReceiver(t, d, func(c *Config, env *sinks.Env) {
			env.Memory = memory
			if url != "" {
				if err := c.URL.UnmarshalText([]byte(url)); err != nil {
					t.Fatal(err)
				}
			}
		}, func(r *rig) {
			r.write("house", gauge("temp", 20, "a"))
			r.tick()
		})
		for _, request := range d.all()[before:] {
			protocols = append(protocols, request.protocol)
		}
		return protocols
	}
	for i, want := range [][]Protocol{{Protocol2, Protocol1}, {Protocol1}, {Protocol1}} {
		if got := process(""); !slices.Equal(got, want) {
			t.Errorf("process %d sends %v, want %v", i, got, want)
		}
	}
	if got := process("http://receiver/other"); !slices.Equal(got, []Protocol{Protocol2, Protocol1}) {
		t.Errorf("to another receiver: %v", got)
	}
}
