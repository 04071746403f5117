package wire

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/collectington/collectington/agent/metric"
)

// Timestamps of the fleet's samples.
const (
	began = 1772366400123
	ticks = 1772366460123
)

// fleet returns 30,000 series of counters: 6 names, 50 teams and 100 hosts. Each series has 5 labels, and the labels job and instance.
func fleet(t *Table) (all []*Series) {
	for n := range 6 {
		d := &metric.Desc{Name: fmt.Sprint("api_requests_", n, "_total"), Type: metric.Counter, Help: "Requests by team and host."}
		for team := range 50 {
			for host := range 100 {
				all = append(all, new(t.Series([]metric.Label{
					{Name: "__name__", Value: d.Name},
					{Name: "env", Value: []string{"prod", "test"}[team%2]},
					{Name: "host", Value: fmt.Sprintf("web-%03d.example.com", host)},
					{Name: "instance", Value: "edge-oslo-7"},
					{Name: "job", Value: "inventory"},
					{Name: "region", Value: fmt.Sprint("eu-", host%4)},
					{Name: "team", Value: fmt.Sprint("team-", team)},
				}, d)))
			}
		}
	}
	return all
}

func integers(dice *rand.Rand) float64 { return float64(dice.IntN(1000)) }
func floats(dice *rand.Rand) float64   { return dice.Float64() * 100 }
func counters(dice *rand.Rand) float64 { return math.Floor(math.Exp(dice.Float64() * 14)) }

// packed returns the compressed bytes for each sample.
func packed(b *Builder, p Protocol, series []*Series, size int, start int64, value func(*rand.Rand) float64) float64 {
	dice := rand.New(rand.NewPCG(1, 2))
	n := 0
	for some := range slices.Chunk(series, size) {
		b.Begin(p)
		for _, s := range some {
			b.Add(s, ticks, value(dice), start)
		}
		n += len(snappy.Encode(nil, b.End().Raw))
	}
	return float64(n) / float64(len(series))
}

// byName compares series by their labels. The first label is the name of the metric.
func byName(a, b *Series) int { return strings.Compare(a.String(), b.String()) }

// TestBytesPerSample checks the compressed bytes for each sample, and logs them.
func TestBytesPerSample(t *testing.T) {
	table := NewTable()
	b := table.NewBuilder()
	natural := fleet(table)
	sorted := slices.SortedFunc(slices.Values(natural), byName)
	shard := slices.DeleteFunc(slices.Clone(sorted), func(s *Series) bool {
		all := s.Labels(nil)
		return (table.slots[all[2].Value]*31+table.slots[all[6].Value])%4 != 0
	})
	for _, order := range []struct {
		name   string
		series []*Series
	}{{"as they came", natural}, {"sorted", sorted}, {"sorted, one shard of four", shard}} {
		for _, values := range []struct {
			name  string
			start int64
			value func(*rand.Rand) float64
			max   float64 // of 2.0, sorted, in requests of 500 and more
		}{{"integers", 0, integers, 10}, {"floats", 0, floats, 15}, {"counters", began, counters, 10.5}} {
			for _, p := range []Protocol{V1, V2} {
				var line string
				for _, size := range []int{500, 2000, 5000, 10000} {
					n := packed(b, p, order.series, size, values.start, values.value)
					line += fmt.Sprintf("%7.2f", n)
					if p == V2 && order.name == "sorted" && n > values.max {
						t.Errorf("%s in requests of %d: %.2f bytes a sample, want at most %v", values.name, size, n, values.max)
					}
				}
				t.Logf("%-26s %-9s %s %s", order.name, values.name, p, line)
			}
		}
	}
}

// TestAllocations checks that adding samples does not allocate.
func TestAllocations(t *testing.T) {
	table := NewTable()
	b := table.NewBuilder()
	series := fleet(table)[:1000]
	h := randomHistogram(rand.New(rand.NewPCG(1, 1)))
	own := []metric.Label{{Name: "job", Value: "inventory"}}
	for _, p := range []Protocol{V1, V2} {
		n := testing.AllocsPerRun(10, func() {
			b.Begin(p)
			for _, s := range series {
				b.Add(s, ticks, 1, began)
				b.AddHistogram(s, ticks, h, began)
				b.AddExemplar(s, own, 1, ticks)
			}
			b.End()
		})
		if n != 0 {
			t.Errorf("%s: %v allocations for a request", p, n)
		}
	}
}

// encoder encodes a request of some of the fleet's samples.
type encoder func(series []int, values []float64) []byte

// encoders returns the encoders of this package, and encoders that use Prometheus' types and reuse their memory.
func encoders() []struct {
	name   string
	encode encoder
} {
	table := NewTable()
	all := slices.SortedFunc(slices.Values(fleet(table)), byName)
	b := table.NewBuilder()
	ours := func(p Protocol) encoder {
		return func(series []int, values []float64) []byte {
			b.Begin(p)
			for i, k := range series {
				b.Add(all[k], ticks, values[i], began)
			}
			return b.End().Raw
		}
	}
	labels := make([][]metric.Label, len(all))
	for i, s := range all {
		labels[i] = s.Labels(nil)
	}
	return []struct {
		name   string
		encode encoder
	}{{"1.0/ours", ours(V1)}, {"1.0/prometheus", prometheus1(labels)}, {"2.0/ours", ours(V2)}, {"2.0/prometheus", prometheus2(labels)}}
}

func prometheus1(known [][]metric.Label) encoder {
	var q prompb.WriteRequest
	var labels []prompb.Label
	var samples []prompb.Sample
	var body []byte
	return func(series []int, values []float64) []byte {
		q.Timeseries, labels, samples = q.Timeseries[:0], labels[:0], samples[:0]
		for i, k := range series {
			l, s := len(labels), len(samples)
			for _, label := range known[k] {
				labels = append(labels, prompb.Label{Name: label.Name, Value: label.Value})
			}
			samples = append(samples, prompb.Sample{Value: values[i], Timestamp: ticks})
			q.Timeseries = append(q.Timeseries, prompb.TimeSeries{Labels: labels[l:], Samples: samples[s:]})
		}
		if size := q.Size(); cap(body) < size {
			body = make([]byte, size)
		} else {
			body = body[:size]
		}
		if _, err := q.MarshalToSizedBuffer(body); err != nil {
			panic(err)
		}
		return body
	}
}

func prometheus2(known [][]metric.Label) encoder {
	var q writev2.Request
	y := writev2.NewSymbolTable()
	var refs []uint32
	var samples []writev2.Sample
	var body []byte
	return func(series []int, values []float64) []byte {
		y.Reset()
		q.Timeseries, refs, samples = q.Timeseries[:0], refs[:0], samples[:0]
		for i, k := range series {
			r, s := len(refs), len(samples)
			for _, label := range known[k] {
				refs = append(refs, y.Symbolize(label.Name), y.Symbolize(label.Value))
			}
			samples = append(samples, writev2.Sample{Value: values[i], Timestamp: ticks, StartTimestamp: began})
			q.Timeseries = append(q.Timeseries, writev2.TimeSeries{
				LabelsRefs: refs[r:], Samples: samples[s:],
				Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: y.Symbolize("Requests by team and host.")},
			})
		}
		q.Symbols = y.Symbols()
		var err error
		if body, err = q.OptimizedMarshal(body[:0]); err != nil {
			panic(err)
		}
		return body
	}
}

// BenchmarkEncode encodes the fleet in requests of 5,000 samples: with this package, and with Prometheus' types.
func BenchmarkEncode(b *testing.B) {
	const series, size = 30000, 5000
	dice := rand.New(rand.NewPCG(1, 2))
	index, values := make([]int, series), make([]float64, series)
	for i := range index {
		index[i], values[i] = i, counters(dice)
	}
	for _, e := range encoders() {
		for _, pack := range []bool{false, true} {
			name := e.name
			if pack {
				name += "+snappy"
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				out := make([]byte, snappy.MaxEncodedLen(size*400))
				for b.Loop() {
					for from := 0; from < series; from += size {
						raw := e.encode(index[from:from+size], values[from:from+size])
						if pack {
							snappy.Encode(out, raw)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/sample")
			})
		}
	}
}

// BenchmarkStored decodes, rewrites and splits a request of 5,000 samples.
func BenchmarkStored(b *testing.B) {
	table := NewTable()
	builder := table.NewBuilder()
	series := slices.SortedFunc(slices.Values(fleet(table)), byName)[:5000]
	for _, p := range []Protocol{V1, V2} {
		builder.Begin(p)
		for _, s := range series {
			builder.Add(s, ticks, 1, began)
		}
		q := builder.End()
		run := func(name string, do func() error) {
			b.Run(p.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5000, "ns/sample")
			})
		}
		run("decode", func() error { _, err := Decode(p, q.Raw); return err })
		run("rewrite", func() error { _, err := q.Rewrite(V1+V2-p, nil); return err })
		run("split", func() error { _, _, err := q.Split(); return err })
	}
}
