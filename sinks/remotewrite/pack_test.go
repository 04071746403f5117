package remotewrite

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
)

func TestStaleIsPrometheus(t *testing.T) {
	if !value.IsStaleNaN(stale()) || value.IsStaleNaN(number(stale())) {
		t.Error("the staleness marker is not Prometheus' own")
	}
}

func TestBoundsAreWrittenAsPrometheusDoes(t *testing.T) {
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1, 0.5, 2.5, 100, 1e6, 1e21, 1e-9, 1.0 / 3, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64} {
		if got, want := bound(f), labels.FormatOpenMetricsFloat(f); got != want {
			t.Errorf("%g is written %s, want %s", f, got, want)
		}
	}
}

// A family is told once in a minute, and one that is told no more is forgotten.
func TestMetadataIsTold(t *testing.T) {
	a, b := &metric.Desc{Name: "a"}, &metric.Desc{Name: "b"}
	var m metadata
	now := time.UnixMilli(0)
	told := func(want ...bool) {
		t.Helper()
		for i, d := range []*metric.Desc{a, b, a} {
			if got := m.due(d, now); got != want[i] {
				t.Errorf("%s is due: %t, want %t", d.Name, got, want[i])
			}
		}
	}
	told(true, true, false)
	now = now.Add(metadataEvery - 1)
	told(false, false, false)
	now = now.Add(1)
	told(true, true, false)
	now = now.Add(time.Hour)
	if m.due(a, now); len(m.told) != 1 {
		t.Errorf("%d families are remembered, want the one that is still told", len(m.told))
	}
}

// fleet is a family of 30,000 series of 4 labels of their own.
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

// BenchmarkWrite30000 is a tick of 30,000 known series into compressed requests of the queue.
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

// What waits, or is still being read by the transport, is not written over by the next tick.
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
