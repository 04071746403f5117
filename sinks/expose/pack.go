package expose

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// piece is one family as it stands on the page.
type piece struct {
	bytes  [][]byte
	hidden int // series that cannot stand in it

	// Of the text before it was compressed, for the end of a gzip stream.
	plain int
	sum   uint32 // CRC-32
	shift uint32 // what moves a CRC-32 on by plain bytes
}

// packer turns what is written to it into pieces.
type packer interface {
	write(b []byte)
	end() piece
	// page are the bytes of pieces that follow each other, from the first to the last of a response's body.
	page(pieces []piece) [][]byte
}

// copier leaves everything as it is.
type copier struct{ now piece }

func (c *copier) write(b []byte) {
	c.now.bytes = append(c.now.bytes, bytes.Clone(b))
}

func (c *copier) end() piece {
	p := c.now
	c.now = piece{}
	return p
}

func (c *copier) page(pieces []piece) [][]byte {
	var all [][]byte
	for i := range pieces {
		all = append(all, pieces[i].bytes...)
	}
	return all
}

// zipper compresses each piece by itself and joins them to one gzip stream (RFC 1952), so that a page with one new family
// is not compressed anew. A piece is flushed to a byte's end and refers to nothing before it, which makes any row of them
// a valid row of deflate blocks (RFC 1951).
type zipper struct {
	deflate *flate.Writer
	out     bytes.Buffer
	now     piece
}

func newZipper() *zipper {
	deflate, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // an invalid level, and this one is valid
	}
	return &zipper{deflate: deflate}
}

func (z *zipper) write(b []byte) {
	if len(b) == 0 {
		return
	}
	if z.now.plain == 0 {
		z.out.Reset()
		z.deflate.Reset(&z.out)
	}
	z.now.plain += len(b)
	z.now.sum = crc32.Update(z.now.sum, crc32.IEEETable, b)
	_, _ = z.deflate.Write(b) // a buffer refuses nothing
}

func (z *zipper) end() piece {
	p := z.now
	if p.plain == 0 {
		return piece{}
	}
	_ = z.deflate.Flush() // a buffer refuses nothing
	p.bytes, p.shift = [][]byte{bytes.Clone(z.out.Bytes())}, shift(p.plain)
	z.now = piece{}
	return p
}

func (z *zipper) page(pieces []piece) [][]byte {
	head := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff} // deflate; no name, no time, no system
	last := []byte{3, 0}                                  // an empty block, marked as the last
	all, sum, plain := [][]byte{head}, uint32(0), 0
	for _, p := range pieces {
		if p.plain == 0 {
			continue
		}
		all = append(all, p.bytes...)
		sum = multiply(sum, p.shift) ^ p.sum
		plain += p.plain
	}
	last = binary.LittleEndian.AppendUint32(last, sum)
	return append(all, binary.LittleEndian.AppendUint32(last, uint32(plain)))
}

// A CRC-32 is the remainder of the text, read as a polynomial over GF(2), by crc32.IEEE. So the one of two texts in a row
// is the first one's, multiplied by x for every bit of the second, plus the second one's. Bit 31 is the coefficient of 1.

// shift is the remainder of x to the power of 8n.
func shift(n int) uint32 {
	result, power := uint32(1)<<31, uint32(1)<<(31-8)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			result = multiply(result, power)
		}
		power = multiply(power, power)
	}
	return result
}

// multiply is the remainder of the product.
func multiply(a, b uint32) uint32 {
	product := uint32(0)
	for ; a != 0; a <<= 1 {
		if a>>31 != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.IEEE
		} else {
			b >>= 1
		}
	}
	return product
}
