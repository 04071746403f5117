package remotewrite

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
)

func onDisk(dir string) func(*Config, *sinks.Env) {
	return func(c *Config, _ *sinks.Env) { c.Spool.Dir = dir }
}

// TestSamplesStayOnDisk checks that a sink leaves its samples on disk when it ends. The next sink sends these samples first.
func TestSamplesStayOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, network, d := t.TempDir(), memnet.NewNetwork(), new(fakeReceiver)
		r := newRig(t, network, onDisk(dir))
		r.run()
		r.write("j", gauge("x", 1, "a", "b"))
		r.tick()
		r.stop()
		if n := r.stats.Pending().Samples; n != 2 || len(r.stats.Dropped()) > 0 {
			t.Errorf("%d samples are pending, dropped %v", n, r.stats.Dropped())
		}
		network.Serve(t, "receiver:80", d)
		r = newRig(t, network, onDisk(dir))
		r.run()
		r.write("j", gauge("x", 2, "a", "b"))
		r.tick()
		r.stop()
		r.wantNothingPending()
		if all := d.all(); len(all) != 2 || all[0].points[0].value != 1 || all[1].points[0].value != 2 {
			t.Errorf("%v came", points(all))
		}
	})
}

// TestSpoolThatCannotBeOpened checks two cases. In the first case another process uses the sink's spool: the sink puts its samples into
// that spool. In the second case there is a file in place of the spool's directory, so the spool cannot be opened: the sink keeps samples
// in memory, and puts them on disk when the spool can be opened.
func TestSpoolThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	for name, block := range map[string]func(t *testing.T, dir string) (free func()){
		"in use": func(t *testing.T, dir string) func() {
			other := spool.Open(dir, spool.Options{Shards: 1, Log: slog.New(slog.DiscardHandler)})
			return func() {
				if err := other.Close(); err != nil {
					t.Error(err)
				}
			}
		},
		"a file": func(t *testing.T, dir string) func() {
			if err := os.WriteFile(dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := os.Remove(dir); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			dir, network, d := filepath.Join(dir, name), memnet.NewNetwork(), new(fakeReceiver)
			free := block(t, dir)
			r := newRig(t, network, onDisk(dir))
			r.run()
			r.write("j", gauge("x", 1, "a"))
			r.tick()
			r.wantLogged(map[string]string{
				"in use": "level=INFO msg=\"another process sends from the spool",
				"a file": "level=ERROR msg=\"the spool cannot be opened",
			}[name], 1)
			if n := r.stats.Pending().Samples; n != 1 {
				t.Errorf("%s: %d samples are pending, want 1", name, n)
			}
			if fault, ok := r.stats.Spool(); !ok || (fault.Why != "") != (name == "a file") {
				t.Errorf("%s: the spool's fault is %+v, there is one: %t", name, fault, ok)
			}
			free()
			r.write("j", gauge("x", 2, "a"))
			if fault, _ := r.stats.Spool(); fault != (sinks.SpoolFault{}) {
				t.Errorf("%s: the spool's fault is still %+v", name, fault)
			}
			waiting, err := spool.List(dir)
			if len(waiting) != 2 || err != nil {
				t.Errorf("%s: %d records are on disk, %v; want 2", name, len(waiting), err)
			}
			network.Serve(t, "receiver:80", d)
			r.tick()
			r.stop()
			r.wantNothingPending()
			if all := d.all(); len(all) != 2 || all[0].points[0].value != 1 || all[1].points[0].value != 2 {
				t.Errorf("%s: %v came", name, points(all))
			}
			if left, err := spool.List(dir); len(left) != 0 || err != nil {
				t.Errorf("%s: left on disk are %v, %v", name, left, err)
			}
		})
	}
}

// TestEndWithoutReceiver checks how long a sink takes to end when its receiver is down. With all samples on disk, it takes no longer than
// one try. With samples in memory, or if no other run is to come, it takes as long as Drain.
func TestEndWithoutReceiver(t *testing.T) {
	refuse := func(*fakeReceiver) {}
	hang := func(d *fakeReceiver) {
		d.set(func(_ http.ResponseWriter, _ request) { time.Sleep(time.Hour) })
	}
	unavailable := func(d *fakeReceiver) {
		d.set(func(w http.ResponseWriter, _ request) { w.WriteHeader(http.StatusServiceUnavailable) })
	}
	for _, c := range []struct {
		name         string
		down         func(*fakeReceiver)
		memory, once bool
		want         time.Duration
		pending      int64
	}{
		{"refused", refuse, false, false, 0, 2},
		{"unavailable", unavailable, false, false, 0, 2},
		{"hangs", hang, false, false, 2 * time.Second, 2},
		{"refused, in memory", refuse, true, false, 10 * time.Second, 0},
		{"unavailable, once", unavailable, false, true, 10 * time.Second, 2},
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			network, d := memnet.NewNetwork(), new(fakeReceiver)
			if c.down(d); c.name != "refused" && !c.memory {
				network.Serve(t, "receiver:80", d)
			}
			r := newRig(t, network, func(s *Config, env *sinks.Env) {
				if env.Once = c.once; !c.memory {
					s.Spool.Dir = dir
				}
			})
			r.run()
			r.write("j", gauge("x", 1, "a"))
			r.tick()
			r.write("j", gauge("x", 2, "a"))
			time.Sleep(5 * time.Second)
			began := time.Now()
			r.stop()
			if took := time.Since(began); took.Truncate(time.Second) != c.want {
				t.Errorf("%s: the end took %s, want %s", c.name, took, c.want)
			}
			if n := r.stats.Pending().Samples; n != c.pending {
				t.Errorf("%s: %d samples are pending, want %d", c.name, n, c.pending)
			}
			time.Sleep(time.Hour) // until the handlers that hang return
		})
	}
}

// TestEndSaysWhoHangs checks that a sink whose first request is not answered before the end says so, once, and whether the samples are safe.
func TestEndSaysWhoHangs(t *testing.T) {
	for want, inMemory := range map[string]bool{
		`level=WARN msg="not delivered before the end: the samples wait on disk for the next process" error="POST http://receiver/api/v1/write: no answer within 3s"`: false,
		`level=WARN msg="not delivered before the end, and the samples are not on disk" error="POST http://receiver/api/v1/write: no answer within 11s"`:              true,
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			network, d := memnet.NewNetwork(), new(fakeReceiver)
			d.set(func(http.ResponseWriter, request) { time.Sleep(time.Hour) })
			network.Serve(t, "receiver:80", d)
			r := newRig(t, network, func(s *Config, _ *sinks.Env) {
				if !inMemory {
					s.Spool.Dir = dir
				}
			})
			r.run()
			r.write("j", gauge("x", 1, "a"))
			time.Sleep(time.Second)
			r.stop()
			r.wantLogged(want, 1)
			r.wantLogged("level=WARN", 1)
			time.Sleep(time.Hour) // until the handler returns
		})
	}
}

// TestEndWithReceiver checks that a sink sends the samples that are on disk before it ends, provided that the receiver accepts these
// samples.
func TestEndWithReceiver(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		network := memnet.NewNetwork()
		r := newRig(t, network, onDisk(dir))
		r.run()
		for i := range 5 {
			r.write("j", gauge("x", float64(i), "a"))
			time.Sleep(time.Second)
		}
		network.Serve(t, "receiver:80", &fakeReceiver{answer: func(w http.ResponseWriter, r request) {
			time.Sleep(time.Second)
			acceptAll(w, r)
		}})
		r.stop()
		r.wantNothingPending()
	})
}

// TestSpoolIsRelativeToConfiguration checks that a relative directory is relative to the directory of the configuration file.
func TestSpoolIsRelativeToConfiguration(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, memnet.NewNetwork(), func(c *Config, env *sinks.Env) {
		c.Spool.Dir = "queue"
		env.Dir, env.Drain = dir, 0
	})
	r.run()
	r.write("j", gauge("x", 1, "a"))
	if waiting, err := spool.List(filepath.Join(dir, "queue")); err != nil || len(waiting) != 1 || waiting[0].Samples != 1 {
		t.Errorf("%v, %v", waiting, err)
	}
	r.stop()
}

// TestDamagedRequestIsCounted checks that a request with a changed byte on disk is dropped and counted.
func TestDamagedRequestIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, network, d := t.TempDir(), memnet.NewNetwork(), new(fakeReceiver)
		r := newRig(t, network, onDisk(dir))
		r.run()
		for i := range 3 {
			r.write("j", gauge("x", float64(i), "a", "b"))
			r.tick()
		}
		r.stop()
		files, err := filepath.Glob(filepath.Join(dir, "*.rec"))
		if err != nil || len(files) != 3 {
			t.Fatalf("%q, %v", files, err)
		}
		data, err := os.ReadFile(files[1])
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)-20] ^= 1
		if err := os.WriteFile(files[1], data, 0o600); err != nil {
			t.Fatal(err)
		}
		network.Serve(t, "receiver:80", d)
		r = newRig(t, network, onDisk(dir))
		r.run()
		r.tick()
		r.stop()
		r.wantNothingPending()
		r.wantDropped(sinks.Damaged, 2)
		if n := r.stats.Sent.Load(); n != 4 {
			t.Errorf("%d samples were sent, want 4", n)
		}
	})
}

// TestEndWithinARecord ends a sink while only a part of a record is settled. It checks that each sample of the record is counted once.
func TestEndWithinARecord(t *testing.T) {
	answer := func(w http.ResponseWriter, r request) {
		switch {
		case len(r.points) == 8:
			w.WriteHeader(400)
		case strings.Contains(r.points[0].series, "r0"):
			acceptAll(w, r)
		default:
			w.WriteHeader(503)
		}
	}
	withReceiver(t, &fakeReceiver{answer: answer}, withProtocol(Protocol1), func(r *rig) {
		r.write("j", gauge("x", 1, "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"))
		r.tick()
		r.stop()
		r.wantDropped(sinks.Shutdown, 4)
		if sent := r.stats.Sent.Load(); sent != 4 {
			r.Errorf("Sent is %d, want 4", sent)
		}
	})
}

// TestConnectionsSendConcurrently checks that connections send at the same time, each its own series.
func TestConnectionsSendConcurrently(t *testing.T) {
	var now, most atomic.Int64
	shards := map[string]map[string]bool{} // the series of each connection, keyed by the first series of its requests
	d := &fakeReceiver{answer: func(w http.ResponseWriter, r request) {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(time.Second)
		now.Add(-1)
		acceptAll(w, r)
	}}
	took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1, 2}, LabelNames: []string{"room"}}
	withReceiver(t, d, func(c *Config, _ *sinks.Env) { c.Connections = 4 }, func(r *rig) {
		rooms := strings.Split("a b c d e f g h i j k l m n o p q r s t u v w x y z", " ")
		for range 3 {
			r.write("j", familyOf(took, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Counts: []uint64{0, 0, 0}}}}, rooms...))
			r.tick()
		}
		if n := most.Load(); n != 4 {
			r.Errorf("%d requests were under way at once, want 4", n)
		}
		if n := len(d.all()); n != 12 {
			r.Errorf("%d requests, want 4 a tick", n)
		}
		for _, q := range d.all() {
			first := q.points[0].series
			if shards[first] == nil {
				shards[first] = map[string]bool{}
			}
			for _, p := range q.points {
				shards[first][p.series] = true
			}
		}
		n := 0
		for _, s := range shards {
			if n += len(s); len(s)%5 != 0 {
				r.Errorf("a connection has %d series, which divides a histogram", len(s))
			}
		}
		if len(shards) != 4 || n != 5*len(rooms) {
			r.Errorf("%d connections have %d series", len(shards), n)
		}
	})
}

// TestZeroThatWasSent ends a sink whose request the receiver has stored, but has not answered. The next sink sends the record again.
// Prometheus then refuses the zero, since it already has the sample after the zero. That does not count as a loss.
func TestZeroThatWasSent(t *testing.T) {
	for _, p := range []Protocol{Protocol1, Protocol2} {
		dir, network, s := t.TempDir(), memnet.NewNetwork(), newServer(t)
		synctest.Test(t, func(t *testing.T) {
			change := func(c *Config, env *sinks.Env) {
				onDisk(dir)(c, env)
				c.Protocol = p
			}
			var first atomic.Bool
			network.Serve(t, "receiver:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if first.CompareAndSwap(false, true) {
					s.ServeHTTP(httptest.NewRecorder(), r)
					<-r.Context().Done() // the response does not arrive
					return
				}
				s.ServeHTTP(w, r)
			}))
			r := newRig(t, network, change)
			r.run()
			r.tick()
			r.write("j", counter("calls_total", 1, r.began, "a"), gauge("x", 1, "a"))
			time.Sleep(time.Second)
			r.stop()
			if left, err := spool.List(dir); len(left) != 1 || err != nil {
				t.Fatalf("%d records are left, %v", len(left), err)
			}
			r = newRig(t, network, change)
			r.run()
			r.tick()
			r.stop()
			r.wantNothingPending()
			r.wantDropped(sinks.Refused, 0)
			r.wantLogged("refused samples", 0)
		})
	}
}

// TestEndWhileTheSpoolFails checks that samples that are only in memory, because the spool is away, are tried until the end even if older
// samples are on disk, and that those older samples are sent first.
func TestEndWhileTheSpoolFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, network, d := filepath.Join(t.TempDir(), "spool"), memnet.NewNetwork(), new(fakeReceiver)
		var back time.Time // when the receiver is well again
		d.set(func(w http.ResponseWriter, q request) {
			if back.IsZero() || time.Now().Before(back) {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			acceptAll(w, q)
		})
		network.Serve(t, "receiver:80", d)
		r := newRig(t, network, onDisk(dir))
		r.run()
		r.write("j", gauge("x", 1, "a"))
		r.tick()
		if err := os.Rename(dir, dir+"-away"); err != nil {
			t.Fatal(err)
		}
		r.write("j", gauge("x", 2, "a"))
		back = time.Now().Add(time.Second)
		r.stop()
		if time.Now().Before(back) {
			t.Error("the sink has ended before the receiver was well again")
		}
		r.wantDropped(sinks.Shutdown, 0)
		var got []float64
		for _, q := range d.all() {
			for _, p := range q.points {
				if !q.at.Before(back) {
					got = append(got, p.value)
				}
			}
		}
		if len(got) != 2 || got[0] != 1 || got[1] != 2 {
			t.Errorf("the values %v arrived, want 1 and 2", got)
		}
	})
}

// TestChangedSinkTakesOver checks that the samples that a sink has in memory, because it has no spool or its spool is away, are sent by the
// sink that replaces it, in their order and before newer ones. The old sink does not wait for its receiver, and does not end the series
// with staleness markers.
func TestChangedSinkTakesOver(t *testing.T) {
	for _, withSpool := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dir, network, d := filepath.Join(t.TempDir(), "spool"), memnet.NewNetwork(), new(fakeReceiver)
			d.set(func(w http.ResponseWriter, _ request) { w.WriteHeader(http.StatusServiceUnavailable) })
			network.Serve(t, "receiver:80", d)
			settings := func(connections int) func(c *Config, _ *sinks.Env) {
				return func(c *Config, _ *sinks.Env) {
					if c.Connections = connections; withSpool {
						c.Spool.Dir = dir
					}
					c.StaleOnExit = connections == 4
				}
			}
			old := newRig(t, network, settings(4))
			old.run()
			old.write("j", gauge("x", 1, "a", "b", "c"))
			old.tick()
			if withSpool {
				if err := os.Rename(dir, dir+"-away"); err != nil {
					t.Fatal(err)
				}
			}
			old.write("j", gauge("x", 2, "a", "b", "c"))
			old.tick()
			next := newRig(t, network, settings(1))
			next.sink.Succeed(old.sink)
			began := time.Now()
			old.stop()
			d.set(acceptAll)
			if withSpool {
				if err := os.Rename(dir+"-away", dir); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("the old sink took %s to end", took)
			}
			answered := len(d.all())
			next.run()
			next.write("j", gauge("x", 3, "a", "b", "c"))
			next.tick()
			next.stop()
			next.wantNothingPending()
			if len(old.stats.Dropped())+len(next.stats.Dropped()) > 0 {
				t.Errorf("dropped %v and %v", old.stats.Dropped(), next.stats.Dropped())
			}
			values := map[string][]float64{}
			for _, p := range d.all()[answered:] {
				for _, p := range p.points {
					values[p.series] = append(values[p.series], p.value)
				}
			}
			if len(values) != 3 {
				t.Errorf("with a spool: %t: %d series arrived", withSpool, len(values))
			}
			for series, got := range values {
				if fmt.Sprint(got) != "[1 2 3]" {
					t.Errorf("with a spool: %t: %s has %v, want 1, 2, 3", withSpool, series, got)
				}
			}
		})
	}
}
