package spool

import (
	"cmp"
	"slices"
	"time"
)

// entry is one record in the index.
type entry struct {
	Meta
	put     int64  // when it was put, by the clock of now, in Unix milliseconds; Taken is by the clock of then
	payload []byte // nil once it is saved
	saved   bool   // its file and its name are synced
	file    bool   // its file may exist
	out     bool   // Next has returned it
	gone    bool   // it was removed from the index

	repeated bool // Record.Again when it was put

	unread bool      // its file could not be read
	again  time.Time // when to read it again, if others are sent before it; zero if they are not
}

// A record takes whole blocks on disk, and some bytes more than its payload in memory.
const (
	diskBlock = 4096
	overhead  = 256
)

func (m *Meta) onDisk() int64 { return int64(m.size()+diskBlock-1) / diskBlock * diskBlock }

func (m *Meta) inMemory() int64 { return int64(m.Bytes) + overhead }

// index is what the queue knows of all its records without reading their files.
type index struct {
	shards  [][]*entry // each in order of ID
	records int
	samples int64
	disk    int64 // bytes of saved records
	memory  int64 // bytes of the others

	// inherited is the number of records of earlier runs, and lastInherited the highest ID that such a record had at the
	// start. An earlier run may have had another number of shards, so that older samples of a series wait in another shard.
	inherited     int // without those that others are sent before
	lastInherited uint64

	unread int // records whose files could not be read
}

func newIndex(shards int) index { return index{shards: make([][]*entry, max(1, shards))} }

func (x *index) shard(n int) *[]*entry { return &x.shards[n%len(x.shards)] }

// add adds a record after all others.
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

// read notes that the file of a record can be read, or does not matter any more.
func (x *index) read(e *entry) {
	if e.unread {
		e.unread = false
		x.unread--
	}
}

// passOver lets others be sent before a record until a time.
func (x *index) passOver(e *entry, until time.Time) {
	if e.again.IsZero() && e.ID <= x.lastInherited {
		x.inherited--
	}
	e.again = until
}

// nextRead returns when to read the first of a shard's records that others are sent before, or zero if there is none.
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

// saved notes that a record is durable on disk.
func (x *index) saved(e *entry) {
	x.memory -= e.inMemory()
	x.disk += e.onDisk()
	e.saved, e.payload = true, nil
}

// find returns the record with an ID, or nil.
func (x *index) find(id uint64) *entry {
	for _, line := range x.shards {
		if i, ok := slices.BinarySearchFunc(line, id, byID); ok {
			return line[i]
		}
	}
	return nil
}

func byID(e *entry, id uint64) int { return cmp.Compare(e.ID, id) }

// next returns the record that Next returns, or nil. Records of earlier runs, of all shards, come first.
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

// waiting returns the oldest of a shard's records that Next has not returned, or nil.
func waiting(line []*entry) *entry {
	for _, e := range line {
		if !e.out {
			return e
		}
	}
	return nil
}

// oldest returns the oldest record on disk that Next has not returned, or nil. All records on disk are older than those in
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

// move moves the times when the records were put, because the clock has jumped. What an earlier run has put, maybe by another
// clock, grows no older by it: the jump may have mended a clock that was wrong.
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
