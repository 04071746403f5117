package encode

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// records returns a batch of three metrics of n records.
func records(n int, typ metric.Type, names []string, labels func(i int) []string, value func(i, k int) float64) *metric.Batch {
	b := &metric.Batch{Job: "api", Time: time.UnixMilli(1.7e12)}
	for k, name := range []string{"records_open", "records_resolved", "records_latency_seconds"} {
		f := metric.Family{Desc: &metric.Desc{Name: name, Help: "A field of the record.", Type: typ, LabelNames: names}}
		for i := range n {
			f.Series = append(f.Series, metric.Series{Labels: f.Desc.LabelSet(labels(i)), Value: value(i, k), Start: 1.6e12})
		}
		b.Families = append(b.Families, f)
	}
	return b
}

// services returns the labels of record i. There are few different stacks, regions and teams, but each record has an ID of its own.
func services(i int) []string {
	regions := []string{"eu-west-1", "eu-north-1", "us-east-1", "us-west-2", "ap-south-1", "sa-east-1"}
	return []string{
		fmt.Sprintf("rec-%06d", i), regions[i/50%len(regions)], []string{"prd", "sbx", "dev"}[i%3], fmt.Sprintf("team-%02d", i%50),
	}
}

// TestOrder checks which order is found for the series of a job, and how many bytes a sample takes in this order.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	inRecords := []string{"id", "region", "stack", "team"}
	integers := func(i, k int) float64 { return float64(i*10 + k) }
	for name, c := range map[string]struct {
		protocol wire.Protocol
		batch    *metric.Batch
		want     []string
		bytes    float64 // a sample
	}{
		"gauges of records": {
			wire.V2, records(10_000, metric.Gauge, inRecords, services, func(i, k int) float64 {
				return []float64{float64(r.IntN(500)), float64(i%997 + r.IntN(7)), float64(r.IntN(3_000_000)) / 1e6}[k]
			}),
			[]string{"instance", "job", "stack", "region", "team", "id", "__name__"},
			12,
		},
		"gauges of records in 1.0": {
			wire.V1, records(10_000, metric.Gauge, inRecords, services, func(i, k int) float64 {
				return []float64{float64(r.IntN(500)), float64(i%997 + r.IntN(7)), float64(r.IntN(3_000_000)) / 1e6}[k]
			}),
			[]string{"instance", "job", "stack", "region", "team", "id", "__name__"},
			15.5,
		},
		"counters of records": {
			wire.V2, records(10_000, metric.Counter, inRecords, services, integers),
			[]string{"instance", "job", "stack", "region", "team", "id", "__name__"},
			11.5,
		},
		"counters of records in 1.0": {
			wire.V1, records(10_000, metric.Counter, inRecords, services, integers),
			[]string{"__name__", "instance", "job", "stack", "region", "team", "id"},
			14,
		},
		"counters of hosts": {
			wire.V2, records(10_000, metric.Counter, []string{"env", "host", "team"}, func(i int) []string {
				return []string{[]string{"prod", "test"}[i/100%2], fmt.Sprintf("web-%03d.example.com", i%100), fmt.Sprintf("team-%02d", i/100)}
			}, func(i, k int) float64 { return float64(r.IntN(1000)) }),
			[]string{"instance", "job", "env", "host", "team", "__name__"},
			8.6,
		},
		"no labels": {
			wire.V2, records(1, metric.Gauge, nil, func(int) []string { return nil }, integers),
			[]string{"instance", "job", "__name__"},
			80,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, f := newTestEncoder(), Format{Protocol: c.protocol, MaxBytes: 1 << 30}
			e.Encode(c.batch, false, f)
			if got := e.jobs["api"].order; !slices.Equal(got, c.want) {
				t.Errorf("the order is %v, want %v", got, c.want)
			}
			c.batch.Time = c.batch.Time.Add(time.Minute)
			size, samples := 0, 0
			for _, record := range e.Encode(c.batch, false, f) {
				size += len(record.Payload)
				samples += record.Samples
			}
			if samples != c.batch.Samples() {
				t.Errorf("%d samples are sent, want %d", samples, c.batch.Samples())
			}
			if got := float64(size) / float64(samples); got > c.bytes {
				t.Errorf("%.2f bytes a sample, want at most %g", got, c.bytes)
			} else {
				t.Logf("%.2f bytes a sample in layout %d", got, e.jobs["api"].layout)
			}
		})
	}
}

func newTestEncoder() *Encoder {
	return New(Options{
		Target: func(job string) []metric.Label {
			return []metric.Label{{Name: "instance", Value: "host"}, {Name: "job", Value: job}}
		},
		Shards: 1, MaxSamples: 5000, Dropped: func(metric.Reason, int) {},
	}, time.UnixMilli(1e12))
}

// TestOrderIsFoundAgain checks that the best order is searched again when the job has more than twice as many series as before, or when the
// protocol has changed.
func TestOrderIsFoundAgain(t *testing.T) {
	e, f := newTestEncoder(), Format{Protocol: wire.V2, MaxBytes: 1 << 30}
	at := time.UnixMilli(1.7e12)
	encode := func(n int, isTried bool) {
		t.Helper()
		at = at.Add(time.Minute)
		b := records(n, metric.Gauge, []string{"a", "b"}, func(i int) []string { return []string{fmt.Sprint(i), fmt.Sprint(i / 9)} },
			func(i, k int) float64 { return float64(i) })
		b.Time = at
		e.Encode(b, false, f)
		if got := len(e.jobs["api"].order) > 1; got != isTried {
			t.Errorf("with %d records the order is tried: %t, want %t", n, got, isTried)
		}
		e.jobs["api"].order = order{"a"}
	}
	encode(9, true)
	encode(18, false)
	encode(19, true)
	f.Protocol = wire.V1
	encode(18, true)
}
