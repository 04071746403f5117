package setting

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size in bytes. It is written as 512KiB, 64MiB or 1GiB, as 5MB or 1GB (powers of ten), or as a plain number.
type Bytes int64

var errBytes = errors.New("want a size such as 512KiB, 64MiB or 1GiB")

type byteUnit struct {
	suffix string
	size   int64
}

// units returns the units in the order in which they are tried. A suffix must come before the shorter suffixes with which it ends,
// such as MiB before B.
func units() []byteUnit {
	return []byteUnit{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"B", 1},
		{"", 1},
	}
}

// UnmarshalText parses a whole number and a unit. It does not accept a size that needs more than 63 bits.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := string(text)
	for _, u := range units() {
		digits, found := strings.CutSuffix(s, u.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.size {
			return errBytes
		}
		*b = Bytes(n * u.size)
		return nil
	}
	return errBytes
}

// String returns the size in the largest unit of which it is a multiple.
func (b Bytes) String() string {
	for _, u := range units() {
		if u.size > 1 && b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText returns the same text as String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
