//go:build unix

package agent_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/scrape"
	"github.com/golang/snappy"
)

// recordsPage is the page of an exporter of the same samples at its n-th scrape.
func recordsPage(n int) (page []byte) {
	for _, name := range []string{"records_open", "records_resolved", "records_latency_seconds"} {
		page = fmt.Appendf(page, "# HELP %s A field of the record.\n# TYPE %[1]s gauge\n", name)
		for i := range records {
			page = fmt.Appendf(page, "%s{id=\"rec-%06d\",team=\"team-%02d\",region=\"eu-west-%d\",stack=\"%s\"} %d\n",
				name, i, i%50, i%6, []string{"prd", "sbx", "dev"}[i%3], (i*7+n)%500)
		}
	}
	return page
}

// BenchmarkScrape is the CPU time from a scrape of 30,000 series to an acknowledged remote-write over loopback. The page,
// which is there already, and the receiver, which throws away, are in the same process and in the figure.
func BenchmarkScrape(b *testing.B) {
	s := newBench(b)
	if os.Getenv("P2") != "" {
		s.to2(b)
	}
	var pages [4][]byte
	for n := range pages {
		pages[n] = recordsPage(n)
	}
	calls := 0
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		page := pages[calls%len(pages)]
		calls++
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		_, _ = w.Write(page)
	}))
	b.Cleanup(exporter.Close)
	source := configured(b, scrape.Kind.Defaults(), "targets: ["+strconv.Quote(exporter.URL)+"]\n", func(c sources.Config[sources.Source]) (sources.Source, error) {
		return c.New(sources.Env{Job: "bench", Web: s.host})
	})
	l := ledger.New(ledger.For(time.Hour), 2*samples)
	at := time.Now().Add(-time.Hour)
	tick := func() {
		at = at.Add(time.Second)
		readings, err := source.Collect(b.Context(), sources.Tick{Time: at})
		if err != nil {
			b.Fatal(err)
		}
		result, err := l.Apply(at, readings)
		if err != nil {
			b.Fatal(err)
		}
		want := s.stats.Sent.Load()
		for _, f := range result.Families {
			want += int64(len(f.Series))
		}
		if err := s.sink.Write(b.Context(), metric.Batch{Job: "bench", Time: at, Families: result.Families}); err != nil {
			b.Fatal(err)
		}
		for s.stats.Sent.Load() < want {
			time.Sleep(100 * time.Microsecond)
		}
	}
	heap := heapInUse()
	for range 3 {
		tick()
	}
	b.ReportMetric(float64(heapInUse()-heap)/samples, "heap-B/series")
	if f := os.Getenv("HEAPOUT"); f != "" {
		o, _ := os.Create(f)
		_ = pprof.Lookup("heap").WriteTo(o, 0)
		o.Close()
	}
	before := cpuTime(b)
	for b.Loop() {
		tick()
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/samples, "CPU-ns/sample")
}

func (s *bench) to2(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		raw, _ := snappy.Decode(nil, body)
		q, err := wire.Decode(wire.V2, raw)
		if err != nil {
			panic(err)
		}
		w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(q.Counts.Samples))
		w.WriteHeader(204)
	}))
	b.Cleanup(server.Close)
	s.sink = configured(b, remotewrite.Kind.Defaults(), "url: "+server.URL+"/write\n", func(c sinks.Config) (sinks.Sink, error) {
		return c.New(sinks.Env{Name: "rw", Log: slog.New(slog.DiscardHandler), Web: s.host, Stats: s.stats, Instance: "host", Drain: time.Second})
	})
	go func() { s.sink.(sinks.Runner).Run(b.Context()) }()
}

// heapInUse is what is reachable now, in bytes.
func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers have let go
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpuTime is what this process has used so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
