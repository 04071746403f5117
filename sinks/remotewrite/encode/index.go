package encode

import "math/bits"

// index finds series by their hashes. It is a hash table with open addressing. It can hold a million series, for which a map would take two
// to three times the memory. The zero value is an empty index.
type index struct {
	slots []*series // nil = free. At least a quarter is free
	used  int
}

// minSlots is the minimum number of slots of an index that is not empty.
const minSlots = 8

// home returns the slot in which the search for a hash begins. The method next returns the slot to search after another slot.
func (x *index) home(hash uint64) int {
	high, _ := bits.Mul64(hash, uint64(len(x.slots)))
	return int(high)
}

func (x *index) next(slot int) int {
	if slot++; slot < len(x.slots) {
		return slot
	}
	return 0
}

// after returns how many slots slot is after from.
func (x *index) after(from, slot int) int { return (slot - from + len(x.slots)) % len(x.slots) }

// find returns the slot of the series with this hash, or if there is none, the free slot for it. The index must have slots.
func (x *index) find(hash uint64) int {
	slot := x.home(hash)
	for x.slots[slot] != nil && x.slots[slot].hash != hash {
		slot = x.next(slot)
	}
	return slot
}

// get returns the series with this hash, or nil.
func (x *index) get(hash uint64) *series {
	if x.used == 0 {
		return nil
	}
	return x.slots[x.find(hash)]
}

// put adds a series. The index must not have a series with the same hash.
func (x *index) put(s *series) {
	if 4*(x.used+1) > 3*len(x.slots) {
		x.resize(max(len(x.slots)/2*3, minSlots))
	}
	x.slots[x.find(s.hash)] = s
	x.used++
}

// remove removes the series with this hash, if there is one. The slot that becomes free would end the search for some other series too
// early, so such a series is moved into the free slot.
func (x *index) remove(hash uint64) {
	if x.get(hash) == nil {
		return
	}
	free := x.find(hash)
	for slot := x.next(free); x.slots[slot] != nil; slot = x.next(slot) {
		if home := x.home(x.slots[slot].hash); x.after(home, slot) >= x.after(free, slot) {
			x.slots[free], free = x.slots[slot], slot
		}
	}
	x.slots[free] = nil
	x.used--
	if 8*x.used < len(x.slots) && len(x.slots) > minSlots {
		x.resize(max(2*x.used, minSlots))
	}
}

// resize moves all series to a table of n slots.
func (x *index) resize(n int) {
	old := x.slots
	x.slots = make([]*series, n)
	for _, s := range old {
		if s != nil {
			x.slots[x.find(s.hash)] = s
		}
	}
}

// all yields all series.
func (x *index) all(yield func(*series) bool) {
	for _, s := range x.slots {
		if s != nil && !yield(s) {
			return
		}
	}
}
