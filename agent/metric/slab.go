package metric

// slab allocates values of one type that are all released at the same time, so that each tick reuses the memory of the tick before. When
// the slab grows, it allocates a new block, so existing values stay valid.
type slab[T any] struct {
	block []T
	used  int
}

// minSlab is the size of the first block, in values.
const minSlab = 64

// one returns a single value. It may contain data from an earlier use.
func (s *slab[T]) one() *T { return &s.some(1)[0] }

// some returns n consecutive values. They may contain data from an earlier use.
func (s *slab[T]) some(n int) []T {
	if s.used+n > len(s.block) {
		s.block, s.used = make([]T, max(minSlab, 2*len(s.block), n)), 0
	}
	values := s.block[s.used : s.used+n : s.used+n]
	s.used += n
	return values
}

func (s *slab[T]) reset() { s.used = 0 }
