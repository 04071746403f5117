package run

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
)

// BenchmarkJournal measures what it costs to have a run's state on disk before it is delivered: the ledger's part of it (record),
// and all of it with the sync (durable). It reports the bytes that go to disk for a run, and a day of one run each 15 s.
func BenchmarkJournal(b *testing.B) {
	for _, c := range []struct {
		name string
		desc *metric.Desc
		rows func(run int) []metric.Reading
	}{
		{
			"10000 events remembered, 50 new",
			&metric.Desc{Name: "e_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: 24 * time.Hour, MaxEvents: 10_000},
			func(run int) (rows []metric.Reading) {
				for i := range 9_950 {
					rows = append(rows, metric.Reading{Value: 1, Event: fmt.Sprintf("incident-%09d", 50*run+i)})
				}
				return rows
			},
		},
		{
			"30000 series that all change",
			&metric.Desc{Name: "i_total", Type: metric.Counter, From: metric.Increment, LabelNames: []string{"host", "disk"}},
			func(int) (rows []metric.Reading) {
				for i := range 30_000 {
					rows = append(rows, metric.Reading{Value: 3, Labels: []string{fmt.Sprintf("host-%05d.example.com", i/4), fmt.Sprintf("sd%d", i%4)}})
				}
				return rows
			},
		},
		{
			"one series",
			&metric.Desc{Name: "i_total", Type: metric.Counter, From: metric.Increment},
			func(int) []metric.Reading { return []metric.Reading{{Value: 3}} },
		},
	} {
		for _, durable := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/durable=%t", c.name, durable), func(b *testing.B) { benchJournal(b, c.desc, c.rows, durable) })
		}
	}
}

func benchJournal(b *testing.B, desc *metric.Desc, rows func(int) []metric.Reading, durable bool) {
	file, _, err := state.Open(b.Context(), filepath.Join(b.TempDir(), "state"), state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	l := ledger.New(ledger.For(time.Hour), 1<<20)
	l.Journal(false)
	at, bytes, spent := time.Now(), 0, time.Duration(0)
	for run := range 1 + b.N {
		readings := metric.Readings{{Desc: desc, Rows: rows(run)}}
		at = at.Add(15 * time.Second)
		if _, err := l.Apply(at, readings); err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		record := l.Changes(false)
		if durable {
			<-file.Append("job", record).Done()
		}
		if run > 0 { // the first one has the whole state
			spent += time.Since(begin)
			bytes += len(record)
		}
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "ns/run")
	b.ReportMetric(float64(bytes)/float64(b.N), "bytes/run")
	b.ReportMetric(float64(bytes)/float64(b.N)*24*60*4/1e6, "MB/day")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkJournalTogether measures 100 jobs that append at the same time, as often as they can: how many runs share a sync.
func BenchmarkJournalTogether(b *testing.B) {
	file, _, err := state.Open(b.Context(), filepath.Join(b.TempDir(), "state"), state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	record := make([]byte, 60)
	for b.Loop() {
		var writes []*state.Write
		for job := range 100 {
			writes = append(writes, file.Append(fmt.Sprint("job", job), record))
		}
		for _, w := range writes {
			<-w.Done()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/run")
}
