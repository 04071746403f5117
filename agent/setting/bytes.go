package setting

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size, written as 512KiB, 64MiB, 1GiB, or with kB, MB, GB for powers of ten, or as a plain number of bytes.
type Bytes int64

var errBytes = errors.New("want a size such as 512KiB, 64MiB or 1GiB")

type byteUnit struct {
	suffix string
	size   int64
}

// units are tried in order, so that a suffix stands before those it ends with.
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

// UnmarshalText reads a whole number and a unit; a size that does not fit 63 bits is refused.
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

// String uses the largest unit that divides the size.
func (b Bytes) String() string {
	for _, u := range units() {
		if u.size > 1 && b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText is String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
