package wire

import (
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/collectington/collectington/agent/metric"
)

// The field numbers of prometheus.WriteRequest (1.0) and its messages.
const (
	// Fields of a request.
	series1   = 1
	metadata1 = 3

	// Fields of a series.
	exemplar1  = 3
	histogram1 = 4

	labelName  = 1
	labelValue = 2

	// Fields of the metadata of a family.
	familyType = 1
	familyName = 2
	familyHelp = 4
	familyUnit = 5
)

// The field numbers of io.prometheus.write.v2.Request (2.0) and its messages.
const (
	// Fields of a request.
	symbol2 = 4
	series2 = 5

	// Fields of a series.
	histogram2 = 3
	exemplar2  = 4
	metadata2  = 5

	metadataType = 1
	metadataHelp = 3
	metadataUnit = 4
)

// The field numbers that are the same in both protocols.
const (
	seriesLabels = 1 // in 1.0 a message for each label, in 2.0 a packed list of symbol references
	seriesSample = 2

	sampleValue = 1
	sampleTime  = 2
	sampleStart = 3 // only in 2.0

	exemplarLabels = 1 // encoded like seriesLabels
	exemplarValue  = 2
	exemplarTime   = 3

	histogramCount         = 1 // an integer; field 2 is the same number as a float
	histogramSum           = 3
	histogramSchema        = 4
	histogramZeroThreshold = 5
	histogramZeroCount     = 6  // an integer; field 7 is the same number as a float
	histogramNegative      = 8  // spans; field 9 has the counts as deltas of integers, field 10 as floats
	histogramPositive      = 11 // spans; fields 12 and 13 have the counts in the same way
	histogramHint          = 14
	histogramTime          = 15
	histogramBounds        = 16
	histogramStart         = 17 // only in 2.0

	spanOffset = 1
	spanLength = 2
)

// hintGauge is the reset hint of a gauge histogram. Other histograms need no hint, since receivers detect their resets.
const hintGauge = 3

// typeNumber returns the number of a metric type. The number is the same in both protocols.
func typeNumber(t metric.Type) uint64 {
	switch t {
	case metric.Counter:
		return 1
	case metric.Gauge:
		return 2
	case metric.Histogram:
		return 3
	case metric.Summary:
		return 5
	case metric.GaugeHistogram:
		return 4
	case metric.Info:
		return 6
	case metric.StateSet:
		return 7
	}
	return 0
}

// The wire types. The tag of a field is number<<3 | type (https://protobuf.dev/programming-guides/encoding/), one byte for
// numbers below 16.
const (
	varint  = byte(protowire.VarintType)
	fixed64 = byte(protowire.Fixed64Type)
	message = byte(protowire.BytesType)
)

func appendUint(dst []byte, field byte, v uint64) []byte {
	return appendVarint(append(dst, field<<3|varint), v)
}

// appendVarint is protowire.AppendVarint with the most frequent case inlined.
func appendVarint(dst []byte, v uint64) []byte {
	if v < 0x80 {
		return append(dst, byte(v))
	}
	return protowire.AppendVarint(dst, v)
}

// appendInt appends an int64 field. A negative number takes ten bytes.
func appendInt(dst []byte, field byte, v int64) []byte { return appendUint(dst, field, uint64(v)) }

// appendDouble appends a double field, even if it is zero. Leaving out zeros would not make the compressed request smaller, and it
// would change negative zeros to zeros.
func appendDouble(dst []byte, field byte, v float64) []byte {
	return protowire.AppendFixed64(append(dst, field<<3|fixed64), math.Float64bits(v))
}

func appendString(dst []byte, field byte, s string) []byte {
	return protowire.AppendString(append(dst, field<<3|message), s)
}

// beginMessage begins a message or a packed list. The result "start" is the index, in the result "out", at which the contents of the
// message or list will begin.
func beginMessage(dst []byte, field byte) (out []byte, start int) {
	dst = append(dst, field<<3|message, 0)
	return dst, len(dst)
}

// endMessage writes the size of a message before its contents. One byte is reserved for the size. If the size takes more bytes, the
// contents are moved.
func endMessage(dst []byte, start int) []byte {
	size := len(dst) - start
	if size < 0x80 {
		dst[start-1] = byte(size)
		return dst
	}
	more := protowire.SizeVarint(uint64(size)) - 1
	for range more {
		dst = append(dst, 0)
	}
	copy(dst[start+more:], dst[start:start+size])
	protowire.AppendVarint(dst[:start-1], uint64(size))
	return dst
}

// appendLabel1 appends a label as a field of a 1.0 series.
func appendLabel1(dst []byte, name, value string) []byte {
	dst, start := beginMessage(dst, seriesLabels)
	dst = appendString(dst, labelName, name)
	return endMessage(appendString(dst, labelValue, value), start)
}

var (
	errUnknown   = errors.New("unknown field")
	errTruncated = errors.New("truncated")
)

// field is a decoded field of a message. Its value is in uint or bytes, depending on the wire type.
type field struct {
	tag   byte
	uint  uint64 // value of a varint or fixed64
	bytes []byte // value of a message, a string or a packed list
}

// readField reads the first field of raw. The argument "raw" must not be empty.
func readField(raw []byte) (f field, rest []byte, err error) {
	tag, n := protowire.ConsumeVarint(raw)
	if n < 0 {
		return f, nil, errTruncated
	}
	if tag > 0xff {
		return f, nil, errUnknown
	}
	f.tag, raw = byte(tag), raw[n:]
	switch f.tag & 7 {
	case varint:
		f.uint, n = protowire.ConsumeVarint(raw)
	case fixed64:
		f.uint, n = protowire.ConsumeFixed64(raw)
	case message:
		f.bytes, n = protowire.ConsumeBytes(raw)
	default:
		return f, nil, errUnknown
	}
	if n < 0 {
		return f, nil, errTruncated
	}
	return f, raw[n:], nil
}

// eachField calls the function "read" for every field of a message.
func eachField(raw []byte, read func(field) error) error {
	for len(raw) > 0 {
		f, rest, err := readField(raw)
		if err != nil {
			return err
		}
		if err := read(f); err != nil {
			return err
		}
		raw = rest
	}
	return nil
}
