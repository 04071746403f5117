package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	"github.com/valyala/fastjson"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/jq"
	fetch "github.com/collectington/collectington/sources/fetch/http"
)

// The workload: the number of records, of about 300 bytes each, and the number of samples, three for each record.
const (
	records = 10_000
	samples = 3 * records
)

// recordsDoc returns the document with which the API answers the n-th request.
func recordsDoc(n int) []byte {
	b := []byte(`{"generated_at":"2026-03-01T12:00:00Z","data":[`)
	for i := range records {
		if i > 0 {
			b = append(b, ',')
		}
		id := fmt.Sprintf("rec-%06d", i)
		b = fmt.Appendf(b, `{"id":"%s","team":{"name":"team-%02d","region":"eu-west-%d"},"stack":"%s","open":%d,"resolved":%d,"latency_seconds":%d.%06d,`,
			id, i%50, i%6, []string{"prd", "sbx", "dev"}[i%3], (i*7+n)%500, i+n*7, n%3, (i*7919+n)%1000000)
		b = fmt.Appendf(b, `"extra":{"title":"Service check number %d","owner":"heidi","link":"https://tracker.example.test/%s","trace":"%016x","note":"none"}}`, i, id, i*7919)
	}
	return append(b, "]}\n"...)
}

const recordsRules = `
records_open: {type: gauge, items: ".data[]", value: .open, labels: {id: .id, team: .team.name, region: .team.region, stack: .stack}}
records_resolved: {type: gauge, items: ".data[]", value: .resolved, labels: {id: .id, team: .team.name, region: .team.region, stack: .stack}}
records_latency_seconds: {type: gauge, items: ".data[]", value: .latency_seconds, labels: {id: .id, team: .team.name, region: .team.region, stack: .stack}}
`

// bench has everything that the stages of a tick need.
type bench struct {
	docs    [][]byte
	request []byte // an encoded request with all samples, not compressed: the function bare compresses it
	host    *httpclient.Host
	fetcher sources.Fetcher
	source  sources.Source
	ready   *ready
	ledger  *ledger.Ledger
	sink    sinks.Sink
	stats   *sinks.Stats
}

// ready is a fetcher that returns a document without fetching it.
type ready struct{ doc *sources.Document }

func (r *ready) Fetch(context.Context, sources.Tick, sources.Request) (*sources.Document, error) {
	return r.doc, nil
}

func newBench(b *testing.B) *bench {
	s := &bench{ready: &ready{}, ledger: ledger.New(ledger.For(time.Hour), samples), stats: &sinks.Stats{}}
	for n := range 4 {
		s.docs = append(s.docs, recordsDoc(n))
	}
	calls := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/records", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		doc := s.docs[calls%len(s.docs)]
		calls++
		w.Header().Set("Content-Length", strconv.Itoa(len(doc)))
		_, _ = w.Write(doc)
	})
	mux.HandleFunc("/write", func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 64<<10)
		for {
			if _, err := r.Body.Read(buf); err != nil {
				break
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	s.host = &httpclient.Host{Secrets: &setting.SecretStore{}, UserAgent: "bench"}
	s.fetcher = configured(b, fetch.Kind.Defaults(), "url: "+server.URL+"/records\n", func(c sources.Config[sources.Fetcher]) (sources.Fetcher, error) {
		return c.New(sources.Env{Web: s.host})
	})
	s.source = configured(b, jq.Kind.Defaults(), recordsRules, func(c sources.Config[sources.Source]) (sources.Source, error) {
		return c.New(sources.Env{Fetch: s.ready})
	})
	s.sink = configured(b, remotewrite.Kind.Defaults(), "url: "+server.URL+"/write\nprotocol: \"1.0\"\n", func(c sinks.Config) (sinks.Sink, error) {
		return c.New(sinks.Env{Name: "rw", Log: slog.New(slog.DiscardHandler), Web: s.host, Stats: s.stats, Instance: "host", Drain: time.Second})
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.sink.(sinks.Runner).Run(ctx) }()
	b.Cleanup(func() { cancel(); <-ended })
	return s
}

func configured[C interface{ Validate() error }, T any](b *testing.B, c C, text string, make func(C) (T, error)) T {
	b.Helper()
	if err := yaml.Load([]byte(text), c, yaml.WithKnownFields()); err != nil {
		b.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		b.Fatal(err)
	}
	made, err := make(c)
	if err != nil {
		b.Fatal(err)
	}
	return made
}

// bare does the work that no program can avoid: it parses the document once, and compresses the encoded request once.
func (s *bench) bare(n int, p *fastjson.Parser, out []byte) []byte {
	if _, err := p.ParseBytes(s.docs[n%len(s.docs)]); err != nil {
		panic(err)
	}
	return snappy.Encode(out[:cap(out)], s.request)
}

func (s *bench) encodeRequest(families []metric.Family) {
	req := prompb.WriteRequest{}
	for _, f := range families {
		for _, x := range f.Series {
			labels := []prompb.Label{{Name: "__name__", Value: f.Desc.Name}}
			for _, l := range sinks.Attach(nil, x.Labels.Append(nil), []metric.Label{{Name: "job", Value: "bench"}, {Name: "instance", Value: "host"}}, nil) {
				labels = append(labels, prompb.Label{Name: l.Name, Value: l.Value})
			}
			req.Timeseries = append(req.Timeseries, prompb.TimeSeries{Labels: labels, Samples: []prompb.Sample{{Value: x.Value, Timestamp: 1772366400000}}})
		}
	}
	var err error
	if s.request, err = req.Marshal(); err != nil {
		panic(err)
	}
}

// stage is the time and memory that one stage of the ticks has taken.
type stage struct {
	name  string
	took  time.Duration
	bytes uint64
}

func (s *stage) measure(f func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	f()
	s.took += time.Since(begin)
	runtime.ReadMemStats(&after)
	s.bytes += after.TotalAlloc - before.TotalAlloc
}

// BenchmarkTick measures one tick that turns 10,000 records into 30,000 samples and delivers them by remote-write over loopback. Each round
// does the work of the function bare and then every stage, so that the ratio of the two does not depend on how the machine's speed drifts.
// The receiver is in the same process, so the figures include its cost of reading and discarding.
func BenchmarkTick(b *testing.B) {
	s := newBench(b)
	stages := []*stage{{name: "bare"}, {name: "fetch+decode"}, {name: "rules"}, {name: "ledger"}, {name: "encode+send"}}
	var parser fastjson.Parser
	var out []byte
	at := time.Now().Add(-time.Duration(b.N) * time.Second)
	round := func(n int, measure bool) {
		run := func(i int, f func()) {
			if measure {
				stages[i].measure(f)
			} else {
				f()
			}
		}
		at = at.Add(time.Second)
		tick := sources.Tick{Time: at}
		var readings metric.Readings
		var result *ledger.Result
		check := func(err error) {
			if err != nil {
				b.Fatal(err)
			}
		}
		if s.request != nil {
			run(0, func() { out = s.bare(n, &parser, out) })
		}
		run(1, func() {
			var err error
			s.ready.doc, err = s.fetcher.Fetch(b.Context(), tick, sources.Request{})
			check(err)
		})
		run(2, func() { var err error; readings, err = s.source.Collect(b.Context(), tick); check(err) })
		run(3, func() { var err error; result, err = s.ledger.Apply(at, readings); check(err) })
		run(4, func() {
			want := s.stats.Sent.Load() + samples
			check(s.sink.Write(b.Context(), metric.Batch{Job: "bench", Time: at, Families: result.Families}))
			for s.stats.Sent.Load() < want {
				time.Sleep(100 * time.Microsecond)
			}
		})
		if s.request == nil {
			s.encodeRequest(result.Families)
			out = make([]byte, snappy.MaxEncodedLen(len(s.request)))
		}
	}
	for n := range 3 {
		round(n, false)
	}
	n := 0
	for b.Loop() {
		round(n, true)
		n++
	}
	bare, whole := stages[0].took, time.Duration(0)
	for _, st := range stages {
		if st.name != "bare" {
			whole += st.took
		}
		b.ReportMetric(float64(st.took.Nanoseconds())/float64(n)/samples, st.name+"-ns/sample")
		b.ReportMetric(float64(st.bytes)/float64(n)/samples, st.name+"-B/sample")
		b.ReportMetric(float64(st.took)/float64(bare), st.name+"-x-bare")
	}
	b.ReportMetric(float64(whole)/float64(bare), "whole-x-bare")
	b.ReportMetric(0, "ns/op")
}
