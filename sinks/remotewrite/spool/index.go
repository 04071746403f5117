package spool

import (
	"cmp"
	"slices"
	"time"
)

// entry is the index's entry of one record.
type entry struct {
	Meta
	put     int64  // when it was put into the queue, in Unix milliseconds. When the clock jumps, this time is moved, unlike Taken
	payload []byte // nil after the record was saved
	saved   bool   // the file and its name are synced to disk
	file    bool   // the file may exist
	out     bool   // Next has returned the record
	gone    bool   // the record was removed from the index

	repeated  bool // the value of Record.Again when the record was put
	inherited bool // from TakeOver: it is sent before newer records in all shards, as those of earlier processes are

	unread bool      // the file could not be read
	again  time.Time // when to try to read the file again; newer records are sent meanwhile. Zero = newer records wait for this record
}

// A file takes whole blocks of diskBlock bytes on disk. In memory, a record takes its payload and "overhead" more bytes.
const (
	diskBlock = 4096
	overhead  = 256
)

func (m *Meta) onDisk() int64 { return int64(m.size()+diskBlock-1) / diskBlock * diskBlock }

func (m *Meta) inMemory() int64 { return int64(m.Bytes) + overhead }

// index holds what the queue knows about its records without reading their files.
type index struct {
	shards  []line
	records int
	samples int64
	disk    int64 // size of the saved records in bytes
	memory  int64 // size of the other records in bytes

	// inherited is the number of records of earlier processes and queues, and lastInherited is the highest ID of such a record. An earlier
	// process may have used another number of shards, so older samples of a series may be in another shard.
	inherited     int // without the records that newer records are allowed to overtake (see passOver)
	lastInherited uint64

	unread int // number of records whose files could not be read
}

func newIndex(shards int) index { return index{shards: make([]line, max(1, shards))} }

func (x *index) shard(n int) *line { return &x.shards[n%len(x.shards)] }

// inherit sets the records of earlier processes. The index must be empty. The argument "now" is the time in Unix milliseconds.
func (x *index) inherit(earlier *listing, now int64) {
	sizes := make([]int, len(x.shards))
	for shard, n := range earlier.shards {
		sizes[shard%len(sizes)] += n
	}
	for i, n := range sizes {
		x.shards[i].backlog = make([]packed, 0, n)
	}
	for _, f := range earlier.records {
		f.put = min(f.put, now)
		m := f.meta()
		x.records++
		x.samples += int64(m.Samples + m.Histograms)
		x.disk += m.onDisk()
		line := x.shard(m.Shard)
		line.backlog = append(line.backlog, *f.packed)
		x.lastInherited = m.ID
	}
	x.inherited = x.records
}

// add adds a record after all others of its shard.
func (x *index) add(e *entry) {
	line := x.shard(e.Shard)
	line.back = append(line.back, e)
	x.count(e, 1)
	if e.inherited {
		x.inherited++
		x.lastInherited = e.ID
	}
}

// remove removes a record.
func (x *index) remove(e *entry) {
	x.shard(e.Shard).remove(e)
	e.gone = true
	x.count(e, -1)
	if e.ID <= x.lastInherited && e.again.IsZero() {
		x.inherited--
	}
	x.read(e)
}

// read is called when the file of a record can be read again, or when the record was removed.
func (x *index) read(e *entry) {
	if e.unread {
		e.unread = false
		x.unread--
	}
}

// passOver lets newer records be sent before e, whose file cannot be read. The argument "until" is the time when the file is read again.
func (x *index) passOver(e *entry, until time.Time) {
	if e.again.IsZero() && e.ID <= x.lastInherited {
		x.inherited--
	}
	e.again = until
}

// nextRead returns the time of the next attempt to read a file of the shard that could not be read before. It returns the zero time if
// there is no such file.
func (x *index) nextRead(shard int) (first time.Time) {
	for e := range x.shard(shard).unpacked() {
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

// saved is called when a record is on disk and survives a power cut.
func (x *index) saved(e *entry) {
	x.memory -= e.inMemory()
	x.disk += e.onDisk()
	e.saved, e.payload = true, nil
}

// find returns the record with the ID, or nil.
func (x *index) find(id uint64) *entry {
	for i := range x.shards {
		if part, at := x.shards[i].find(id); part != nil {
			return (*part)[at]
		}
	}
	return nil
}

// next returns the record that Queue.Next is to return, or nil. With OldestFirst, the records of earlier processes in all shards
// come first.
func (x *index) next(shard int, order Order, now time.Time) *entry {
	line := x.shard(shard)
	if order == NewestFirst {
		for e := range line.backward() {
			if !e.out && !e.again.After(now) {
				return e
			}
		}
		return nil
	}
	for e := range line.forward() {
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
func waiting(l *line) *entry {
	for e := range l.forward() {
		if !e.out {
			return e
		}
	}
	return nil
}

// oldest returns the oldest record on disk that Next has not returned, or nil. All records on disk are older than the records in
// memory.
func (x *index) oldest() (first *entry) {
	for i := range x.shards {
		if e := waiting(&x.shards[i]); e != nil && e.saved && (first == nil || e.ID < first.ID) {
			first = e
		}
	}
	return first
}

// unsaved returns the records that are only in memory, oldest first.
func (x *index) unsaved() (all []*entry) {
	for i := range x.shards {
		for _, e := range slices.Backward(x.shards[i].back) { // the others are saved
			if e.saved {
				break
			}
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// expired returns the records that were put before the given time (Unix milliseconds) and that Next has not returned.
func (x *index) expired(before int64) (all []*entry) {
	for i := range x.shards {
		line := &x.shards[i]
		if put, ok := line.first(); !ok || put >= before {
			continue // without unpacking a record
		}
		for e := range line.forward() {
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

// move adds "by", a duration in milliseconds, to the times when records were put, because the clock has jumped by this duration. If the
// duration is negative, the times of records of earlier processes stay unchanged: the jump may have corrected a clock that was ahead and
// made these records seem too old.
func (x *index) move(by int64) {
	for i := range x.shards {
		line := &x.shards[i]
		for e := range line.unpacked() {
			if by > 0 || e.ID > x.lastInherited || e.inherited {
				e.put += by
			}
		}
		if by > 0 {
			for i := range line.backlog {
				line.backlog[i].put += by
			}
		}
	}
}

func (x *index) pending() Pending {
	p := Pending{Records: x.records, Samples: x.samples, Bytes: x.disk + x.memory}
	for i := range x.shards {
		if put, ok := x.shards[i].first(); ok {
			if t := time.UnixMilli(put); p.Oldest.IsZero() || t.Before(p.Oldest) {
				p.Oldest = t
			}
		}
	}
	return p
}
