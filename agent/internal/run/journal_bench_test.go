package run

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
)

// BenchmarkJournal measures what it costs to have the state of a run on disk before the run is delivered. The part "record" is the work
// of the ledger. The part "durable" is everything, including the sync. The benchmark reports the bytes that go to disk for one run, and
// for a day with one run each 15 s.
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
	at, bytes, spent, cpu, written := time.Now(), 0, time.Duration(0), time.Duration(0), int64(0)
	for run := range 1 + b.N {
		readings := metric.Readings{{Desc: desc, Rows: rows(run)}}
		at = at.Add(15 * time.Second)
		if _, err := l.Apply(at, readings); err != nil {
			b.Fatal(err)
		}
		begin, used := time.Now(), cpuTime(b)
		record := l.Changes(false)
		if durable {
			<-file.Append("job", record).Done()
		}
		if run > 0 { // the first one has the whole state
			spent += time.Since(begin)
			cpu += cpuTime(b) - used
			bytes += len(record)
		} else {
			written = file.Status().Bytes
		}
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "ns/run")
	b.ReportMetric(float64(bytes)/float64(b.N), "bytes/run")
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "CPU-ns/run")
	if durable { // with what compaction writes again
		bytes = int(file.Status().Bytes - written)
	}
	b.ReportMetric(float64(bytes)/float64(b.N)*24*60*4/1e6, "MB/day")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkJournalTogether measures 100 jobs that append at the same time, as often as they can. It shows how many runs share a sync.
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

// cpuTime returns the CPU time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkJournalOfGauges measures what a state file costs a job that needs none: 30,000 gauges are applied alternately to a ledger with
// a journal and to one without.
func BenchmarkJournalOfGauges(b *testing.B) {
	desc := &metric.Desc{Name: "g", Type: metric.Gauge, LabelNames: []string{"host", "disk"}}
	rows := make([]metric.Reading, 30_000)
	for i := range rows {
		rows[i].Labels = []string{fmt.Sprintf("host-%05d.example.com", i/4), fmt.Sprintf("sd%d", i%4)}
	}
	ledgers := [2]*ledger.Ledger{ledger.New(ledger.For(time.Hour), 1<<20), ledger.New(ledger.For(time.Hour), 1<<20)}
	ledgers[1].Journal(false)
	var spent [2]time.Duration
	at := time.Now()
	for run := range 1 + b.N {
		for i := range rows {
			rows[i].Value = float64(run + i)
		}
		at = at.Add(15 * time.Second)
		for i, l := range ledgers {
			before := cpuTime(b)
			if _, err := l.Apply(at, metric.Readings{{Desc: desc, Rows: rows}}); err != nil {
				b.Fatal(err)
			}
			if i == 1 && l.Keeps() {
				b.Fatal("a gauge waits for the disk")
			}
			if run > 0 {
				spent[i] += cpuTime(b) - before
			}
		}
	}
	b.ReportMetric(spent[0].Seconds()*1e9/float64(b.N)/30_000, "CPU-ns/reading-without")
	b.ReportMetric(spent[1].Seconds()/spent[0].Seconds(), "ratio")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRecovery measures how long it takes to open a state file with a million events in it and to load them.
func BenchmarkRecovery(b *testing.B) {
	desc := &metric.Desc{Name: "e_total", Type: metric.Counter, From: metric.Events, Once: true, Remember: 24 * time.Hour, MaxEvents: 1_000_000}
	path, at := filepath.Join(b.TempDir(), "state"), time.Now()
	options := state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)}
	file, _, err := state.Open(b.Context(), path, options)
	if err != nil {
		b.Fatal(err)
	}
	l := ledger.New(ledger.For(time.Hour), 1<<20)
	l.Journal(false)
	for run := range 100 {
		var rows []metric.Reading
		for i := range 10_000 {
			rows = append(rows, metric.Reading{Value: 1, Event: fmt.Sprintf("incident-%09d", 10_000*run+i)})
		}
		if _, err := l.Apply(at.Add(time.Duration(run)*time.Second), metric.Readings{{Desc: desc, Rows: rows}}); err != nil {
			b.Fatal(err)
		}
		saved := Saved{LastSuccess: at}
		<-file.Append("job", append(saved.header(nil), l.Changes(false)...)).Done()
	}
	file.Close()
	before := cpuTime(b)
	for b.Loop() {
		file, _, err := state.Open(b.Context(), path, options)
		if err != nil {
			b.Fatal(err)
		}
		records, err := file.Records("job")
		if err != nil {
			b.Fatal(err)
		}
		saved, err := ReadSaved(records)
		if err != nil {
			b.Fatal(err)
		}
		if err := ledger.New(ledger.For(time.Hour), 1<<20).Restore(saved.records...); err != nil {
			b.Fatal(err)
		}
		file.Close()
	}
	b.ReportMetric((cpuTime(b)-before).Seconds()/float64(b.N), "CPU-s/recovery")
}
