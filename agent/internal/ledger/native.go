package ledger

import (
	"math"
	"slices"

	"github.com/collectington/collectington/agent/metric"
)

// A native histogram starts with buckets that grow by a factor of 2^(1/8) (about 9 %). When there are more than maxNative
// buckets, each pair of neighbors is merged. The width of the zero bucket is client_golang's default.
const (
	firstSchema   = 3
	minSchema     = -4
	maxNative     = 160
	zeroThreshold = 2.938735877055719e-39 // 2^-128
)

// native is a count of observations in exponential buckets. Bucket i contains the values in (2^((i-1)/2^schema), 2^(i/2^schema)].
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

// bucketOf returns the index of the bucket that contains v, which must be greater than 0.
func bucketOf(v float64, schema int32) int32 {
	fraction, exponent := math.Frexp(v) // v = fraction · 2^exponent, 0.5 ≤ fraction < 1
	if schema <= 0 {
		i := int32(exponent)
		if fraction == 0.5 {
			i--
		}
		return (i + (1 << -schema) - 1) >> -schema
	}
	// The bounds 2^(i/8) / 2 for i from 0 to 7. The numbers are those of Prometheus' libraries, so that a value equal to a
	// bound falls into the same bucket everywhere.
	bounds := [1 << firstSchema]float64{
		0.5, 0.5452538663326288, 0.5946035575013605, 0.6484197773255048,
		0.7071067811865475, 0.7711054127039704, 0.8408964152537144, 0.9170040432046711,
	}
	i, step := 0, 1<<(firstSchema-schema)
	for i < len(bounds) && bounds[i] < fraction {
		i += step
	}
	return int32(exponent-1)<<schema + int32(i/step)
}

// halve merges each pair of neighboring buckets into one bucket of the next lower schema.
func halve(buckets map[int32]uint64) map[int32]uint64 {
	half := make(map[int32]uint64, len(buckets))
	for i, count := range buckets {
		half[(i+1)>>1] += count
	}
	return half
}

// buckets returns the buckets in the format of a batch.
func (n *native) buckets() *metric.NativeBuckets {
	return &metric.NativeBuckets{
		Schema: n.schema, ZeroThreshold: zeroThreshold, ZeroCount: n.zero,
		Positive: sorted(n.positive), Negative: sorted(n.negative),
	}
}

// sorted returns the buckets sorted by index.
func sorted(buckets map[int32]uint64) []metric.NativeBucket {
	list := make([]metric.NativeBucket, 0, len(buckets))
	for i, count := range buckets {
		list = append(list, metric.NativeBucket{Index: i, Count: count})
	}
	slices.SortFunc(list, func(a, b metric.NativeBucket) int { return int(a.Index - b.Index) })
	return list
}
