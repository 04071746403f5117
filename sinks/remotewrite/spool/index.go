package spool

import (
	"cmp"
	"slices"
	"time"
)

// entry is the index's entry of one record.
type entry struct {
	Meta
	put     int64  // when it was put into the queue, in Unix milliseconds; moved when the clock jumps, unlike Taken
	payload []byte // nil once the record is saved
	saved   bool   // the file and its name are synced to disk
	file    bool   // the file may exist
	out     bool   // Next has returned the record
	gone    bool   // the record was removed from the index

	repeated bool // the value of Record.Again when the record was put

	unread bool      // the file could not be read
	again  time.Time // when to try to read the file again; newer records are sent meanwhile. Zero = newer records wait for this record
}

// A file takes whole blocks of diskBlock bytes on disk. A record takes overhead bytes more than its payload in memory.
const (
	diskBlock = 4096
	overhead  = 256
)

func (m *Meta) onDisk() int64 { return int64(m.size()+diskBlock-1) / diskBlock * diskBlock }

func (m *Meta) inMemory() int64 { return int64(m.Bytes) + overhead }

// index holds what the queue knows about its records without reading their files.
type index struct {
	shards  [][]*entry // the records of each shard, in the order of their IDs
	records int
	samples int64
	disk    int64 // size of the saved records in bytes
	memory  int64 // size of the other records in bytes

	// inherited is the number of records of earlier processes, and lastInherited is the highest ID of such a record. An earlier
	// process may have used another number of shards, so older samples of a series may be in another shard.
	inherited     int // without the records that passOver lets newer records overtake
	lastInherited uint64

	unread int // number of records whose files could not be read
}

func newIndex(shards int) index { return index{shards: make([][]*entry, max(1, shards))} }

func (x *index) shard(n int) *[]*entry { return &x.shards[n%len(x.shards)] }

// add adds a record after all others of its shard.
func (x *index) add(e *entry) {
	line := x.shard(e.Shard)
	*line = append(*line, e)
	x.count(e, 1)
}

// remove removes a record.
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
	if e.ID <= x.lastInherited && e.again.IsZero() {
		x.inherited--
	}
	x.read(e)
}

// read notes that the file of a record can be read again, or that the record was removed.
func (x *index) read(e *entry) {
	if e.unread {
		e.unread = false
		x.unread--
	}
}

// passOver lets newer records be sent before e, whose file cannot be read. until is when to read it again.
func (x *index) passOver(e *entry, until time.Time) {
	if e.again.IsZero() && e.ID <= x.lastInherited {
		x.inherited--
	}
	e.again = until
}

// nextRead returns when to read a file of the shard again that could not be read, or zero if there is none.
func (x *index) nextRead(shard int) (first time.Time) {
	for _, e := range *x.shard(shard) {
		if !e.out && !e.again.IsZero() && (first.IsZero() || e.again.Before(first)) {
			first = e.again
		}
	}
	return first
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

// saved notes that a record is on disk and survives a power cut.
func (x *index) saved(e *entry) {
	x.memory -= e.inMemory()
	x.disk += e.onDisk()
	e.saved, e.payload = true, nil
}

// find returns the record with the ID, or nil.
func (x *index) find(id uint64) *entry {
	for _, line := range x.shards {
		if i, ok := slices.BinarySearchFunc(line, id, byID); ok {
			return line[i]
		}
	}
	return nil
}

func byID(e *entry, id uint64) int { return cmp.Compare(e.ID, id) }

// next returns the record that Queue.Next is to return, or nil. With OldestFirst, the records of earlier processes in all shards
// come first.
func (x *index) next(shard int, order Order, now time.Time) *entry {
	line := *x.shard(shard)
	if order == NewestFirst {
		for _, e := range slices.Backward(line) {
			if !e.out && !e.again.After(now) {
				return e
			}
		}
		return nil
	}
	for _, e := range line {
		switch {
		case e.out || e.again.After(now):
		case x.inherited > 0 && e.ID > x.lastInherited:
			return nil
		default:
			return e
		}
	}
	return nil
}

// waiting returns the oldest record of a shard that Next has not returned, or nil.
func waiting(line []*entry) *entry {
	for _, e := range line {
		if !e.out {
			return e
		}
	}
	return nil
}

// oldest returns the oldest record on disk that Next has not returned, or nil. All records on disk are older than the records in
// memory.
func (x *index) oldest() (first *entry) {
	for _, line := range x.shards {
		if e := waiting(line); e != nil && e.saved && (first == nil || e.ID < first.ID) {
			first = e
		}
	}
	return first
}

// unsaved returns the records that are only in memory, oldest first.
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

// expired returns the records that were put before a time (Unix milliseconds) and that Next has not returned.
func (x *index) expired(before int64) (all []*entry) {
	for _, line := range x.shards {
		for _, e := range line {
			if e.put >= before {
				break
			}
			if !e.out {
				all = append(all, e)
			}
		}
	}
	return all
}

// move adds the duration by (milliseconds) to the times when records were put, because the clock has jumped by this duration. If
// it is negative, the times of records of earlier processes stay unchanged: the jump may have corrected a clock that was ahead, so
// that these records seemed too old.
func (x *index) move(by int64) {
	for _, line := range x.shards {
		for _, e := range line {
			if by > 0 || e.ID > x.lastInherited {
				e.put += by
			}
		}
	}
}

func (x *index) pending() Pending {
	p := Pending{Records: x.records, Samples: x.samples, Bytes: x.disk + x.memory}
	for _, line := range x.shards {
		if len(line) > 0 {
			if t := time.UnixMilli(line[0].put); p.Oldest.IsZero() || t.Before(p.Oldest) {
				p.Oldest = t
			}
		}
	}
	return p
}
