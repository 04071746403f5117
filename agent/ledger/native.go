package ledger

import (
	"math"
	"slices"

	"github.com/collectington/collectington/agent/metric"
)

// Buckets of a native histogram grow by 2^(1/8) (about 9 %) at first; when there are more than maxNative of them, each
// two become one. The zero bucket's width is client_golang's default.
const (
	firstSchema   = 3
	minSchema     = -4
	maxNative     = 160
	zeroThreshold = 2.938735877055719e-39 // 2^-128
)

// native counts observations in exponential buckets: bucket i holds (2^((i-1)/2^schema), 2^(i/2^schema)].
type native struct {
	schema   int32
	zero     uint64
	positive map[int32]uint64
	negative map[int32]uint64
}

func newNative() *native {
	return &native{schema: firstSchema, positive: map[int32]uint64{}, negative: map[int32]uint64{}}
}

func (n *native) observe(v float64) {
	switch {
	case math.Abs(v) <= zeroThreshold:
		n.zero++
	case v > 0:
		n.positive[bucketOf(v, n.schema)]++
	default:
		n.negative[bucketOf(-v, n.schema)]++
	}
	for len(n.positive)+len(n.negative) > maxNative && n.schema > minSchema {
		n.schema--
		n.positive, n.negative = halve(n.positive), halve(n.negative)
	}
}

// bucketOf is the index of the bucket that holds v > 0.
func bucketOf(v float64, schema int32) int32 {
	fraction, exponent := math.Frexp(v) // v = fraction · 2^exponent, 0.5 ≤ fraction < 1
	if schema <= 0 {
		i := int32(exponent)
		if fraction == 0.5 {
			i--
		}
		return (i + (1 << -schema) - 1) >> -schema
	}
	// Within its power of two, v is 2·fraction in [1, 2). The logarithm may be off by a rounding, the bound is not.
	n := float64(int32(1) << schema)
	i := math.Ceil(math.Log2(2*fraction) * n)
	for i > 0 && math.Exp2((i-1)/n) >= 2*fraction {
		i--
	}
	for math.Exp2(i/n) < 2*fraction {
		i++
	}
	return int32(exponent-1)<<schema + int32(i)
}

func halve(buckets map[int32]uint64) map[int32]uint64 {
	half := make(map[int32]uint64, len(buckets))
	for i, count := range buckets {
		half[(i+1)>>1] += count
	}
	return half
}

// buckets is the state as it is shown.
func (n *native) buckets() *metric.NativeBuckets {
	return &metric.NativeBuckets{
		Schema: n.schema, ZeroThreshold: zeroThreshold, ZeroCount: n.zero,
		Positive: sorted(n.positive), Negative: sorted(n.negative),
	}
}

func sorted(buckets map[int32]uint64) []metric.NativeBucket {
	list := make([]metric.NativeBucket, 0, len(buckets))
	for i, count := range buckets {
		list = append(list, metric.NativeBucket{Index: i, Count: count})
	}
	slices.SortFunc(list, func(a, b metric.NativeBucket) int { return int(a.Index - b.Index) })
	return list
}
