package spool

import (
	"cmp"
	"slices"
	"time"
)

// entry is one record in the index.
type entry struct {
	Meta
	payload []byte // as long as it is not saved
	saved   bool   // its file and its name are synced
	file    bool   // its file may exist
	out     bool   // Next has given it out
	gone    bool   // it has left the index
}

// A record takes whole blocks of a disk, and some bytes beside its payload in memory.
const (
	diskBlock = 4096
	overhead  = 256
)

func (m *Meta) onDisk() int64 { return int64(m.size()+diskBlock-1) / diskBlock * diskBlock }

func (m *Meta) inMemory() int64 { return int64(m.Bytes) + overhead }

// index is the records in memory's view: what each is, not what it holds.
type index struct {
	shards  [][]*entry // each in order of ID
	records int
	samples int64
	disk    int64 // bytes of saved records
	memory  int64 // bytes of the others

	// inherited is how many records are left of an earlier run, and lastInherited the ID of the last of them. That run may
	// have had other shards, so that a series' older samples wait in another one.
	inherited     int
	lastInherited uint64
}

func newIndex(shards int) index { return index{shards: make([][]*entry, max(1, shards))} }

func (x *index) shard(n int) *[]*entry { return &x.shards[n%len(x.shards)] }

// add adds a record behind all others.
func (x *index) add(e *entry) {
	line := x.shard(e.Shard)
	*line = append(*line, e)
	x.count(e, 1)
}

func (x *index) remove(e *entry) {
	line := x.shard(e.Shard)
	i, _ := slices.BinarySearchFunc(*line, e.ID, byID)
	if i == 0 {
		(*line)[0] = nil
		*line = (*line)[1:]
	} else {
		*line = slices.Delete(*line, i, i+1)
	}
	e.gone = true
	x.count(e, -1)
	if e.ID <= x.lastInherited {
		x.inherited--
	}
}

func (x *index) count(e *entry, sign int) {
	x.records += sign
	x.samples += int64(sign) * int64(e.Samples+e.Histograms)
	if e.saved {
		x.disk += int64(sign) * e.onDisk()
	} else {
		x.memory += int64(sign) * e.inMemory()
	}
}

// saved notes that a record is on disk.
func (x *index) saved(e *entry) {
	x.memory -= e.inMemory()
	x.disk += e.onDisk()
	e.saved, e.payload = true, nil
}

// find is the record of an ID, nil where there is none.
func (x *index) find(id uint64) *entry {
	for _, line := range x.shards {
		if i, ok := slices.BinarySearchFunc(line, id, byID); ok {
			return line[i]
		}
	}
	return nil
}

func byID(e *entry, id uint64) int { return cmp.Compare(e.ID, id) }

// next is the record that Next gives, nil where there is none.
func (x *index) next(shard int, order Order) *entry {
	line := *x.shard(shard)
	if order == NewestFirst {
		for _, e := range slices.Backward(line) {
			if !e.out {
				return e
			}
		}
		return nil
	}
	e := waiting(line)
	if e != nil && x.inherited > 0 && e.ID > x.lastInherited {
		return nil
	}
	return e
}

// waiting is the oldest of a shard's records that is not given out, nil where there is none.
func waiting(line []*entry) *entry {
	for _, e := range line {
		if !e.out {
			return e
		}
	}
	return nil
}

// oldest is the oldest record on disk that is not given out, nil where there is none. What is not saved is newer than all
// that is.
func (x *index) oldest() (first *entry) {
	for _, line := range x.shards {
		if e := waiting(line); e != nil && e.saved && (first == nil || e.ID < first.ID) {
			first = e
		}
	}
	return first
}

// unsaved is the records that are in memory only, oldest first.
func (x *index) unsaved() (all []*entry) {
	for _, line := range x.shards {
		for _, e := range slices.Backward(line) {
			if e.saved {
				break
			}
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// expired is the records that were taken before a time (Unix milliseconds) and are not given out.
func (x *index) expired(before int64) (all []*entry) {
	for _, line := range x.shards {
		for _, e := range line {
			if e.Taken >= before {
				break
			}
			if !e.out {
				all = append(all, e)
			}
		}
	}
	return all
}

func (x *index) pending() Pending {
	p := Pending{Records: x.records, Samples: x.samples, Bytes: x.disk + x.memory}
	for _, line := range x.shards {
		if len(line) > 0 {
			if t := time.UnixMilli(line[0].Taken); p.Oldest.IsZero() || t.Before(p.Oldest) {
				p.Oldest = t
			}
		}
	}
	return p
}
