package encode

import (
	"math/rand/v2"
	"testing"
)

// TestIndexIsLikeAMap checks that an index has the same series as a map, whatever is added and removed. There are only few different
// hashes, at both ends of the range, so that series share a home and searches go over the end of the table.
func TestIndexIsLikeAMap(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		x, want := index{}, map[uint64]*series{}
		hash := func() uint64 {
			h := r.Uint64N(1 + 1<<r.UintN(10))
			switch r.UintN(3) {
			case 0:
				return -h
			case 1:
				return h << 54
			}
			return h
		}
		removals := r.UintN(100)
		for range 2000 {
			h := hash()
			if r.UintN(100) < removals {
				x.remove(h)
				delete(want, h)
			} else if want[h] == nil {
				want[h] = &series{hash: h}
				x.put(want[h])
			}
			if probe := hash(); x.get(probe) != want[probe] || x.used != len(want) {
				t.Fatalf("seed %d: got %v for %x of %d series, want %v of %d", seed, x.get(probe), probe, x.used, want[probe], len(want))
			}
		}
		for h, s := range want {
			if x.get(h) != s {
				t.Fatalf("seed %d: %x is not found", seed, h)
			}
		}
		n := 0
		for range x.all {
			n++
		}
		if n != len(want) || 8*x.used < len(x.slots) && len(x.slots) > minSlots && removals > 0 && x.used > 0 {
			t.Fatalf("seed %d: %d series in %d slots, want %d series", seed, n, len(x.slots), len(want))
		}
	}
}
