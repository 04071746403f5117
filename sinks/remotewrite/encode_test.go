package remotewrite

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// decoded reads encoded samples back.
func decoded(t testing.TB, p Protocol, body []byte) request {
	t.Helper()
	r := &http.Request{Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(snappy.Encode(nil, body)))}
	if p == Protocol2 {
		r.Header.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
	}
	got, err := decode(r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// expected is what a receiver must read of samples, made without the encoders.
func expected(samples []sample, p Protocol) (all []string) {
	for _, m := range samples {
		want := point{series: told(m.series), time: m.time, start: m.start, value: m.value}
		if p == Protocol1 {
			want.start = 0
		}
		if m.histogram != nil {
			want.histogram = histogramOf(m.histogram).String()
		}
		all = append(all, want.String())
	}
	return all
}

// histogramOf is Prometheus' form of a native histogram, each bucket in a span of its own.
func histogramOf(h *metric.HistogramValue) *histogram.Histogram {
	n := h.Native
	p := &histogram.Histogram{Count: h.Count, Sum: h.Sum, Schema: n.Schema, ZeroThreshold: n.ZeroThreshold, ZeroCount: n.ZeroCount}
	side := func(buckets []metric.NativeBucket) (spans []histogram.Span, deltas []int64) {
		next, last := int32(0), int64(0)
		for _, b := range buckets {
			spans = append(spans, histogram.Span{Offset: b.Index - next, Length: 1})
			deltas = append(deltas, int64(b.Count)-last)
			next, last = b.Index+1, int64(b.Count)
		}
		return spans, deltas
	}
	p.PositiveSpans, p.PositiveBuckets = side(n.Positive)
	p.NegativeSpans, p.NegativeBuckets = side(n.Negative)
	return p
}

// FuzzEncode: what a receiver decodes of any samples, in either protocol, is those samples.
func FuzzEncode(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, "room", "a\"\n\x00é")
	}
	f.Add(uint64(7), "", "")
	var encoder1 encoder1 // their memory is used again: nothing of one request may be left in the next
	var encoder2 encoder2
	f.Fuzz(func(t *testing.T, seed uint64, name, text string) {
		dice := rand.New(rand.NewPCG(seed, 3))
		samples := randomSamples(dice, name, text)
		body, err := encoder1.encode(samples, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(expected(samples, Protocol1), points([]request{decoded(t, Protocol1, body)})); diff != "" {
			t.Errorf("1.0 (-want +got):\n%s", diff)
		}
		body, err = encoder2.encode(samples)
		if err != nil {
			t.Fatal(err)
		}
		r := decoded(t, Protocol2, body)
		if diff := cmp.Diff(expected(samples, Protocol2), points([]request{r})); diff != "" {
			t.Errorf("2.0 (-want +got):\n%s", diff)
		}
		for _, m := range samples {
			if r.metadata[told(m.series)] == "" {
				t.Errorf("no metadata of %s", told(m.series))
			}
		}
	})
}

// told is how Prometheus writes a series.
func told(s *series) string {
	b := labels.NewScratchBuilder(0)
	for _, l := range s.labels {
		b.Add(l.Name, l.Value)
	}
	return b.Labels().String()
}

func randomSamples(dice *rand.Rand, name, text string) (all []sample) {
	d := &metric.Desc{Name: "m", Help: text, Unit: name, Type: metric.Type(dice.IntN(5))}
	for i := range dice.IntN(20) {
		s := &series{desc: d, labels: []metric.Label{{Name: "__name__", Value: "m" + strconv.Itoa(i)}}}
		if name > "__name__" && text != "" {
			s.labels = append(s.labels, metric.Label{Name: name, Value: text})
		}
		native := dice.IntN(3) == 0
		for range 1 + dice.IntN(3) {
			m := sample{series: s, time: dice.Int64() - math.MaxInt64/2, value: randomNumber(dice)}
			if dice.IntN(2) == 0 {
				m.start = dice.Int64()
			}
			if native {
				m.value, m.histogram = 0, randomHistogram(dice)
			}
			all = append(all, m)
		}
	}
	return all
}

func randomNumber(dice *rand.Rand) float64 {
	// Not -0: Prometheus' own types leave out what equals zero, so that it arrives as 0.
	return []float64{0, 1, math.Inf(1), math.NaN(), stale(), dice.ExpFloat64(), math.MaxFloat64}[dice.IntN(7)]
}

func randomHistogram(dice *rand.Rand) *metric.HistogramValue {
	n := &metric.NativeBuckets{Schema: int32(dice.IntN(13)) - 4, ZeroThreshold: dice.Float64(), ZeroCount: dice.Uint64N(9)}
	side := func() (all []metric.NativeBucket) {
		index := int32(dice.IntN(40)) - 20
		for range dice.IntN(8) {
			all = append(all, metric.NativeBucket{Index: index, Count: 1 + dice.Uint64N(1000)})
			index += 1 + int32(dice.IntN(3))*int32(dice.IntN(5))
		}
		return all
	}
	n.Positive, n.Negative = side(), side()
	return &metric.HistogramValue{Count: dice.Uint64N(1e6), Sum: dice.NormFloat64(), Native: n}
}

// Nothing of a request is left in the next, which would only be larger for it.
func TestEncodersBeginAnew(t *testing.T) {
	d := &metric.Desc{Name: "m", Help: "Help."}
	one := func(name string) []sample {
		return []sample{{series: &series{desc: d, labels: []metric.Label{{Name: "__name__", Value: name}}}, time: 1, value: 2}}
	}
	var e1 encoder1
	var e2 encoder2
	for range 2 {
		a, _ := e1.encode(one("a"), []*metric.Desc{d})
		b, _ := e2.encode(one("a"))
		a, b = bytes.Clone(a), bytes.Clone(b)
		if _, err := e1.encode(one("b"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := e2.encode(one("b")); err != nil {
			t.Fatal(err)
		}
		again, _ := e1.encode(one("a"), []*metric.Desc{d})
		if !bytes.Equal(a, again) {
			t.Errorf("1.0: %q, at first %q", again, a)
		}
		if again, _ = e2.encode(one("a")); !bytes.Equal(b, again) {
			t.Errorf("2.0: %q, at first %q", again, b)
		}
	}
}

// A family is told once in a request, also when its staleness markers come at the end.
func TestMetadataOnceInARequest(t *testing.T) {
	a, b := &series{desc: &metric.Desc{Name: "a"}}, &series{desc: &metric.Desc{Name: "b"}}
	samples := []sample{{series: a}, {series: b}, {series: a}}
	var m metadata
	now := time.UnixMilli(0)
	if due := m.dueFor(samples, now); len(due) != 2 {
		t.Errorf("%d families are due, want 2", len(due))
	}
	m.delivered(now)
	if due := m.dueFor(samples, now.Add(metadataEvery-1)); len(due) != 0 {
		t.Errorf("%d families are due again", len(due))
	}
	m.dueFor(samples[:1], now.Add(time.Hour))
	m.delivered(now.Add(time.Hour))
	if len(m.told) != 1 {
		t.Errorf("%d families are remembered, want the one that is still told", len(m.told))
	}
}

func TestStaleIsPrometheus(t *testing.T) {
	if !value.IsStaleNaN(stale()) || value.IsStaleNaN(number(stale())) {
		t.Error("the staleness marker is not Prometheus' own")
	}
}

func TestMetadataTypes(t *testing.T) {
	for typ, want := range map[metric.Type]string{
		metric.Unknown: "UNKNOWN", metric.Gauge: "GAUGE", metric.Counter: "COUNTER",
		metric.Histogram: "HISTOGRAM", metric.Summary: "SUMMARY",
	} {
		d := &metric.Desc{Name: "m", Type: typ, Unit: "u"}
		body, err := new(encoder1).encode(nil, []*metric.Desc{d})
		if err != nil {
			t.Fatal(err)
		}
		if got := decoded(t, Protocol1, body).metadata["m"]; got != want+"  u" {
			t.Errorf("1.0 says %q of a %s", got, want)
		}
		s := &series{desc: d, labels: []metric.Label{{Name: "__name__", Value: "m"}}}
		if body, err = new(encoder2).encode([]sample{{series: s}}); err != nil {
			t.Fatal(err)
		}
		if got := decoded(t, Protocol2, body).metadata[`{__name__="m"}`]; got != want+"  u" {
			t.Errorf("2.0 says %q of a %s", got, want)
		}
	}
}

// fleet is 30,000 series of 4 labels of their own, as they are pushed.
func fleet(b *testing.B) [][]sample {
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
	env := sinks.Env{Instance: "host-1"}
	cut := newCutter(5000)
	newJob(env.Target("api"), nil).take(&metric.Batch{Time: time.UnixMilli(1.7e12), Families: []metric.Family{f}}, false, anyTime(), newRegistry(time.UnixMilli(0)), cut)
	return cut.done()
}

func BenchmarkEncode30000(b *testing.B) {
	chunks := fleet(b)
	run := func(encode func([]sample) ([]byte, error)) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			var pack payload
			plain, packed := 0, 0
			for b.Loop() {
				plain, packed = 0, 0
				for _, c := range chunks {
					body, err := encode(c)
					if err != nil {
						b.Fatal(err)
					}
					pack.pack(body)
					plain += len(body)
					packed += len(pack.packed)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/30000, "ns/sample")
			b.ReportMetric(float64(plain)/30000, "bytes/sample")
			b.ReportMetric(float64(packed)/30000, "snappy-bytes/sample")
		}
	}
	var e1 encoder1
	b.Run("1.0", run(func(c []sample) ([]byte, error) { return e1.encode(c, nil) }))
	var e2 encoder2
	b.Run("2.0", run(e2.encode))
}

// BenchmarkWrite30000 is the other half: a batch of known series into chunks.
func BenchmarkWrite30000(b *testing.B) {
	chunks := fleet(b)
	d := &metric.Desc{Name: "api_requests_total", Type: metric.Counter}
	f := metric.Family{Desc: d}
	for _, c := range chunks {
		for _, m := range c {
			f.Series = append(f.Series, metric.Series{Labels: &metric.LabelSet{Labels: m.series.labels}, Value: m.value})
		}
	}
	j, r := newJob(nil, nil), newRegistry(time.UnixMilli(0))
	at := time.UnixMilli(1.7e12)
	j.take(&metric.Batch{Time: at, Families: []metric.Family{f}}, false, anyTime(), r, newCutter(5000))
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(time.Minute)
		cut := newCutter(5000)
		j.take(&metric.Batch{Time: at, Families: []metric.Family{f}}, false, anyTime(), r, cut)
		if len(cut.done()) != 6 {
			b.Fatal("not 6 requests")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/30000, "ns/sample")
}
