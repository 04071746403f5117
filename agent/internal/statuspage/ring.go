package statuspage

import "iter"

// ring is a ring buffer of the last values that were added. The zero value is empty.
type ring[T any] struct {
	values []T
	first  int // index of the oldest value
}

// add adds a value. The argument "most" is the maximum number of values. If the ring already has that many, the new value replaces the
// oldest one. The capacity never exceeds the maximum.
func (r *ring[T]) add(value T, most int) {
	switch {
	case len(r.values) == most:
		r.values[r.first] = value
		r.first = (r.first + 1) % most
		return
	case len(r.values) == cap(r.values):
		r.values = append(make([]T, 0, min(most, max(4, 2*len(r.values)))), r.values...)
	}
	r.values = append(r.values, value)
}

func (r *ring[T]) len() int { return len(r.values) }

// back returns the value that was added n values before the newest; back(0) is the newest.
func (r *ring[T]) back(n int) *T {
	return &r.values[(r.first+2*len(r.values)-1-n)%len(r.values)]
}

// last iterates over the last n values, oldest first.
func (r *ring[T]) last(n int) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := min(n, len(r.values)) - 1; i >= 0; i-- {
			if !yield(r.back(i)) {
				return
			}
		}
	}
}

// newest iterates over all values, newest first.
func (r *ring[T]) newest() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range r.values {
			if !yield(r.back(i)) {
				return
			}
		}
	}
}
