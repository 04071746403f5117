package expose

import (
	"bytes"
	"compress/gzip"
	"hash/crc32"
	"io"
	"testing"
)

// FuzzGzipPacker cuts a text into pieces and packs them. It checks that the stream is decompressed to the same text.
func FuzzGzipPacker(f *testing.F) {
	f.Add([]byte("some text that is not long"), []byte{3, 0, 5, 200})
	f.Add([]byte{}, []byte{})
	f.Add(bytes.Repeat([]byte("again and "), 9000), []byte{255, 1, 1, 255, 90})
	f.Fuzz(func(t *testing.T, text, lengths []byte) {
		z := newGzipPacker()
		var pieces []piece
		rest := text
		for _, n := range lengths {
			cut := min(len(rest), int(n)*int(n))
			z.write(rest[:cut/2])
			z.write(rest[cut/2 : cut])
			pieces = append(pieces, z.end())
			rest = rest[cut:]
		}
		z.write(rest)
		pieces = append(pieces, z.end())
		r, err := gzip.NewReader(bytes.NewReader(bytes.Join(z.page(pieces), nil)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes come back as %d, %v", len(text), len(got), err)
		}
	})
}

// FuzzShift checks that the CRC of two joined texts can be computed from the CRCs of the two texts.
func FuzzShift(f *testing.F) {
	f.Add([]byte("first"), []byte("second"))
	f.Add([]byte{}, []byte{0})
	f.Add([]byte{1}, bytes.Repeat([]byte{7}, 70_000))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		got := multiply(crc32.ChecksumIEEE(a), shift(len(b))) ^ crc32.ChecksumIEEE(b)
		if want := crc32.ChecksumIEEE(append(a, b...)); got != want {
			t.Errorf("got %x, want %x", got, want)
		}
	})
}
