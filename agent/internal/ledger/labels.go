package ledger

import (
	"hash/maphash"

	"github.com/collectington/collectington/agent/metric"
)

// labelSets makes one label set for all series of a job that have the same labels, whatever metric they are of. It is an
// index by hash of the sets in use. The sets of dropped series stay in it until they are a quarter of it.
//
// The series of one metric all have different labels. As long as there is only one metric, there is no index.
type labelSets struct {
	encoded []byte                      // of the labels looked up last; reused
	hash    func(encoded []byte) uint32 // the same for all tables

	only    *table             // the one table with series, while there is no index
	slots   []*metric.LabelSet // open addressing by hash, nil = free; no slots = no index yet
	hashes  []uint32           // of the sets in slots
	used    int                // slots
	dropped int                // series since the index was made
}

func newLabelSets() *labelSets {
	seed := maphash.MakeSeed()
	return &labelSets{hash: func(encoded []byte) uint32 { return uint32(maphash.Bytes(seed, encoded)) }}
}

// get returns the set of the encoded labels, for a new series of the table.
func (s *labelSets) get(t *table, hash uint32, encoded []byte) *metric.LabelSet {
	if s.slots == nil {
		if s.only == nil {
			s.only = t
		}
		if s.only == t {
			return metric.LabelSetOf(encoded)
		}
		s.index(s.only)
	}
	at := s.find(hash, func(set *metric.LabelSet) bool { return set.Is(encoded) })
	if s.slots[at] == nil {
		set := metric.LabelSetOf(encoded)
		s.put(at, hash, set)
		return set
	}
	return s.slots[at]
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

func (s *labelSets) grow(n int) { s.slots, s.hashes = make([]*metric.LabelSet, n), make([]uint32, n) }

// drop notes that a number of series are gone.
func (s *labelSets) drop(series int) { s.dropped += series }

// sweep frees the sets that no series uses any more, if many series have been dropped. tables are all tables of the ledger.
func (s *labelSets) sweep(tables []*table) {
	if s.dropped == 0 {
		return
	}
	series, filled := 0, []*table(nil)
	for _, t := range tables {
		if len(t.entries) > 0 {
			series += len(t.entries)
			filled = append(filled, t)
		}
	}
	switch {
	case 4*s.dropped <= series:
	case len(filled) > 1:
		s.index(filled...)
	default:
		s.slots, s.hashes, s.used, s.dropped, s.only = nil, nil, 0, 0, nil
		if len(filled) == 1 {
			s.only = filled[0]
		}
	}
}

// index makes the index of the sets of the tables.
func (s *labelSets) index(tables ...*table) {
	s.grow(16)
	s.used, s.dropped, s.only = 0, 0, nil
	for _, t := range tables {
		for i := range t.entries {
			e := &t.entries[i]
			at := s.find(e.hash, func(set *metric.LabelSet) bool { return set == e.labels })
			if s.slots[at] == nil {
				s.put(at, e.hash, e.labels)
			}
		}
	}
}
