package ledger

import (
	"hash/maphash"
	"slices"

	"github.com/collectington/collectington/agent/metric"
)

// labelSets makes one label set for all series of a job that have the same labels, even if the series belong to different metrics. It
// finds the sets by an index. Only new series need the index: it is made for the first new series, and dropped after some ticks without
// new series. If only one metric has series, no index is made, because the labels of these series all differ.
//
// The index can contain label sets of series that are gone, for at most a quarter of the series.
type labelSets struct {
	tables  []*table                    // all tables that have series
	hash    func(encoded []byte) uint32 // hash of a series' encoded labels, used by the tables and by the index
	encoded []byte                      // labels encoded last; the memory is reused

	slots   []*metric.LabelSet // hash table with open addressing; nil entry = free; no slots = no index
	hashes  []uint32           // hashes of the sets in slots
	used    int                // number of slots in use
	dropped int                // number of series that are gone since the index was made
	idle    int                // ticks since the last new series
}

// maxIdle is the number of ticks without a new series after which the index is dropped.
const maxIdle = 16

func newLabelSets() *labelSets {
	seed := maphash.MakeSeed()
	return &labelSets{hash: func(encoded []byte) uint32 { return uint32(maphash.Bytes(seed, encoded)) }}
}

// get returns the label set of a new series of the table.
func (s *labelSets) get(t *table, hash uint32, encoded []byte) *metric.LabelSet {
	s.idle = 0
	if s.slots == nil {
		if !slices.ContainsFunc(s.tables, func(other *table) bool { return other != t && len(other.entries) > 0 }) {
			return metric.LabelSetOf(encoded)
		}
		s.index()
	}
	at := s.find(hash, func(set *metric.LabelSet) bool { return set.Is(encoded) })
	if s.slots[at] == nil {
		set := metric.LabelSetOf(encoded)
		s.put(at, hash, set)
		return set
	}
	return s.slots[at]
}

// index makes the index from the series of all tables.
func (s *labelSets) index() {
	s.grow(16)
	s.used, s.dropped = 0, 0
	for _, t := range s.tables {
		for i := range t.entries {
			e := &t.entries[i]
			at := s.find(e.hash, func(set *metric.LabelSet) bool { return set == e.labels })
			if s.slots[at] == nil {
				s.put(at, e.hash, e.labels)
			}
		}
	}
}

// find returns the slot of the set that has this hash and for which the result of equal is true. If there is no such set, it returns the
// free slot in which such a set belongs.
func (s *labelSets) find(hash uint32, equal func(*metric.LabelSet) bool) int {
	mask := len(s.slots) - 1
	at := int(hash) & mask
	for s.slots[at] != nil && (s.hashes[at] != hash || !equal(s.slots[at])) {
		at = (at + 1) & mask
	}
	return at
}

// put fills a free slot. At least a quarter of the slots remains free: put doubles their number if necessary.
func (s *labelSets) put(at int, hash uint32, set *metric.LabelSet) {
	s.slots[at], s.hashes[at] = set, hash
	if s.used++; 4*s.used < 3*len(s.slots) {
		return
	}
	slots, hashes := s.slots, s.hashes
	s.grow(2 * len(slots))
	for i, set := range slots {
		if set != nil {
			free := s.find(hashes[i], func(*metric.LabelSet) bool { return false })
			s.slots[free], s.hashes[free] = set, hashes[i]
		}
	}
}

// grow replaces the slots by n free slots.
func (s *labelSets) grow(n int) { s.slots, s.hashes = make([]*metric.LabelSet, n), make([]uint32, n) }

// drop notes that a table has removed this many series.
func (s *labelSets) drop(series int) { s.dropped += series }

// endTick drops the index if it is not needed, or if many of its label sets are of series that are gone. The argument "tables" has all
// tables that have series.
func (s *labelSets) endTick(tables []*table) {
	clear(s.tables)
	s.tables = append(s.tables[:0], tables...)
	if s.idle++; s.slots == nil {
		s.dropped = 0
		return
	}
	series := 0
	for _, t := range tables {
		series += len(t.entries)
	}
	if s.idle > maxIdle || 4*s.dropped > series {
		s.slots, s.hashes = nil, nil // the next new series makes the index again
	}
}
