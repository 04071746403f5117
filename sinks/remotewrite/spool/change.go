package spool

import "time"

// cleanup is what a change of the index leaves to do when mu is free again.
type cleanup struct {
	files []string // to remove
	lost  []loss
}

type loss struct {
	reason Reason
	meta   Meta
}

// finish does it.
func (q *Queue) finish(c cleanup) {
	q.remove(c.files...)
	for _, l := range c.lost {
		q.options.Dropped(l.reason, l.meta)
	}
}

// settle takes a record out of the index. The caller holds mu.
func (q *Queue) settle(e *entry) (c cleanup) {
	q.index.remove(e)
	if e.file {
		c.files = append(c.files, e.name())
	}
	if q.index.inherited == 0 && e.ID <= q.index.lastInherited {
		q.wake()
	}
	return c
}

// drop takes a record out of the index that will never be sent. The caller holds mu.
func (q *Queue) drop(c *cleanup, e *entry, reason Reason) {
	c.files = append(c.files, q.settle(e).files...)
	c.lost = append(c.lost, loss{reason, e.Meta})
}

// wake lets everyone who waits in Next look again. The caller holds mu.
func (q *Queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// add puts new records into the index, not yet saved. A sender may have one of them before it is on disk.
func (q *Queue) add(records []Record) (c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(&c)
	limit := q.options.MaxBytes
	if q.files == nil {
		limit = q.options.MaxMemory
	}
	for _, r := range records {
		q.lastID++
		e := &entry{Meta: r.Meta, payload: r.Payload}
		e.ID, e.Taken, e.Bytes = q.lastID, time.Now().UnixMilli(), len(r.Payload)
		switch {
		case q.closed:
			c.lost = append(c.lost, loss{Shutdown, e.Meta})
		case int64(e.size()) > min(limit, maxPayload):
			c.lost = append(c.lost, loss{Full, e.Meta})
		default:
			q.index.add(e)
		}
	}
	q.wake()
	return c
}

// take gives out a shard's next record. Where there is none, changed is closed when there may be one; it is nil when
// there never will.
func (q *Queue) take(shard int, order Order) (e *entry, changed <-chan struct{}, c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, nil, c
	}
	q.expire(&c)
	if e = q.index.next(shard, order); e != nil {
		e.out = true
	}
	return e, q.changed, c
}

func (q *Queue) expire(c *cleanup) {
	for _, e := range q.index.expired(time.Now().Add(-q.options.MaxAge).UnixMilli()) {
		q.drop(c, e, TooOld)
	}
}

// boundMemory drops what is too much in memory, oldest first.
func (q *Queue) boundMemory() (c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.index.memory <= q.options.MaxMemory {
		return c
	}
	for _, e := range q.index.unsaved() {
		if q.index.memory > q.options.MaxMemory && !e.out {
			q.drop(&c, e, Full)
		}
	}
	return c
}

// boundDisk drops what is too much on disk, oldest first: before records are written, with room for them, unless the disk
// fails and nobody knows that they will come.
func (q *Queue) boundDisk(toCome []*entry) (c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	need := int64(0)
	if q.failing.IsZero() {
		for _, e := range toCome {
			need += e.onDisk()
		}
	}
	for q.index.disk+need > q.options.MaxBytes {
		e := q.index.oldest()
		if e == nil {
			break
		}
		q.drop(&c, e, Full)
	}
	return c
}

// shut drops what only memory holds, and ends the queue.
func (q *Queue) shut() (c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.index.unsaved() {
		if !e.file { // else it is most likely on disk, and only its name could not be synced
			q.drop(&c, e, Shutdown)
		}
	}
	q.closed = true
	q.wake()
	return c
}
