package metric

// slab lends values of one type that are all taken back at once, so that what is made anew at each tick costs no
// allocation. What has been lent stays valid when the slab grows: it grows by a new block.
type slab[T any] struct {
	block []T
	used  int
}

// minSlab is the size of the first block.
const minSlab = 64

// one lends a value, which may hold what it held when it was lent before.
func (s *slab[T]) one() *T { return &s.some(1)[0] }

// some lends n values next to each other.
func (s *slab[T]) some(n int) []T {
	if s.used+n > len(s.block) {
		s.block, s.used = make([]T, max(minSlab, 2*len(s.block), n)), 0
	}
	lent := s.block[s.used : s.used+n : s.used+n]
	s.used += n
	return lent
}

func (s *slab[T]) reset() { s.used = 0 }
