package remotewrite

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

func batchOf(families ...metric.Family) metric.Batch {
	return metric.Batch{Job: "j", Time: time.Now(), Families: families}
}

// queuedBy returns what a sink without a receiver queues, formatted without the label job="j".
func queuedBy(t *testing.T, max int, test func(r *rig)) (requests [][]string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memnet.NewNetwork(), func(c *Config, env *sinks.Env) {
			c.Request.MaxSamples, env.Instance = max, ""
		})
		test(r)
		for _, q := range r.queued() {
			requests = append(requests, formatItems(t, q, r.began))
		}
	})
	return requests
}

// queued takes all requests from the queue.
func (r *rig) queued() (all []wire.Request) {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	q := r.sink.queue.Load()
	for {
		record, ok := q.Next(ctx, 0, spool.OldestFirst)
		if !ok {
			return all
		}
		one, err := unpack(record)
		if err != nil {
			r.Fatal(err)
		}
		if one.Counts.Samples != record.Samples || one.Counts.Histograms != record.Histograms {
			r.Errorf("the record says %+v, it has %+v", record.Meta, one.Counts)
		}
		all = append(all, one)
		q.Ack(record.ID)
	}
}

// unpack decodes a record of the queue.
func unpack(r spool.Record) (wire.Request, error) {
	raw, err := snappy.Decode(nil, r.Payload)
	if err != nil {
		return wire.Request{}, err
	}
	return wire.Decode(wire.Protocol(r.Protocol), raw)
}

func formatItems(t *testing.T, q wire.Request, began time.Time) (all []string) {
	t.Helper()
	for i, err := range q.Items() {
		if err != nil {
			t.Fatal(err)
		}
		p := point{series: i.Labels.String(), time: i.Time - began.UnixMilli(), value: i.Value}
		if i.Start != 0 {
			p.start = i.Start - began.UnixMilli()
		}
		if i.Kind == wire.Histogram && i.Histogram.Sum != i.Histogram.Sum {
			p.value = staleNaN()
		}
		text := strings.NewReplacer(`__name__="`, "", `",job="j"`, "", `"`, "").Replace(p.String())
		if i.Kind == wire.Histogram {
			text += " native"
		}
		all = append(all, text)
	}
	return all
}

func TestHistogramIsNotDivided(t *testing.T) {
	took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1, 2}, LabelNames: []string{"room"}}
	h := &metric.HistogramValue{Count: 4, Sum: 5, Counts: []uint64{1, 1, 2}}
	got := queuedBy(t, 7, func(r *rig) {
		r.write("j", gauge("x", 1, "a", "b", "c"), familyOf(took, metric.Series{More: &metric.More{Histogram: h}}, "a", "b"), gauge("y", 1, "a", "b"))
	})
	var sizes []int
	for _, c := range got {
		sizes = append(sizes, len(c))
	}
	if want := []int{7, 7, 1}; !slices.Equal(sizes, want) {
		t.Errorf("requests of %v samples, want %v", sizes, want)
	}
	// A histogram that is too large for a request has its own.
	got = queuedBy(t, 2, func(r *rig) {
		r.write("j", familyOf(took, metric.Series{More: &metric.More{Histogram: h}}, "a"), gauge("y", 1, "a"))
	})
	if len(got) != 2 || len(got[0]) != 5 || len(got[1]) != 1 {
		t.Errorf("requests %v", got)
	}
}

func TestMarkersAndZeros(t *testing.T) {
	own := func(value float64, at time.Time, rooms ...string) metric.Family {
		f := gauge("own", value, rooms...)
		for i := range f.Series {
			f.Series[i].Time = at.UnixMilli()
		}
		return f
	}
	got := queuedBy(t, 1000, func(r *rig) {
		time.Sleep(time.Second)
		started := time.Now()
		time.Sleep(time.Second)
		r.write("j", counter("n", 1, started, "a"), own(1, r.began, "a"), gauge("x", 1, "a", "b"))
		time.Sleep(time.Second)
		// The counter "n" has a new start, so it gets no zero. The gauge "own" has the same timestamp as before, so it is not sent. The series
		// x{b} is gone.
		r.write("j", counter("n", 0.5, time.Now().Add(-1), "a"), own(1, r.began, "a"), gauge("x", 1, "a"))
		r.wantDropped(sinks.NotNewer, 0)
		time.Sleep(time.Second)
		// All series end. The gauge "own" gets no marker, since it has timestamps of its own.
		r.write("j")
		time.Sleep(time.Second)
		// The counter "n" comes back with a start before its marker, so it gets no zero. The counter "m" started later, so it gets a zero.
		r.write("j", counter("n", 1, started, "a"), counter("m", 1, time.Now().Add(-2*time.Second), "a"))
	})
	want := [][]string{
		{"{n,room=a} @1000 since 1000 0", "{n,room=a} @2000 since 1000 1", "{own,room=a} @0 1", "{x,room=a} @2000 1", "{x,room=b} @2000 1"},
		{"{n,room=a} @3000 since 2999 0.5", "{x,room=a} @3000 1", "{x,room=b} @3000 stale"},
		{"{n,room=a} @4000 stale", "{x,room=a} @4000 stale"},
		{"{m,room=a} @3000 since 3000 0", "{m,room=a} @5000 since 3000 1", "{n,room=a} @5000 since 1000 1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other samples (-want +got):\n%s", diff)
	}
}

// TestNoZeroBeforeTheSinkStarted checks that a total that started before the sink gets no zero: an earlier process may have sent
// samples.
func TestNoZeroBeforeTheSinkStarted(t *testing.T) {
	got := queuedBy(t, 1000, func(r *rig) {
		time.Sleep(time.Hour)
		r.write("j", counter("n", 1, r.began.Add(-1), "a"),
			counter("old", 1, time.Now().Add(-30*time.Minute-time.Millisecond), "a"),
			counter("ahead", 1, time.Now().Add(1), "a"), counter("none", 1, time.Unix(0, 0), "a"))
	})
	want := [][]string{{
		"{ahead,room=a} @3600000 1", "{n,room=a} @3600000 since -1 1",
		"{none,room=a} @3600000 1", "{old,room=a} @3600000 since 1799999 1",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other samples (-want +got):\n%s", diff)
	}
}

func TestTypeChangesOverReload(t *testing.T) {
	h := func(buckets ...float64) metric.Family {
		d := &metric.Desc{Name: "n", Type: metric.Histogram, Buckets: buckets, LabelNames: []string{"room"}}
		return familyOf(d, metric.Series{More: &metric.More{Histogram: &metric.HistogramValue{Counts: make([]uint64, len(buckets)+1)}}}, "a")
	}
	native := h()
	native.Series[0].More = &metric.More{Histogram: nativeOf(2)}
	got := queuedBy(t, 1000, func(r *rig) {
		for _, f := range []metric.Family{gauge("n", 1, "a"), h(1, 2), h(2), native, counter("n", 2, time.Unix(0, 0), "a")} {
			r.write("j", f)
			time.Sleep(time.Second)
		}
		r.write("j")
	})
	want := [][]string{
		{"{n,room=a} @0 1"},
		{
			"{n_bucket,le=1.0,room=a} @1000 0", "{n_bucket,le=2.0,room=a} @1000 0", "{n_bucket,le=+Inf,room=a} @1000 0",
			"{n_sum,room=a} @1000 0", "{n_count,room=a} @1000 0", "{n,room=a} @1000 stale",
		},
		{
			"{n_bucket,le=2.0,room=a} @2000 0", "{n_bucket,le=+Inf,room=a} @2000 0", "{n_sum,room=a} @2000 0",
			"{n_count,room=a} @2000 0", "{n_bucket,le=1.0,room=a} @2000 stale",
		},
		{
			"{n,room=a} @3000 0 native", "{n_bucket,le=2.0,room=a} @3000 stale", "{n_bucket,le=+Inf,room=a} @3000 stale",
			"{n_sum,room=a} @3000 stale", "{n_count,room=a} @3000 stale",
		},
		{"{n,room=a} @4000 2"},
		{"{n,room=a} @5000 stale"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other samples (-want +got):\n%s", diff)
	}
}

func TestHostileBatches(t *testing.T) {
	d := &metric.Desc{Name: "h", Type: metric.Histogram, Buckets: []float64{1, 2}, Quantiles: []float64{0.5}}
	sum := &metric.Desc{Name: "s", Type: metric.Summary, Quantiles: []float64{0.5, 0.9}}
	var none metric.LabelSet
	got := queuedBy(t, 1000, func(r *rig) {
		x := gauge("x", math.Float64frombits(math.Float64bits(staleNaN())), "a", "a")
		r.write("j", x, // the same series twice, with the value of a marker
			metric.Family{Desc: d, Series: []metric.Series{{Labels: &none}, {Labels: &none, More: &metric.More{Histogram: &metric.HistogramValue{Counts: []uint64{1}}}}}},
			metric.Family{Desc: sum, Series: []metric.Series{{Labels: &none}, {Labels: new(metric.LabelSet), More: &metric.More{Summary: &metric.SummaryValue{Quantiles: []float64{1}}}}}},
			metric.Family{Desc: d})
		r.wantDropped(sinks.NotNewer, 1)
		// The clock is set back, and forward again.
		time.Sleep(time.Second)
		back := batchOf(x, gauge("y", 1, "a"))
		back.Time = r.began.Add(-time.Hour)
		if err := r.sink.Write(r.Context(), back); err != nil {
			r.Fatal(err)
		}
		r.wantDropped(sinks.NotNewer, 3)
	})
	want := [][]string{
		{
			"{h_bucket,le=1.0} @0 1", "{h_bucket,le=2.0} @0 1", "{h_bucket,le=+Inf} @0 0", "{h_sum} @0 0",
			"{h_count} @0 0", "{s,quantile=0.5} @0 1", "{s,quantile=0.9} @0 NaN", "{s_sum} @0 0", "{s_count} @0 0", "{x,room=a} @0 NaN",
		},
		{
			"{y,room=a} @-3600000 1", "{h_bucket,le=1.0} @1 stale", "{h_bucket,le=2.0} @1 stale", "{h_bucket,le=+Inf} @1 stale",
			"{h_sum} @1 stale", "{h_count} @1 stale", "{s,quantile=0.5} @1 stale", "{s,quantile=0.9} @1 stale",
			"{s_sum} @1 stale", "{s_count} @1 stale",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other samples (-want +got):\n%s", diff)
	}
}

func TestQueueIsBounded(t *testing.T) {
	d := &fakeReceiver{}
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d.answer = func(w http.ResponseWriter, q request) { <-release; acceptAll(w, q) }
		network := memnet.NewNetwork()
		network.Serve(t, "receiver:80", d)
		r := newRig(t, network, func(c *Config, _ *sinks.Env) {
			c.Spool.MaxBytes = 1100 // two requests of about 150 bytes, with their overhead
		})
		r.run()
		r.write("j", gauge("x", 0, "a", "b", "c", "d"))
		synctest.Wait() // the first batch is being sent
		for i := range 4 {
			time.Sleep(time.Second)
			r.write("j", gauge("x", float64(i+1), "a", "b", "c", "d"))
		}
		r.wantDropped(sinks.QueueFull, 12)
		r.wantLossesLogged("the queue in memory is full, and its oldest samples are dropped: set spool: {dir: …} for longer outages", 1, 4)
		if p := r.stats.Pending(); p.Samples != 8 || !p.Oldest.Equal(r.began) {
			r.Errorf("pending %+v", p)
		}
		close(release)
		r.tick()
		var values []float64
		for _, q := range d.all() {
			values = append(values, q.points[0].value)
		}
		if !slices.Equal(values, []float64{0, 4}) {
			r.Errorf("delivered %v, want the one that was being sent and the newest", values)
		}
		r.stop()
		r.wantNothingPending()
	})
}

// TestWriteAllocates checks that writing a batch of known series does not allocate for each sample.
func TestWriteAllocates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memnet.NewNetwork(), nil)
		f := gauge("x", 1, strings.Split(strings.Repeat("a ", 1000), " ")...)
		for i := range f.Series {
			f.Series[i].Labels = f.Desc.LabelSet([]string{string(rune('a' + i))})
		}
		at := time.Now()
		n := testing.AllocsPerRun(10, func() {
			at = at.Add(time.Second)
			r.sink.Write(t.Context(), metric.Batch{Job: "j", Time: at, Families: []metric.Family{f}})
		})
		if n > 20 {
			t.Errorf("%v allocations for 1000 samples", n)
		}
	})
}

// TestSeriesOfTargets checks that series that have the job and instance labels of their target keep them.
func TestSeriesOfTargets(t *testing.T) {
	external := []metric.Label{{Name: "site", Value: "oslo"}}
	inEveryProtocol(t, func(_ *Config, env *sinks.Env) { env.External = external }, func(r *rig, s *server) {
		d := &metric.Desc{Name: "up", Type: metric.Gauge, LabelNames: []string{"job", "instance"}}
		targeted := *d
		targeted.Name, targeted.Targeted = "scraped", true
		family := func(d *metric.Desc, job, instance string) metric.Family {
			return metric.Family{Desc: d, Series: []metric.Series{{Labels: d.LabelSet([]string{job, instance}), Value: 1}}}
		}
		r.write("node", family(d, "own", ""), family(&targeted, "own", "db:1"))
		r.tick()
		now := time.Now().Add(-time.Minute)
		s.want(t, now, `up{job="node",instance="host-1",exported_job="own",site="oslo"}`, 1)
		s.want(t, now, `scraped{job="own",instance="db:1",exported_job="",exported_instance="",site="oslo"}`, 1)
	})
}

// fleet returns a family of 30,000 series with 4 labels each.
func fleet() metric.Family {
	d := &metric.Desc{
		Name: "api_requests_total", Help: "Requests by path and code.", Type: metric.Counter,
		LabelNames: []string{"path", "code", "method", "team"},
	}
	f := metric.Family{Desc: d}
	for i := range 30000 {
		f.Series = append(f.Series, metric.Series{
			Labels: d.LabelSet([]string{fmt.Sprint("/v1/items/", i/20), strconv.Itoa(200 + i%20), []string{"GET", "POST"}[i%2], fmt.Sprint("team-", i%50)}),
			Value:  float64(i * 17),
			Start:  1,
		})
	}
	return f
}

// BenchmarkWrite30000 writes a batch of 30,000 known series into the queue.
func BenchmarkWrite30000(b *testing.B) {
	for _, p := range []Protocol{Protocol1, Protocol2} {
		for _, shards := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s in %d", p, shards), func(b *testing.B) {
				r := newRig(b, memnet.NewNetwork(), func(c *Config, _ *sinks.Env) { c.Protocol, c.Connections = p, shards })
				f, at := fleet(), time.Now()
				write := func() {
					at = at.Add(time.Second)
					for i := range f.Series {
						f.Series[i].Value++
					}
					if err := r.sink.Write(b.Context(), metric.Batch{Job: "api", Time: at.Add(-time.Hour), Families: []metric.Family{f}}); err != nil {
						b.Fatal(err)
					}
				}
				write()
				b.ReportAllocs()
				for b.Loop() {
					write()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/30000, "ns/sample")
				p := r.stats.Pending()
				b.ReportMetric(float64(p.Bytes)/float64(p.Samples), "queued-bytes/sample")
			})
		}
	}
}

// TestQueuedRequestsAreNotOverwritten checks that a queued request is not overwritten by the next batch.
func TestQueuedRequestsAreNotOverwritten(t *testing.T) {
	r := newRig(t, memnet.NewNetwork(), nil)
	r.write("j", gauge("x", 1, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	first, _ := r.sink.queue.Load().Next(ctx, 0, spool.OldestFirst)
	was := bytes.Clone(first.Payload)
	r.write("j", gauge("x", 2, "b"))
	if !bytes.Equal(first.Payload, was) {
		t.Error("the memory of a waiting request was used again")
	}
}
