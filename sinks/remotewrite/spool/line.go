package spool

import (
	"cmp"
	"iter"
	"slices"
)

// line holds the records of a shard, in the order of their IDs: first those in "front", then those in "backlog", then those in "back". The
// records of earlier processes stay in the backlog until they are needed, and are then taken from its two ends. In the backlog, they take
// less than half the memory, and the garbage collector does not look at them.
type line struct {
	front   []*entry
	backlog []packed
	back    []*entry
}

// forward returns the records from the oldest to the newest.
func (l *line) forward() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for i := 0; i < len(l.front) || len(l.backlog) > 0; i++ {
			if i == len(l.front) {
				l.front = append(l.front, l.backlog[0].unpack())
				l.shrink(l.backlog[1:])
			}
			if !yield(l.front[i]) {
				return
			}
		}
		for _, e := range l.back {
			if !yield(e) {
				return
			}
		}
	}
}

// backward returns the records from the newest to the oldest.
func (l *line) backward() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for i := len(l.back) - 1; i >= 0 || len(l.backlog) > 0; i-- {
			if i < 0 {
				last := len(l.backlog) - 1
				l.back = slices.Insert(l.back, 0, l.backlog[last].unpack())
				l.shrink(l.backlog[:last])
				i = 0
			}
			if !yield(l.back[i]) {
				return
			}
		}
		for _, e := range slices.Backward(l.front) {
			if !yield(e) {
				return
			}
		}
	}
}

// unpacked returns the entries that are not in the backlog, from the oldest to the newest.
func (l *line) unpacked() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, part := range [][]*entry{l.front, l.back} {
			for _, e := range part {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// shrink sets the backlog to "rest", which is a part of the backlog. The memory of the other part is freed from time to time.
func (l *line) shrink(rest []packed) {
	l.backlog = rest
	switch n := len(rest); {
	case n == 0:
		l.backlog = nil
	case n&(n-1) == 0: // only at powers of two, so that few records are copied
		l.backlog = slices.Clone(rest)
	}
}

// find returns the part of the line that has the entry with the ID, and its index in that part. The part is nil if there is no such record.
func (l *line) find(id uint64) (part *[]*entry, i int) {
	if _, ok := slices.BinarySearchFunc(l.backlog, id, func(p packed, id uint64) int { return cmp.Compare(p.id, id) }); ok {
		for e := range l.forward() { // a record that Next has not returned; unpacks those before it
			if e.ID == id {
				break
			}
		}
	}
	for _, part := range []*[]*entry{&l.front, &l.back} {
		if i, ok := slices.BinarySearchFunc(*part, id, func(e *entry, id uint64) int { return cmp.Compare(e.ID, id) }); ok {
			return part, i
		}
	}
	return nil, 0
}

// remove removes an entry.
func (l *line) remove(e *entry) {
	part, i := l.find(e.ID)
	if i == 0 {
		(*part)[0] = nil
		*part = (*part)[1:]
	} else {
		*part = slices.Delete(*part, i, i+1)
	}
}

// first returns the time when the oldest record was put, in Unix milliseconds. ok is false if there is no record.
func (l *line) first() (put int64, ok bool) {
	switch {
	case len(l.front) > 0:
		return l.front[0].put, true
	case len(l.backlog) > 0:
		return l.backlog[0].put, true
	case len(l.back) > 0:
		return l.back[0].put, true
	}
	return 0, false
}
