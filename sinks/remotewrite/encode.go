package remotewrite

import "github.com/collectington/collectington/agent/metric"

// run is how many of the samples, from the first on, are of one series: they go into one message.
func run(samples []sample) int {
	n := 1
	for n < len(samples) && samples[n].series == samples[0].series {
		n++
	}
	return n
}

// spans writes buckets as both protocols do: runs of neighbouring buckets, each with its distance from the one before, and
// for each bucket by how much its count differs from the bucket before.
func spans[Span any](buckets []metric.NativeBucket, span func(offset int32, length uint32) Span) (all []Span, deltas []int64) {
	if len(buckets) == 0 {
		return nil, nil
	}
	deltas = make([]int64, len(buckets))
	var count int64
	for i, b := range buckets {
		deltas[i] = int64(b.Count) - count
		count = int64(b.Count)
	}
	after := int32(0) // the index behind the last bucket
	for len(buckets) > 0 {
		n := 1
		for n < len(buckets) && buckets[n].Index == buckets[0].Index+int32(n) {
			n++
		}
		all = append(all, span(buckets[0].Index-after, uint32(n)))
		after = buckets[0].Index + int32(n)
		buckets = buckets[n:]
	}
	return all, deltas
}
