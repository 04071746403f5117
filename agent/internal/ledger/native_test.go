package ledger

import (
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/collectington/collectington/agent/metric"
)

// bound returns 2^(i / 2^schema), computed by roots of 2^i or squares of 2.
func bound(i, schema int32) *big.Float {
	one := new(big.Float).SetPrec(200).SetInt64(1)
	if schema <= 0 {
		return one.SetMantExp(one, int(i)<<-schema)
	}
	// 2^(i/n) = 2^(whole) · 2^(rest/n)
	n := int32(1) << schema
	whole, rest := i/n, i%n
	if rest < 0 {
		whole, rest = whole-1, rest+n
	}
	x := new(big.Float).SetPrec(200).SetMantExp(one, int(rest))
	for range schema {
		x.Sqrt(x)
	}
	return x.SetMantExp(x, int(whole))
}

func TestBucketOfAgainstExactBounds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	values := []float64{math.MaxFloat64, math.SmallestNonzeroFloat64, math.Nextafter(zeroThreshold, 1), 0x1p-1022}
	for range 300 {
		values = append(values, math.Exp(random.Float64()*1400-700), 1+random.Float64())
	}
	for e := -1074; e < 1024; e += 7 {
		v := math.Ldexp(1, e)
		values = append(values, v, math.Nextafter(v, 0), math.Nextafter(v, math.Inf(1)))
	}
	for schema := int32(minSchema); schema <= firstSchema; schema++ {
		for _, v := range values {
			if v == 0 {
				continue
			}
			i := bucketOf(v, schema)
			x := new(big.Float).SetFloat64(v)
			if x.Cmp(bound(i-1, schema)) <= 0 || x.Cmp(bound(i, schema)) > 0 {
				t.Errorf("schema %d: %v (%b) in bucket %d, which is (%v, %v]", schema, v, v, i, bound(i-1, schema), bound(i, schema))
			}
		}
	}
}

// TestNativeAgainstClientGolang compares schema and buckets with client_golang's, for random values and values on bounds.
func TestNativeAgainstClientGolang(t *testing.T) {
	histories := map[string]func(r *rand.Rand) float64{
		"bounds":             func(r *rand.Rand) float64 { return nudge(r, math.Exp2(float64(r.IntN(64)-32)/8)) },
		"narrow":             func(r *rand.Rand) float64 { return r.Float64() * 10 },
		"negative":           func(r *rand.Rand) float64 { return r.NormFloat64() },
		"wide":               func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64() * 20) },
		"widest":             func(r *rand.Rand) float64 { return math.Exp(r.Float64()*1400-700) * float64(r.IntN(2)*2-1) },
		"as many as allowed": func(r *rand.Rand) float64 { return math.Exp2((float64(r.IntN(maxNative)) + 0.5) / 8) },
		"one too many":       func(r *rand.Rand) float64 { return math.Exp2((float64(r.IntN(maxNative+1)) + 0.5) / 8) },
		"zeros":              func(r *rand.Rand) float64 { return nudge(r, zeroThreshold) * float64(r.IntN(3)-1) },
	}
	for name, next := range histories {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(3, 4))
			theirs := prometheus.NewHistogram(prometheus.HistogramOpts{
				NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: maxNative,
			})
			ours := newNative()
			for range 3000 {
				v := next(random)
				theirs.Observe(v)
				ours.observe(v)
			}
			var m dto.Metric
			if err := theirs.Write(&m); err != nil {
				t.Fatal(err)
			}
			h := m.Histogram
			want := &metric.NativeBuckets{
				Schema: h.GetSchema(), ZeroThreshold: h.GetZeroThreshold(), ZeroCount: h.GetZeroCount(),
				Positive: spelledOut(h.PositiveSpan, h.PositiveDelta), Negative: spelledOut(h.NegativeSpan, h.NegativeDelta),
			}
			if got := ours.buckets(); !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%v\nwant\n%v", got, want)
			}
		})
	}
}

// nudge returns v or the next float below or above.
func nudge(r *rand.Rand, v float64) float64 {
	return []float64{math.Nextafter(v, 0), v, math.Nextafter(v, math.Inf(1))}[r.IntN(3)]
}

func spelledOut(spans []*dto.BucketSpan, deltas []int64) []metric.NativeBucket {
	list := []metric.NativeBucket{}
	var index int32
	var count int64
	for _, s := range spans {
		index += s.GetOffset()
		for range s.GetLength() {
			count += deltas[0]
			deltas = deltas[1:]
			if count > 0 {
				list = append(list, metric.NativeBucket{Index: index, Count: uint64(count)})
			}
			index++
		}
	}
	return list
}

func TestRankOfQuantile(t *testing.T) {
	for n := 1; n <= maxWindow; n = n*3/2 + 1 {
		// Every quantile of three decimals, in exact integers.
		for q := 0; q <= 1000; q++ {
			want := max(1, (q*n+999)/1000)
			if got := rank(float64(q)/1000, n); got != want {
				t.Fatalf("quantile 0.%03d of %d: got rank %d, want %d", q, n, got, want)
			}
		}
	}
}

func BenchmarkObserveNative(b *testing.B) {
	n, random := newNative(), rand.New(rand.NewPCG(5, 6))
	for b.Loop() {
		n.observe(random.Float64() * 10)
	}
}
