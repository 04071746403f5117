package wire

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/collectington/collectington/agent/metric"
)

// appendHistogram writes the native buckets of h. Count and zero count are members of a oneof, so they are there even at zero.
func appendHistogram(dst []byte, field byte, h *metric.HistogramValue, time, start int64) []byte {
	n := h.Native
	dst, at := begin(dst, field)
	dst = appendCount(dst, histogramCount, h.Count, n.Fractions)
	dst = appendDouble(dst, histogramSum, h.Sum)
	dst = appendUint(dst, histogramSchema, protowire.EncodeZigZag(int64(n.Schema)))
	dst = appendDouble(dst, histogramZeroThreshold, n.ZeroThreshold)
	dst = appendCount(dst, histogramZeroCount, n.ZeroCount, n.Fractions)
	dst = appendBuckets(dst, histogramNegative, n.Negative, n.Fractions)
	dst = appendBuckets(dst, histogramPositive, n.Positive, n.Fractions)
	if n.Gauge {
		dst = appendUint(dst, histogramHint, hintGauge)
	}
	dst = appendInt(dst, histogramTime, time)
	if len(n.Bounds) > 0 {
		dst = protowire.AppendTag(dst, histogramBounds, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(8*len(n.Bounds)))
		for _, bound := range n.Bounds {
			dst = protowire.AppendFixed64(dst, math.Float64bits(bound))
		}
	}
	if start != 0 {
		dst = protowire.AppendTag(dst, histogramStart, protowire.VarintType)
		dst = appendVarint(dst, uint64(start))
	}
	return end(dst, at)
}

// appendCount writes a count, which as a fraction has the field behind.
func appendCount(dst []byte, field byte, count uint64, fraction bool) []byte {
	if fraction {
		return protowire.AppendFixed64(append(dst, (field+1)<<3|fixed64), count)
	}
	return appendUint(dst, field, count)
}

// appendBuckets writes runs of neighbouring buckets, each with its distance from the one before, and for each bucket its
// count: a whole number by how much it differs from that of the bucket before, a fraction as it is.
func appendBuckets(dst []byte, field byte, buckets []metric.NativeBucket, fractions bool) []byte {
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
	if fractions {
		dst, at := begin(dst, field+2)
		for _, b := range buckets {
			dst = protowire.AppendFixed64(dst, b.Count)
		}
		return end(dst, at)
	}
	dst, at := begin(dst, field+1)
	last := uint64(0)
	for _, b := range buckets {
		dst = appendVarint(dst, protowire.EncodeZigZag(int64(b.Count-last)))
		last = b.Count
	}
	return end(dst, at)
}
