package ledger

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// BenchmarkApply30000 applies ticks of 3 gauges with 10,000 series of 4 labels each: "same" in the order of the last tick, as
// from most upstreams, "shuffled" in another order, and "churn" with 100 series replaced per tick.
func BenchmarkApply30000(b *testing.B) {
	const metrics, series = 3, 10_000
	row := func(s int) metric.Reading {
		return metric.Reading{Value: float64(s), Labels: []string{
			fmt.Sprintf("node-%d.example.com", s%500), fmt.Sprintf("/api/v1/resource/%d", s), []string{"GET", "PUT"}[s%2], "200",
		}}
	}
	for name, order := range map[string]func(tick, i int) int{
		"same":     func(_, i int) int { return i },
		"shuffled": func(tick, i int) int { return (i*7 + tick) % series },
		"churn":    func(tick, i int) int { return i + tick*100 },
	} {
		b.Run(name, func(b *testing.B) {
			// The rows are for 1,000 ticks of churn and are then used again.
			rows := make([]metric.Reading, series+100*1000)
			for s := range rows {
				rows[s] = row(s)
			}
			readings := make(metric.Readings, metrics)
			for m := range readings {
				readings[m].Desc = &metric.Desc{Name: fmt.Sprintf("m%d", m), Type: metric.Gauge, LabelNames: []string{"node", "path", "method", "code"}}
			}
			l := New(For(time.Minute), 1_000_000)
			at := time.Unix(1_700_000_000, 0)
			for tick := -1; tick < b.N; tick++ {
				if tick == 0 {
					b.ResetTimer()
					b.ReportAllocs()
				}
				b.StopTimer()
				for m := range readings {
					readings[m].Rows = readings[m].Rows[:0]
					for i := range series {
						readings[m].Rows = append(readings[m].Rows, rows[order((tick+1)%1000, i)])
					}
				}
				b.StartTimer()
				at = at.Add(time.Second)
				if _, err := l.Apply(at, readings); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*metrics*series), "ns/reading")
		})
	}
}

// BenchmarkRecords saves and loads a job of 100,000 series and one of 1,000,000 event ids.
func BenchmarkRecords(b *testing.B) {
	series := &metric.Desc{Name: "gauge", Type: metric.Gauge, LabelNames: []string{"host", "disk"}}
	events := &metric.Desc{Name: "m_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Hour, MaxEvents: 1 << 20}
	for _, c := range []struct {
		d *metric.Desc
		n int
	}{{series, 100_000}, {events, 1_000_000}} {
		rows := make([]metric.Reading, c.n)
		for i := range rows {
			rows[i] = metric.Reading{Value: float64(i), Event: fmt.Sprintf("incident-%09d", i)}
			if c.d == series {
				rows[i].Labels = []string{fmt.Sprintf("host-%05d.example.com", i/4), fmt.Sprintf("sd%d", i%4)}
			}
		}
		l := New(For(time.Hour), 1<<20)
		l.Journal(false)
		if _, err := l.Apply(epoch(), metric.Readings{{Desc: c.d, Rows: rows}}); err != nil {
			b.Fatal(err)
		}
		record := l.Changes(true)
		b.Run(fmt.Sprint("save ", c.d.Name, c.n), func(b *testing.B) {
			for b.Loop() {
				l.journal.based = false
				l.Changes(true)
			}
			b.ReportMetric(float64(len(record)), "bytes")
		})
		b.Run(fmt.Sprint("load ", c.d.Name, c.n), func(b *testing.B) {
			for b.Loop() {
				if err := New(For(time.Hour), 1<<20).Restore(record); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMemory reports the memory per series of a ledger with its last batch: 10 metrics of 20,000 series each, with the
// same labels in all metrics, with different labels, and all of them in one metric.
func BenchmarkMemory(b *testing.B) {
	const metrics, series = 10, 20_000
	for _, c := range []struct {
		name    string
		metrics int
		host    string
	}{{"shared", metrics, "host"}, {"apart", metrics, "host-%d"}, {"one metric", 1, "host"}} {
		b.Run(c.name, func(b *testing.B) {
			var readings metric.Readings
			for m := range c.metrics {
				d := &metric.Desc{Name: fmt.Sprintf("m%d", m), Type: metric.Gauge, LabelNames: []string{"host", "path", "method", "code"}}
				host := c.host
				if strings.Contains(host, "%d") {
					host = fmt.Sprintf(host, m)
				}
				rows := make([]metric.Reading, metrics*series/c.metrics)
				for i := range rows {
					rows[i] = metric.Reading{Labels: []string{fmt.Sprintf("%s-%d.example.com", host, i%500), fmt.Sprintf("/api/v1/resource/%d", i), "GET", "200"}}
				}
				readings = append(readings, metric.Measured{Desc: d, Rows: rows})
			}
			for b.Loop() {
				before := heap()
				l := New(For(time.Minute), 1<<20)
				var r *Result
				for tick := range 2 + maxIdle {
					r, _ = l.Apply(epoch().Add(time.Duration(tick)*time.Minute), readings)
				}
				b.ReportMetric(float64(heap()-before)/(metrics*series), "B/series")
				runtime.KeepAlive(l)
				runtime.KeepAlive(r)
			}
		})
	}
}

// heap returns the bytes of reachable memory.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
