package ledger

import (
	"encoding/binary"
	"errors"
	"math"
)

// writer appends values to a snapshot: whole numbers as varints, floats as their eight bytes, texts behind their length.
type writer struct{ b []byte }

func (w *writer) uint(n uint64)   { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) int(n int64)     { w.b = binary.AppendVarint(w.b, n) }
func (w *writer) float(f float64) { w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(f)) }
func (w *writer) text(s string)   { w.count(len(s)); w.b = append(w.b, s...) }
func (w *writer) count(n int)     { w.uint(uint64(n)) }

// bools writes up to eight truths as one byte.
func (w *writer) bools(list ...bool) {
	flags := byte(0)
	for i, b := range list {
		if b {
			flags |= 1 << i
		}
	}
	w.b = append(w.b, flags)
}

// reader takes values from a snapshot. After an error it yields zeros.
type reader struct {
	s   string // what is left
	err error
}

var errShort = errors.New("it ends too early")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.s = ""
}

// take takes the next n bytes; n is not above 0 where a number is not whole.
func (r *reader) take(n int) (taken string) {
	if n <= 0 || n > len(r.s) {
		r.fail(errShort)
		return ""
	}
	taken, r.s = r.s[:n], r.s[n:]
	return taken
}

func (r *reader) head() []byte { return []byte(r.s[:min(len(r.s), binary.MaxVarintLen64)]) }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.head())
	r.take(n)
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.head())
	r.take(n)
	return v
}

func (r *reader) float() float64 {
	b := [8]byte{}
	copy(b[:], r.take(len(b)))
	return math.Float64frombits(binary.LittleEndian.Uint64(b[:]))
}

// count is how many things follow, each of which takes at least size bytes: it promises no more than there can be.
func (r *reader) count(size int) int {
	n := r.uint()
	if n > uint64(len(r.s)/size) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

// text is a part of the snapshot, and keeps all of it in memory.
func (r *reader) text() string {
	n := r.count(1)
	if n == 0 {
		return ""
	}
	return r.take(n)
}

func (r *reader) bools(list ...*bool) {
	flags := r.take(1)
	for i, b := range list {
		*b = flags != "" && flags[0]&(1<<i) != 0
	}
}
