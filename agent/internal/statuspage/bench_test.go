package statuspage

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// fleet returns an agent with the given number of jobs, and the given number of series in all of them together. The jobs have
// run 60 times. Every tenth job fails.
func fleet(jobs, series int) (*stage, *Page, http.Handler) {
	s := &stage{latest: map[string]metric.Batch{}}
	store := &setting.SecretStore{}
	for i := range 20 {
		store.Remember(fmt.Sprintf("secret-value-%d", i))
	}
	p, h := s.open(sinks.Machine, func(o *Options) { o.Scrub = store.Scrub })
	for i := range jobs {
		name := fmt.Sprintf("team-%02d-service-%03d", i%17, i)
		j := s.addJob(name)
		failed := i%10 == 0
		if failed {
			j.Up, j.Error = false, "GET https://api.example.com/v1/metrics: 503 Service Unavailable: upstream connect error or disconnect"
		}
		s.latest[name] = batchOf(name, series/jobs)
		fill(p.History, name, failed)
	}
	for i := range 3 {
		s.addSink(fmt.Sprint("sink-", i))
	}
	for range maxSamples {
		p.History.sample(s.state)
	}
	return s, p, h
}

func batchOf(job string, series int) metric.Batch {
	d := &metric.Desc{Name: "http_requests", Type: metric.Gauge, LabelNames: []string{"host", "path"}}
	f := metric.Family{Desc: d}
	for k := range series {
		f.Series = append(f.Series, metric.Series{Labels: d.LabelSet([]string{fmt.Sprintf("host-%05d.example.com", k), "/api/v1/items"}), Value: float64(k)})
	}
	return metric.Batch{Job: job, Families: []metric.Family{f}}
}

// fill records sixty runs of a job, with one request each.
func fill(h *History, job string, failed bool) {
	for i := range maxRuns {
		e := run.Ended{Job: job, Start: time.Now(), Took: time.Duration(100+i*7%50) * time.Millisecond, Result: run.Succeeded, Readings: 200, Series: 200}
		if failed && i > 40 {
			e.Result, e.Error = run.Failed, fmt.Sprintf("GET https://api.example.com/v1/metrics: 503 Service Unavailable: request %d", i)
		}
		h.Ran(e)
		h.JobRequested(job, httpclient.Exchange{Method: "GET", URL: "https://api.example.com/v1/metrics?limit=100&service=" + job, Code: 200, Bytes: 5000})
	}
}

// watch makes a page show as many series as it can, with an hour of values.
func watch(p *Page, s *stage) {
	var selector config.Selector
	_ = selector.UnmarshalText([]byte("http_requests")) // cannot fail: the selector is valid
	p.History.Watch([]config.Selector{selector})
	name := s.plan.Jobs[0].Name
	for i := range maxPoints {
		b := batchOf(name, 200)
		for k := range b.Families[0].Series {
			b.Families[0].Series[k].Value = float64(i * i * 7919 % 1000)
		}
		if i > 0 {
			for k := range b.Families[0].Series { // the same series as before
				b.Families[0].Series[k].Labels = s.latest[name].Families[0].Series[k].Labels
			}
		}
		s.latest[name] = b
		p.History.Ran(run.Ended{Job: name, Start: time.Now().Add(time.Duration(i-maxPoints) * pointEvery), Result: run.Succeeded, Families: b.Families})
	}
}

// TestSize checks the sizes of pages, and the memory that the history takes, with 500 jobs, 100,000 series, and 20 series that
// are watched.
func TestSize(t *testing.T) {
	if testing.Short() {
		t.Skip("measures memory")
	}
	s, p, h := fleet(500, 100_000)
	watch(p, s)
	for path, most := range map[string]int{"/": 300 << 10, "/api/v1/status": 2 << 20, "/jobs/" + s.plan.Jobs[0].Name: 100 << 10} {
		w := ask(h, "GET", path)
		if n := w.Body.Len(); w.Code != 200 || n > most {
			t.Errorf("%s: %d with %d bytes, want at most %d", path, w.Code, n, most)
		} else {
			t.Logf("%s: %d bytes", path, n)
		}
	}
	before := heap()
	history := NewHistory()
	for i := range s.plan.Jobs {
		fill(history, s.plan.Jobs[i].Name, i%10 == 0)
	}
	kept := heap() - before
	t.Logf("the history of 500 jobs keeps %d bytes", kept)
	if kept > 3<<20 {
		t.Errorf("the history of 500 jobs keeps %d bytes, want at most %d", kept, 3<<20)
	}
	runtime.KeepAlive([]any{history, s, p, h})
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkPages measures requests of each page. One agent has 500 jobs with 100,000 series together, the other has one job
// with 100,000 series.
func BenchmarkPages(b *testing.B) {
	s, p, h := fleet(500, 100_000)
	big, bigPage, bigHandler := fleet(1, 100_000)
	name := big.plan.Jobs[0].Name
	// Half of the values have changed since the previous run. The first series was not in that run, so all others have another
	// index now.
	now := batchOf(name, 100_000).Families[0]
	before := now
	before.Series = append([]metric.Series{}, now.Series[1:]...)
	for i := range before.Series {
		before.Series[i].Value -= float64(i * 7919 % 1000 * (i % 2))
	}
	big.latest[name] = metric.Batch{Job: name, Families: []metric.Family{now}}
	for _, families := range [][]metric.Family{{before}, {now}} {
		bigPage.History.look(name)
		bigPage.History.Ran(run.Ended{Job: name, Start: time.Now(), Result: run.Succeeded, Families: families})
	}
	for _, c := range []struct {
		name, path string
		p          *Page
		h          http.Handler
	}{
		{"overview of 500 jobs", "/", p, h},
		{"job of 200 series", "/jobs/" + s.plan.Jobs[0].Name, p, h},
		{"job of 100000 series", "/jobs/" + name, bigPage, bigHandler},
		{"job of 100000 series, searched", "/jobs/" + name + "?q=host-0999+items", bigPage, bigHandler},
		{"job of 100000 series, searched in vain", "/jobs/" + name + "?q=host-x", bigPage, bigHandler},
		{"job of 100000 series, by value", "/jobs/" + name + "?sort=-value", bigPage, bigHandler},
		{"job of 100000 series, by change", "/jobs/" + name + "?sort=-change", bigPage, bigHandler},
		{"status as JSON", "/api/v1/status", p, h},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.p.latest = nil // as if the last request were long ago
				if w := ask(c.h, "GET", c.path); w.Code != 200 {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

// BenchmarkRun measures what the history does at the end of a run of a job with 100,000 series, with and without a client that
// views the page of the job.
func BenchmarkRun(b *testing.B) {
	batch := batchOf("j", 100_000)
	for _, looked := range []bool{false, true} {
		b.Run(fmt.Sprintf("looked=%t", looked), func(b *testing.B) {
			b.ReportAllocs()
			h := NewHistory()
			if looked {
				h.look("j")
				h.Ran(run.Ended{Job: "j", Start: time.Now(), Result: run.Succeeded, Families: batch.Families})
				h.seriesOf("j", batch, seriesQuery{})
			}
			for b.Loop() {
				h.Ran(run.Ended{Job: "j", Start: time.Now(), Result: run.Succeeded, Families: batch.Families, Readings: 100_000, Series: 100_000})
			}
		})
	}
}

// steady is a source that returns the same readings in each run.
type steady struct{ readings metric.Readings }

func (s *steady) Collect(context.Context, sources.Tick) (metric.Readings, error) {
	return s.readings, nil
}

// BenchmarkShare measures what the history adds to runs of 500 jobs with 200 series each, while no client views a page.
// share-% is the time for the history as a share of the time for the runs, which fetch, compute and deliver nothing. Both are
// timed alternately.
func BenchmarkShare(b *testing.B) {
	const jobs, series = 500, 200
	d := &metric.Desc{Name: "m", Type: metric.Gauge, LabelNames: []string{"host"}}
	source := &steady{metric.Readings{{Desc: d}}}
	for i := range series {
		source.readings[0].Rows = append(source.readings[0].Rows, metric.Reading{Labels: []string{fmt.Sprintf("host-%05d.example.com", i)}, Value: float64(i)})
	}
	var workers []*run.Worker
	var names []string
	for i := range jobs {
		names = append(names, fmt.Sprint("job-", i))
		settings := config.JobSettings{Timeout: setting.Duration(time.Minute), MaxSeries: 1000, ValidFor: setting.Duration(time.Hour)}
		workers = append(workers, run.NewWorker(run.Job{Job: config.Job{Name: names[i], JobSettings: settings}, Source: source}))
	}
	h := NewHistory()
	var ticking, noting time.Duration
	at := time.Now()
	for b.Loop() {
		for i, w := range workers {
			at = at.Add(time.Millisecond)
			began := time.Now()
			result, err := w.Tick(b.Context(), sources.Tick{Time: at, End: at}, run.Steps{})
			if err != nil {
				b.Fatal(err)
			}
			ended := time.Now()
			h.JobRequested(names[i], httpclient.Exchange{Method: "GET", URL: "https://api.example.com/v1/metrics?service=" + names[i], Code: 200, Bytes: 5000})
			h.Ran(run.Ended{Job: names[i], Start: at, Result: run.Succeeded, Readings: result.Readings, Series: result.Series, Families: result.Families})
			ticking, noting = ticking+ended.Sub(began), noting+time.Since(ended)
		}
	}
	b.ReportMetric(100*noting.Seconds()/ticking.Seconds(), "share-%")
	b.ReportMetric(float64(noting.Nanoseconds())/float64(b.N)/jobs, "ns/run")
}
