package scrape

// index finds the entries of one target by the hash of their line. It is made when a page has a line that the last page
// did not have in its place, and lasts for that page.
type index struct {
	entries []*entry // those of the last page, in their order, and behind them those that are new
	old     int      // how many the last page had
	slots   []int32  // open addressing by hash: a place in entries, from 1; 0 = free. At most half are taken
}

// begin takes the entries of the last page.
func (x *index) begin(before []*entry) {
	x.entries, x.old = append(x.entries[:0], before...), len(before)
	x.fill(4 * len(before))
}

// fresh are the entries that the last page did not have.
func (x *index) fresh() []*entry { return x.entries[x.old:] }

// find is the place of the entry of this hash and length, -1 where there is none.
func (x *index) find(hash uint64, length int) int {
	for slot := x.first(hash); x.slots[slot] != 0; slot = x.next(slot) {
		at := int(x.slots[slot]) - 1
		if e := x.entries[at]; e.hash == hash && int(e.length) == length {
			return at
		}
	}
	return -1
}

func (x *index) add(e *entry) {
	x.entries = append(x.entries, e)
	if 2*len(x.entries) > len(x.slots) {
		x.fill(4 * len(x.entries))
	} else {
		x.put(len(x.entries) - 1)
	}
}

// fill puts all entries into at least so many slots.
func (x *index) fill(n int) {
	size := 64
	for size < n {
		size *= 2
	}
	if size <= cap(x.slots) {
		x.slots = x.slots[:size]
		clear(x.slots)
	} else {
		x.slots = make([]int32, size)
	}
	for at := range x.entries {
		x.put(at)
	}
}

func (x *index) put(at int) {
	slot := x.first(x.entries[at].hash)
	for x.slots[slot] != 0 {
		slot = x.next(slot)
	}
	x.slots[slot] = int32(at) + 1
}

func (x *index) first(hash uint64) int { return int(hash & uint64(len(x.slots)-1)) }
func (x *index) next(slot int) int     { return (slot + 1) & (len(x.slots) - 1) }

// reset forgets all, and gives much memory back.
func (x *index) reset() {
	clear(x.entries)
	x.entries, x.slots, x.old = x.entries[:0], x.slots[:0], 0
	if cap(x.slots) > 1<<14 {
		*x = index{}
	}
}
