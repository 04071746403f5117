package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/collectington/collectington/agent/metric"
)

// appendHistogram writes the native buckets of h. Count and zero count are members of a oneof, so they are there even at zero.
func appendHistogram(dst []byte, field byte, h *metric.HistogramValue, time, start int64) []byte {
	n := h.Native
	dst, at := begin(dst, field)
	dst = appendUint(dst, histogramCount, h.Count)
	dst = appendDouble(dst, histogramSum, h.Sum)
	dst = appendUint(dst, histogramSchema, protowire.EncodeZigZag(int64(n.Schema)))
	dst = appendDouble(dst, histogramZeroThreshold, n.ZeroThreshold)
	dst = appendUint(dst, histogramZeroCount, n.ZeroCount)
	dst = appendBuckets(dst, histogramNegative, n.Negative)
	dst = appendBuckets(dst, histogramPositive, n.Positive)
	dst = appendInt(dst, histogramTime, time)
	if start != 0 {
		dst = protowire.AppendTag(dst, histogramStart, protowire.VarintType)
		dst = appendVarint(dst, uint64(start))
	}
	return end(dst, at)
}

// appendBuckets writes runs of neighbouring buckets, each with its distance from the one before, and for each bucket by
// how much its count differs from the bucket before.
func appendBuckets(dst []byte, field byte, buckets []metric.NativeBucket) []byte {
	if len(buckets) == 0 {
		return dst
	}
	after := int32(0) // the index behind the last bucket
	for rest := buckets; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Index == rest[0].Index+int32(n) {
			n++
		}
		var at int
		dst, at = begin(dst, field)
		dst = appendUint(dst, spanOffset, protowire.EncodeZigZag(int64(rest[0].Index-after)))
		dst = end(appendUint(dst, spanLength, uint64(n)), at)
		after = rest[0].Index + int32(n)
		rest = rest[n:]
	}
	dst, at := begin(dst, field+1)
	last := uint64(0)
	for _, b := range buckets {
		dst = appendVarint(dst, protowire.EncodeZigZag(int64(b.Count-last)))
		last = b.Count
	}
	return end(dst, at)
}
