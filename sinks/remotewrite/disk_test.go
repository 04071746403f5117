package remotewrite

import (
	"context"
	"net/http"
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

// A sink that ends leaves its samples on disk, and the next one sends them first.
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

// If the directory cannot be used, or another sink uses it, Run returns an error. Write waits until its context ends. Run can
// be called again.
func TestSpoolThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memnet.NewNetwork(), onDisk(dir))
		other, err := spool.Open(dir, spool.Options{Shards: 1, Log: r.sink.env.Log})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.sink.Run(t.Context()); err == nil || !strings.Contains(err.Error(), ": stop that process, or give each sink its own directory") {
			t.Errorf("Run with a directory that another has: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		err = r.sink.Write(ctx, batchOf(gauge("x", 1, "a")))
		if err == nil || sinks.IsPermanent(err) || time.Since(began) != time.Minute {
			t.Errorf("Write without a queue: %v after %s", err, time.Since(began))
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		r.run()
		r.write("j", gauge("x", 1, "a"))
		r.stop()
	})
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, memnet.NewNetwork(), onDisk(file))
	if err := r.sink.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "open the spool "+file) {
		t.Errorf("Run with a file for a directory: %v", err)
	}
}

// A relative directory is relative to the directory of the configuration file.
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

// A changed byte on disk drops its request, which is counted.
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

// The samples of a record that is partly settled at the end are counted once.
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

// Connections send at the same time, each its own series.
func TestConnectionsSendConcurrently(t *testing.T) {
	var now, most atomic.Int64
	shards := map[string]map[string]bool{} // series by the first one of their request
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
