package samples

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/collectington/collectington/agent/metric"
)

// lines returns a stream as text, with the bits of each number.
func lines(s metric.Stream) string {
	var b strings.Builder
	for _, x := range s {
		fmt.Fprint(&b, metric.Labels(x.Labels))
		if x.Family != nil {
			fmt.Fprintf(&b, " %s %v %q %q", x.Family.Name, x.Family.Type, x.Family.Help, x.Family.Unit)
		}
		for _, p := range x.Samples {
			if p.Histogram != nil {
				fmt.Fprintf(&b, " %d:h%d/%x/%v", p.Time, p.Histogram.Count, math.Float64bits(p.Histogram.Sum), p.Histogram.Native.Positive)
				continue
			}
			fmt.Fprintf(&b, " %d:%x", p.Time, math.Float64bits(p.Value))
			if p.Start != 0 {
				fmt.Fprintf(&b, "from%d", p.Start)
			}
		}
		for _, e := range x.Exemplars {
			fmt.Fprintf(&b, " %v@%d%v", e.Value, e.Time, metric.Labels(e.Labels))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// v1 returns a request with samples out of order, a sample that occurs twice, staleness markers, a histogram and an exemplar.
func v1() *prompb.WriteRequest {
	name := []prompb.Label{{Name: "job", Value: "j"}, {Name: "__name__", Value: "a_total"}, {Name: "empty"}}
	stale := math.Float64frombits(value.StaleNaN)
	h := prompb.FromIntHistogram(7, &histogram.Histogram{Schema: 1, Count: 3, Sum: 2, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 1}})
	end := prompb.FromIntHistogram(8, &histogram.Histogram{Sum: stale})
	return &prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{
			{Labels: name, Samples: []prompb.Sample{{Timestamp: 5, Value: 1}, {Timestamp: 3, Value: 2}, {Timestamp: 3, Value: 2}, {Timestamp: 9, Value: stale}}},
			{Labels: []prompb.Label{{Name: "__name__", Value: "took"}}, Histograms: []prompb.Histogram{h, end}},
			{Labels: name, Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace", Value: "t"}}, Value: 4, Timestamp: 5}}},
			{Labels: name, Samples: []prompb.Sample{{Timestamp: 1, Value: 0}}},
		},
		Metadata: []prompb.MetricMetadata{{MetricFamilyName: "a_total", Type: prompb.MetricMetadata_COUNTER, Help: "As.", Unit: "things"}},
	}
}

func encoded(t testing.TB, m interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	raw, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestDecode checks that samples stay as they are in the request, in both protocols.
func TestDecode(t *testing.T) {
	const want = `{__name__="a_total",job="j"} a_total counter "As." "things" 5:3ff0000000000000 3:4000000000000000 3:4000000000000000 9:7ff0000000000002
{__name__="took"} 7:h3/4000000000000000/[{1 1} {2 2}] 8:h0/7ff0000000000002/[]
{__name__="a_total",job="j"} a_total counter "As." "things" 4@5{trace="t"}
{__name__="a_total",job="j"} a_total counter "As." "things" 1:0
`
	var f Families
	for range 2 {
		q, err := f.Decode(encoded(t, v1()), false)
		if err != nil || q.Left != 0 {
			t.Fatal(err, q)
		}
		if got := lines(q.Stream); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if q.Samples != 5 || q.Histograms != 2 || q.Exemplars != 1 {
			t.Errorf("counts %+v", q)
		}
	}
	// Metadata can also come in a request of its own.
	only := v1()
	only.Metadata = nil
	if q, _ := f.Decode(encoded(t, only), false); lines(q.Stream) != want {
		t.Errorf("without metadata:\n%s", lines(q.Stream))
	}

	q, err := f.Decode(encoded(t, v2()), true)
	if err != nil || q.Left != 0 {
		t.Fatal(err, q)
	}
	if got, want := lines(q.Stream), strings.ReplaceAll(want, " 1:0\n", " 1:0from1\n"); got != want {
		t.Errorf("2.0: got\n%swant\n%s", got, want)
	}
	if a, b := q.Stream[0].Family, q.Stream[2].Family; a == nil || a != b {
		t.Error("a family has several descriptions")
	}
}

// v2 returns the samples of v1 as a 2.0 request.
func v2() *writev2.Request {
	symbols := writev2.NewSymbolTable()
	one := v1()
	q := &writev2.Request{}
	for _, s := range one.Timeseries {
		var all []string
		for _, l := range s.Labels {
			if l.Value != "" {
				all = append(all, l.Name, l.Value)
			}
		}
		out := writev2.TimeSeries{LabelsRefs: symbols.SymbolizeLabels(labels.FromStrings(all...), nil)}
		if s.Labels[0].Name == "job" {
			out.Metadata = writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: symbols.Symbolize("As."), UnitRef: symbols.Symbolize("things")}
		}
		for _, p := range s.Samples {
			next := writev2.Sample{Timestamp: p.Timestamp, Value: p.Value}
			if p.Timestamp == 1 {
				next.StartTimestamp = 1
			}
			out.Samples = append(out.Samples, next)
		}
		for _, h := range s.Histograms {
			out.Histograms = append(out.Histograms, writev2.FromIntHistogram(0, h.Timestamp, h.ToIntHistogram()))
		}
		for _, e := range s.Exemplars {
			out.Exemplars = append(out.Exemplars, writev2.Exemplar{LabelsRefs: symbols.SymbolizeLabels(labels.FromStrings("trace", "t"), nil), Value: e.Value, Timestamp: e.Timestamp})
		}
		q.Timeseries = append(q.Timeseries, out)
	}
	q.Symbols = symbols.Symbols()
	return q
}

// TestInvalidSeries checks requests with a series that no receiver would store. Only this series is left out.
func TestInvalidSeries(t *testing.T) {
	long := strings.Repeat("x", 65_000)
	bad := map[string]prompb.TimeSeries{
		"has no metric name":            {Labels: []prompb.Label{{Name: "job", Value: "j"}}},
		"\"job\" twice":                 {Labels: []prompb.Label{{Name: "__name__", Value: "x"}, {Name: "job", Value: "j"}, {Name: "job", Value: "k"}}},
		"which is not valid":            {Labels: []prompb.Label{{Name: "__name__", Value: "x"}, {Name: "job", Value: "\xff"}}},
		"labels of more than 65536":     {Labels: []prompb.Label{{Name: "__name__", Value: long}, {Name: "job", Value: long}}},
		"observations found in buckets": {Labels: []prompb.Label{{Name: "__name__", Value: "x"}}, Histograms: []prompb.Histogram{prompb.FromIntHistogram(7, &histogram.Histogram{Count: 3, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{9}})}},
	}
	for want, s := range bad {
		if len(s.Histograms) == 0 {
			s.Samples = []prompb.Sample{{Timestamp: 1, Value: 1}}
		}
		good := v1()
		good.Timeseries = append(good.Timeseries, s)
		q, err := new(Families).Decode(encoded(t, good), false)
		if err != nil || q.Left != 1 || !strings.Contains(q.First.Error(), want) || q.Samples != 5 || q.Histograms != 2 {
			t.Errorf("%s: %v, %+v", want, err, q)
		}
	}
	for want, change := range map[string]func(*writev2.Request){
		"a label name without a value": func(q *writev2.Request) { q.Timeseries[0].LabelsRefs = []uint32{1} },
		"refers to symbols":            func(q *writev2.Request) { q.Timeseries[0].LabelsRefs = []uint32{1, 999} },
		"symbols that the request":     func(q *writev2.Request) { q.Timeseries[0].Metadata.HelpRef = 999 },
	} {
		q := v2()
		change(q)
		got, err := new(Families).Decode(encoded(t, q), true)
		if err != nil || got.Left != 4 || !strings.Contains(got.First.Error(), want) || got.Samples != 1 {
			t.Errorf("%s: %v, %+v", want, err, got)
		}
	}
	for _, isV2 := range []bool{false, true} {
		if _, err := new(Families).Decode([]byte("no protobuf"), isV2); err == nil {
			t.Error("what is no protobuf passes")
		}
	}
}

// FuzzDecode checks that what is decoded is well formed.
func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, v1()), false)
	f.Add(encoded(f, v2()), true)
	f.Fuzz(func(t *testing.T, raw []byte, isV2 bool) {
		q, err := new(Families).Decode(raw, isV2)
		if err != nil {
			return
		}
		if n := q.Stream.Samples(); n != q.Samples+q.Histograms {
			t.Fatalf("%d samples, counted %d and %d", n, q.Samples, q.Histograms)
		}
		for _, s := range q.Stream {
			for i, l := range s.Labels {
				if l.Name == "" || l.Value == "" || i > 0 && s.Labels[i-1].Name >= l.Name {
					t.Fatalf("labels %q", s.Labels)
				}
			}
			if metric.Labels(s.Labels).Get("__name__") == "" {
				t.Fatalf("no name in %q", s.Labels)
			}
		}
	})
}
