//go:build unix

package agent_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/scrape"
)

// recordsPage returns the page that an exporter of the same samples shows at its n-th scrape.
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

// BenchmarkScrape measures the CPU time from a scrape of 30,000 series to an acknowledged remote-write over loopback. The exporter and the
// receiver are in the same process, so the figure includes them. The exporter's pages are made in advance, and the receiver discards what
// it gets. The benchmark also reports the memory that is kept for each series, not counting the pages.
func BenchmarkScrape(b *testing.B) {
	s := newBench(b)
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
	heap = heapInUse() - heap
	before := cpuTime(b)
	for b.Loop() {
		tick()
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/samples, "CPU-ns/sample")
	b.ReportMetric(float64(heap)/samples, "heap-B/series")
}

// heapInUse returns the size of the reachable objects on this process' heap, in bytes.
func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // frees what pools have kept over the first collection
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpuTime returns the CPU time that this process has used so far.
func cpuTime(b testing.TB) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
