package ledger

import (
	"hash/maphash"
	"slices"

	"github.com/collectington/collectington/agent/metric"
)

// labelSets makes one label set for all series of a job that have the same labels, whatever metric they belong to. It finds
// the sets by an index, which only new series need: it is made for the first new series, and dropped after some ticks without
// any. While a job has series of one metric only there is no index, since the labels of these series all differ.
//
// The index can keep label sets of series that are gone, for at most a quarter of the series.
type labelSets struct {
	tables  []*table                    // all that have series
	hash    func(encoded []byte) uint32 // of a series' labels, in tables and here
	encoded []byte                      // the last encoded labels; reused

	slots   []*metric.LabelSet // open addressing by hash, nil = free; no slots = no index
	hashes  []uint32           // of the sets in slots
	used    int                // slots
	dropped int                // series that are gone since the index was made
	idle    int                // ticks since a series was new
}

// maxIdle is how many ticks without a new series the index is kept for.
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

// index makes the index.
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

// find returns the slot of the equal set with this hash, or else the free slot for it.
func (s *labelSets) find(hash uint32, equal func(*metric.LabelSet) bool) int {
	mask := len(s.slots) - 1
	at := int(hash) & mask
	for s.slots[at] != nil && (s.hashes[at] != hash || !equal(s.slots[at])) {
		at = (at + 1) & mask
	}
	return at
}

// put fills a free slot. It keeps a quarter of the slots free.
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

// grow replaces the slots by n free ones.
func (s *labelSets) grow(n int) { s.slots, s.hashes = make([]*metric.LabelSet, n), make([]uint32, n) }

// drop notes that a number of series are gone.
func (s *labelSets) drop(series int) { s.dropped += series }

// endTick frees the label sets of series that are gone, if there are many, and the index, if it is not needed. tables are all
// that have series.
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
		s.slots, s.hashes = nil, nil // the next new series makes it again
	}
}
