package remotewrite

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/deliver"
)

// recorder is a receiver that keeps requests as Prometheus' types.
type recorder struct {
	fakeReceiver
	mu     sync.Mutex
	ones   []prompb.WriteRequest
	twos   []writev2.Request
	times  []time.Time
	header []http.Header
	method []string
}

func (p *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	packed, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(packed))
	if body, err := snappy.Decode(nil, packed); err == nil {
		var one prompb.WriteRequest
		var two writev2.Request
		p.mu.Lock()
		p.times, p.header, p.method = append(p.times, time.Now()), append(p.header, r.Header), append(p.method, r.Method)
		if strings.Contains(r.Header.Get("Content-Type"), "v2") {
			if proto.Unmarshal(body, &two) == nil {
				p.twos = append(p.twos, two)
			}
		} else if proto.Unmarshal(body, &one) == nil {
			p.ones = append(p.ones, one)
		}
		p.mu.Unlock()
	}
	p.fakeReceiver.ServeHTTP(w, r)
}

// labels returns the labels of every received series: names and values in turn.
func (p *recorder) labels() (all [][]string) {
	for _, q := range p.ones {
		for _, s := range q.Timeseries {
			var pairs []string
			for _, l := range s.Labels {
				pairs = append(pairs, l.Name, l.Value)
			}
			all = append(all, pairs)
		}
	}
	for _, q := range p.twos {
		for _, s := range q.Timeseries {
			var pairs []string
			for _, ref := range s.LabelsRefs {
				pairs = append(pairs, q.Symbols[ref])
			}
			all = append(all, pairs)
		}
	}
	return all
}

// rule is a rule of a specification for senders.
type rule struct {
	text   string
	answer func(http.ResponseWriter, request)
	check  func(t *testing.T, p *recorder)
}

func respond(code int) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, _ request) { w.WriteHeader(code) }
}

// sends returns a function that checks how many requests were sent in the ten minutes of the test.
func sends(least, most int) func(*testing.T, *recorder) {
	return func(t *testing.T, p *recorder) {
		if n := len(p.times); n < least || n > most {
			t.Errorf("%d requests, want %d to %d", n, least, most)
		}
	}
}

func header(name, want string) func(*testing.T, *recorder) {
	return func(t *testing.T, p *recorder) {
		for _, h := range p.header {
			if got := h.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	}
}

// inAll returns the rules of both versions.
func inAll() []rule {
	eachLabel := func(bad func(pairs []string, i int) bool) func(*testing.T, *recorder) {
		return func(t *testing.T, p *recorder) {
			if len(p.labels()) < 10 {
				t.Errorf("only %d series arrived", len(p.labels()))
			}
			for _, pairs := range p.labels() {
				for i := 0; i < len(pairs); i += 2 {
					if bad(pairs, i) {
						t.Errorf("%q has %q", pairs, pairs[i])
					}
				}
			}
		}
	}
	return []rule{
		{"requests are POST", nil, func(t *testing.T, p *recorder) {
			for _, m := range p.method {
				if m != http.MethodPost {
					t.Error(m)
				}
			}
		}},
		{"Content-Encoding is snappy, in block format", nil, header("Content-Encoding", "snappy")},
		{"User-Agent names the sender", nil, header("User-Agent", "cton/test")},
		{"series have their name as __name__", nil, func(t *testing.T, p *recorder) {
			for _, pairs := range p.labels() {
				if !slices.Contains(pairs, "__name__") {
					t.Errorf("%q", pairs)
				}
			}
		}},
		{"labels are sorted by name, and none is repeated", nil, eachLabel(func(pairs []string, i int) bool {
			return i > 1 && pairs[i-2] >= pairs[i]
		})},
		{"no label has an empty name or value", nil, eachLabel(func(pairs []string, i int) bool { return pairs[i] == "" || pairs[i+1] == "" })},
		{"5xx is retried", respond(503), sends(10, 100)},
		{"429 is retried, later after Retry-After", func(w http.ResponseWriter, _ request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(429)
		}, sends(4, 6)},
		{"retries back off", respond(502), func(t *testing.T, p *recorder) {
			if n := len(p.times); n > 0 && p.times[n-1].Sub(p.times[n-2]) > maxPause+time.Second {
				t.Error("a pause is too long")
			}
			early, late := 0, 0
			for _, at := range p.times {
				if at.Sub(p.times[0]) < time.Minute {
					early++
				} else if at.Sub(p.times[0]) > 9*time.Minute {
					late++
				}
			}
			if early <= late {
				t.Errorf("%d tries in the first minute, %d in the last", early, late)
			}
		}},
		{"a series' samples come in order of time, also when retried", respond(503), func(t *testing.T, p *recorder) {
			q := p.requests
			for i := range q {
				if q[i].points[0].time != q[0].points[0].time {
					t.Errorf("%v was sent while the first record was not settled", q[i].points[0])
				}
			}
		}},
	}
}

// specified checks rules with a job that has metrics of several types. During the test, one of the job's series ends, and the job's running
// totals start.
func specified(t *testing.T, protocol Protocol, rules []rule) {
	for _, c := range append(inAll(), rules...) {
		t.Run(protocol.String()+"/"+c.text, func(t *testing.T) {
			p := &recorder{fakeReceiver: fakeReceiver{answer: c.answer}}
			withReceiver(t, p, func(config *Config, env *sinks.Env) {
				config.Protocol, config.Connections = protocol, 1
				if protocol == Protocol2 {
					config.Protocol = Auto
				}
				env.External = []metric.Label{{Name: "Site", Value: "oslo"}, {Name: "zone", Value: "z"}}
			}, func(r *rig) {
				time.Sleep(time.Second)
				span := &metric.Desc{Name: "span", Type: metric.Histogram, Native: true, LabelNames: []string{"room"}}
				took := &metric.Desc{Name: "took", Type: metric.Histogram, Buckets: []float64{1}, LabelNames: []string{"room", "le"}}
				for i := range 10 {
					rooms := []string{"a", "b", ""}[i/8:]
					r.write("j", gauge("temp", float64(i), rooms...), counter("calls_total", float64(i), r.began.Add(time.Millisecond), "a", "b"),
						familyOf(span, metric.Series{More: &metric.More{Histogram: nativeOf(1, 2)}, Start: r.began.UnixMilli()}, "a"),
						metric.Family{Desc: took, Series: []metric.Series{{
							Labels: took.LabelSet([]string{"a", "mine"}),
							More:   &metric.More{Histogram: &metric.HistogramValue{Count: 2, Sum: 2, Counts: []uint64{1, 1}}},
						}}})
					r.tick()
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				c.check(t, p)
				p.set(acceptAll)
			})
		})
	}
}

// TestSpecification1 checks the rules of https://prometheus.io/docs/specs/prw/remote_write_spec/.
func TestSpecification1(t *testing.T) {
	values := func(t *testing.T, p *recorder, each func(name string, s prompb.TimeSeries)) {
		for _, q := range p.ones {
			for _, s := range q.Timeseries {
				each(s.Labels[slices.IndexFunc(s.Labels, func(l prompb.Label) bool { return l.Name == "__name__" })].Value, s)
			}
		}
	}
	specified(t, Protocol1, []rule{
		{"Content-Type", nil, header("Content-Type", "application/x-protobuf")},
		{"X-Prometheus-Remote-Write-Version", nil, header(deliver.VersionHeader, "0.1.0")},
		{"400 is not retried: parts of the request are sent, and dropped", respond(400), func(t *testing.T, p *recorder) {
			n := 0
			for i, q := range p.requests {
				if i > 0 && len(q.points) >= len(p.requests[0].points) && q.points[0].time == p.requests[0].points[0].time {
					n++
				}
			}
			if n > 0 {
				t.Errorf("the whole was sent %d times more", n)
			}
		}},
		{"4xx is not retried", respond(410), sends(10, 10)},
		{"404 does not come from a receiver, and is waited out", respond(404), sends(11, 100)},
		{"times are in milliseconds", nil, func(t *testing.T, p *recorder) {
			first := p.ones[0].Timeseries[0].Samples
			if at := first[len(first)-1].Timestamp; at != p.times[0].UnixMilli() {
				t.Errorf("%d, want %d", at, p.times[0].UnixMilli())
			}
		}},
		{"a series that ends gets the staleness marker's bits", nil, func(t *testing.T, p *recorder) {
			n := 0
			values(t, p, func(name string, s prompb.TimeSeries) {
				for _, m := range s.Samples {
					if math.Float64bits(m.Value) == 0x7ff0000000000002 {
						n++
					}
				}
			})
			if n != 1 {
				t.Errorf("%d markers, want that of the room a", n)
			}
		}},
		{"metadata is sent", nil, func(t *testing.T, p *recorder) {
			if m := p.requests[0].metadata; m["temp"] != "GAUGE A gauge. " || m["calls_total"] != "COUNTER A counter. " {
				t.Errorf("%q", m)
			}
		}},
		{"native histograms are histograms", nil, func(t *testing.T, p *recorder) {
			values(t, p, func(name string, s prompb.TimeSeries) {
				if (name == "span") != (len(s.Histograms) > 0) || len(s.Histograms) > 0 && len(s.Samples) > 0 {
					t.Errorf("%s has %d histograms and %d samples", name, len(s.Histograms), len(s.Samples))
				}
			})
		}},
	})
}

// TestSpecification2 checks the rules of https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/.
func TestSpecification2(t *testing.T) {
	each := func(do func(t *testing.T, q *writev2.Request, s *writev2.TimeSeries)) func(*testing.T, *recorder) {
		return func(t *testing.T, p *recorder) {
			n := 0
			for i := range p.twos {
				for k := range p.twos[i].Timeseries {
					n++
					do(t, &p.twos[i], &p.twos[i].Timeseries[k])
				}
			}
			if n < 10 {
				t.Errorf("only %d series arrived", n)
			}
		}
	}
	name := func(q *writev2.Request, s *writev2.TimeSeries) string {
		for i := 0; i < len(s.LabelsRefs); i += 2 {
			if q.Symbols[s.LabelsRefs[i]] == "__name__" {
				return q.Symbols[s.LabelsRefs[i+1]]
			}
		}
		return ""
	}
	specified(t, Protocol2, []rule{
		{"Content-Type names the message", nil, header("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")},
		{"X-Prometheus-Remote-Write-Version", nil, header(deliver.VersionHeader, "2.0.0")},
		{"the first symbol is empty, and none is repeated", nil, func(t *testing.T, p *recorder) {
			for _, q := range p.twos {
				if q.Symbols[0] != "" {
					t.Errorf("it is %q", q.Symbols[0])
				}
				sorted := slices.Sorted(slices.Values(q.Symbols))
				if len(slices.Compact(sorted)) != len(q.Symbols) {
					t.Errorf("%q", q.Symbols)
				}
			}
		}},
		{"references come in pairs, within the symbols", nil, each(func(t *testing.T, q *writev2.Request, s *writev2.TimeSeries) {
			if len(s.LabelsRefs)%2 != 0 || int(slices.Max(s.LabelsRefs)) >= len(q.Symbols) {
				t.Errorf("%v of %d", s.LabelsRefs, len(q.Symbols))
			}
		})},
		{"every series has a sample or a histogram, not both", nil, each(func(t *testing.T, q *writev2.Request, s *writev2.TimeSeries) {
			if (len(s.Samples) > 0) == (len(s.Histograms) > 0) || (name(q, s) == "span") != (len(s.Histograms) > 0) {
				t.Errorf("%s has %d samples and %d histograms", name(q, s), len(s.Samples), len(s.Histograms))
			}
		})},
		{"every series has metadata", nil, each(func(t *testing.T, q *writev2.Request, s *writev2.TimeSeries) {
			want := map[string]writev2.Metadata_MetricType{
				"temp": writev2.Metadata_METRIC_TYPE_GAUGE, "calls_total": writev2.Metadata_METRIC_TYPE_COUNTER, "span": writev2.Metadata_METRIC_TYPE_HISTOGRAM,
				"took_bucket": writev2.Metadata_METRIC_TYPE_HISTOGRAM, "took_sum": writev2.Metadata_METRIC_TYPE_HISTOGRAM, "took_count": writev2.Metadata_METRIC_TYPE_HISTOGRAM,
			}[name(q, s)]
			if s.Metadata.Type != want {
				t.Errorf("%s is a %s", name(q, s), s.Metadata.Type)
			}
		})},
		{"running totals have start timestamps, gauges none", nil, each(func(t *testing.T, q *writev2.Request, s *writev2.TimeSeries) {
			starts := 0
			for _, m := range s.Samples {
				if m.StartTimestamp != 0 {
					starts++
				}
			}
			for _, m := range s.Histograms {
				if m.StartTimestamp != 0 {
					starts++
				}
			}
			marker := len(s.Samples) == 1 && math.IsNaN(s.Samples[0].Value)
			n := name(q, s)
			if want := n == "calls_total" || n == "span"; (starts > 0) != want && !marker {
				t.Errorf("%s has %d starts", n, starts)
			}
		})},
		{"times are in milliseconds", nil, func(t *testing.T, p *recorder) {
			first := p.twos[0].Timeseries[0].Samples
			if at := first[len(first)-1].Timestamp; at != p.times[0].UnixMilli() {
				t.Errorf("%d, want %d", at, p.times[0].UnixMilli())
			}
		}},
		{"a series that ends gets the staleness marker's bits", nil, func(t *testing.T, p *recorder) {
			n := 0
			each(func(_ *testing.T, _ *writev2.Request, s *writev2.TimeSeries) {
				for _, m := range s.Samples {
					if math.Float64bits(m.Value) == 0x7ff0000000000002 {
						n++
					}
				}
			})(t, p)
			if n != 1 {
				t.Errorf("%d markers, want that of the room a", n)
			}
		}},
		{"415 falls back to 1.0", accept1Only, func(t *testing.T, p *recorder) {
			if len(p.twos) != 1 || len(p.ones) != 10 || len(points(p.requests[:1])) != len(points(p.requests[1:2])) {
				t.Errorf("%d requests of 2.0, %d of 1.0", len(p.twos), len(p.ones))
			}
		}},
		{"2xx without the headers of what was written is a receiver of 1.0", respond(204), func(t *testing.T, p *recorder) {
			if len(p.twos) != 2 || len(p.ones) != 10 || len(p.twos[1].Timeseries) > 0 { // the second 2.0 request is an empty probe
				t.Errorf("%d requests of 2.0, %d of 1.0", len(p.twos), len(p.ones))
			}
		}},
		{"a partial write is not retried", func(w http.ResponseWriter, _ request) {
			setWritten(w, 2, 0)
			w.WriteHeader(400)
		}, sends(10, 10)},
	})
}
