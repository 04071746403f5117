package wire

import (
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The wire types, as a field's tag has them: number<<3 | type (https://protobuf.dev/programming-guides/encoding/). All
// field numbers below 16 make tags of one byte.
const (
	varint  = byte(protowire.VarintType)
	fixed64 = byte(protowire.Fixed64Type)
	message = byte(protowire.BytesType)
)

func appendUint(dst []byte, field byte, v uint64) []byte {
	return appendVarint(append(dst, field<<3|varint), v)
}

// appendVarint is protowire's, with its most frequent case in line.
func appendVarint(dst []byte, v uint64) []byte {
	if v < 0x80 {
		return append(dst, byte(v))
	}
	return protowire.AppendVarint(dst, v)
}

// appendInt writes an int64, of which a negative one takes ten bytes.
func appendInt(dst []byte, field byte, v int64) []byte { return appendUint(dst, field, uint64(v)) }

// appendDouble writes a number, zero too: its bytes cost nothing after compression, leaving them out would make the
// messages differ in size, and a negative zero would arrive as zero.
func appendDouble(dst []byte, field byte, v float64) []byte {
	return protowire.AppendFixed64(append(dst, field<<3|fixed64), math.Float64bits(v))
}

func appendString(dst []byte, field byte, s string) []byte {
	return protowire.AppendString(append(dst, field<<3|message), s)
}

// begin opens a message of unknown size, or a packed list; end closes the one whose contents begin at start.
func begin(dst []byte, field byte) (out []byte, start int) {
	dst = append(dst, field<<3|message, 0)
	return dst, len(dst)
}

// end puts the size in its place. It has one byte there, most often enough; for more, the contents make room.
func end(dst []byte, start int) []byte {
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

func appendLabel1(dst []byte, name, value string) []byte {
	dst, start := begin(dst, seriesLabels)
	dst = appendString(dst, labelName, name)
	return end(appendString(dst, labelValue, value), start)
}

var (
	errUnknown = errors.New("a field that none of ours has")
	errCut     = errors.New("it is cut off")
)

// field is one field of a message: its tag, and the value in one of two forms.
type field struct {
	tag   byte
	uint  uint64 // of a varint or fixed64
	bytes []byte // of a message, a string or a packed list
}

// next reads the first field of raw, which is not empty.
func next(raw []byte) (f field, rest []byte, err error) {
	tag, n := protowire.ConsumeVarint(raw)
	if n < 0 {
		return f, nil, errCut
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
		return f, nil, errCut
	}
	return f, raw[n:], nil
}

// each calls read with every field of a message.
func each(raw []byte, read func(field) error) error {
	for len(raw) > 0 {
		f, rest, err := next(raw)
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
