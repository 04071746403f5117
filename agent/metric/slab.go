package metric

// slab allocates values of one type that are all released at once, so that a tick reuses the memory of the last one.
// Values stay valid when the slab grows, since it grows by a new block.
type slab[T any] struct {
	block []T
	used  int
}

// minSlab is the size of the first block.
const minSlab = 64

// one returns a value. It may hold data of its last use.
func (s *slab[T]) one() *T { return &s.some(1)[0] }

// some returns n consecutive values. They may hold data of their last use.
func (s *slab[T]) some(n int) []T {
	if s.used+n > len(s.block) {
		s.block, s.used = make([]T, max(minSlab, 2*len(s.block), n)), 0
	}
	values := s.block[s.used : s.used+n : s.used+n]
	s.used += n
	return values
}

func (s *slab[T]) reset() { s.used = 0 }
