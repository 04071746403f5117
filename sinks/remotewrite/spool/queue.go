// Package spool is the queue of a remote-write sink. It holds encoded requests that wait to be sent, each in a file, so that
// they survive a restart, a power cut and an outage of the receiver. Without a directory, and while the disk fails or the directory
// cannot be opened, it holds them in memory.
//
// A record is sent at least once. It is sent twice only if the process ends between the receiver's answer and the end of
// Ack, or if its file cannot be removed until then. A receiver ignores the same samples again unless it has got newer ones of
// their series in between: while the disk works, those of at most the records of a shard that were sent in one request.
//
// Records of a later version of the format stay in the directory as they are: see [List].
package spool

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/durable"
)

// Options are the bounds of a queue, and where it reports what it loses.
type Options struct {
	Shards    int           // records have shards from 0 to Shards-1
	MaxBytes  int64         // on disk
	MaxMemory int64         // in memory, of records that are not on disk
	MaxAge    time.Duration // since a record was put
	Clock     *clock.Clock  // nil = this machine's
	Inbox     string        // stands for the receiver: processes that have the same can use dir at once; "" = they cannot
	Log       *slog.Logger
	// Dropped is called for every record that will never be sent. It may call methods of the queue.
	Dropped func(Reason, Meta)
}

// Reason says why a record will never be sent.
type Reason string

// The reasons for which a record is dropped.
const (
	Full     Reason = "queue_full" // a bound in bytes was reached
	TooOld   Reason = "too_old"    // it waited longer than Options.MaxAge
	Shutdown Reason = "shutdown"   // the queue was closed, and the record could not be written to disk
	Damaged  Reason = "damaged"    // its file cannot be read, or does not hold what was written
)

// Order is the order in which Next returns the records of a shard.
type Order uint8

// OldestFirst keeps the samples of each series in order of time. NewestFirst sends live samples ahead of a backlog, for
// receivers that accept out-of-order samples.
const (
	OldestFirst Order = iota
	NewestFirst
)

// Pending is what the queue holds, the records that Next has returned included.
type Pending struct {
	Records int
	Samples int64 // including native histograms
	Bytes   int64 // on disk and in memory
	Oldest  time.Time
}

// Queue holds records until they are acknowledged. It is safe for concurrent use.
type Queue struct {
	options Options
	dir     string     // for messages
	fsys    durable.FS // nil if all records are in memory

	saving   sync.Mutex // held while the directory is opened and while records are written; locked before mu
	tryAgain time.Time  // when to open the directory again
	guest    guest      // guarded by mu, but for lastID, which saving guards

	mu        sync.Mutex
	unopened  Fault // the directory cannot be opened
	open      bool  // the directory is locked, and its records are in index
	index     index
	shift     time.Duration     // Reading.Shift when the index was used last
	handed    map[uint64]*entry // records that Next returned before the directory was open, by their ID then
	unread    time.Time         // since when there are records that cannot be read; zero if there are none
	lastID    uint64
	changed   chan struct{} // closed when there may be something new for Next
	leftover  []string      // files that could not be removed
	bad       []string      // files that were set aside, oldest first; at most maxBad
	failing   Fault         // the disk fails
	seenLater bool          // a record of a later version was found, and logged
	closed    bool
}

// Fault is why records wait in memory although the queue has a directory. The zero value means that they do not.
type Fault struct {
	Since time.Time
	Err   error
}

// Health returns how many files were set aside, and what is wrong with the directory or its disk.
func (q *Queue) Health() (aside int, fault Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.unopened.Err != nil {
		return len(q.bad), q.unopened
	}
	return len(q.bad), q.failing
}

// Put adds records, in this order, and reports whether all records of the queue survive a power cut. Those that do not, because
// the disk fails or there is none, or the directory cannot be opened, wait in memory, and a later Put writes them to disk. What
// exceeds a bound is dropped, oldest first.
func (q *Queue) Put(records ...Record) (durable bool) {
	q.saving.Lock()
	defer q.saving.Unlock()
	q.takeAll() // they may be of an earlier run of the same job
	q.finish(q.add(records))
	durable = q.save()
	q.finish(q.boundMemory())
	return durable
}

// Next waits for the next record of a shard that no other caller of Next has, and returns it. The caller then calls Ack or
// Return. To keep series in order, a caller takes no other record of a shard before that, except by [Queue.More]. Next
// returns false if nothing
// waits and ctx has ended, or if the queue is closed.
func (q *Queue) Next(ctx context.Context, shard int, order Order) (Record, bool) {
	for {
		q.adopt()
		e, meta, changed, rest := q.take(shard, order)
		q.finish(rest)
		var pause <-chan time.Time
		switch {
		case e != nil:
			payload, err := q.read(e)
			if err == nil {
				return Record{Meta: meta, Payload: payload, Age: q.age(e), Again: q.isRepeated(e)}, true
			}
			if !q.waits(e, err) {
				continue // another record is next
			}
			changed, pause = nil, time.After(readWait)
		case changed == nil:
			return Record{}, false
		default:
			pause = q.nextRead(shard)
		}
		if pause == nil && q.guest.inbox != nil {
			pause = time.After(adoptPause)
		}
		if ctx.Err() != nil {
			return Record{}, false
		}
		select {
		case <-changed:
		case <-pause:
		case <-ctx.Done():
		}
	}
}

func (q *Queue) isRepeated(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return e.repeated || e.ID <= q.index.lastInherited
}

// now reads the clock. If it has jumped, the records stay as old as they were. The caller holds mu.
func (q *Queue) now() time.Time {
	r := q.options.Clock.Read()
	if by := r.Shift - q.shift; by != 0 {
		q.shift = r.Shift
		q.index.move(by.Milliseconds())
	}
	return r.Wall
}

// age returns the time since a record was put.
func (q *Queue) age(e *entry) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	return max(0, now.Sub(time.UnixMilli(e.put)))
}

// More returns the next record of a shard as Next does, to be sent together with those that the caller has. It does not wait,
// and returns false if there is none that fits.
func (q *Queue) More(shard int, order Order, fits func(Meta) bool) (Record, bool) {
	q.mu.Lock()
	e := q.index.next(shard, order, time.Now())
	if e == nil || q.closed || q.guest.held || !fits(e.Meta) {
		q.mu.Unlock()
		return Record{}, false
	}
	e.out = true
	meta := e.Meta
	q.mu.Unlock()
	payload, err := q.read(e)
	if err != nil {
		q.waits(e, err) // or another record is next
	}
	return Record{Meta: meta, Payload: payload, Age: q.age(e), Again: q.isRepeated(e)}, err == nil
}

// take takes the next record of a shard. If there is none, changed is closed when there may be one, and nil if the queue is
// closed. The meta has the ID that the caller knows the record by.
func (q *Queue) take(shard int, order Order) (e *entry, meta Meta, changed <-chan struct{}, c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, meta, nil, c
	}
	q.expire(&c)
	if q.guest.held {
		return nil, meta, q.changed, c
	}
	if e = q.index.next(shard, order, time.Now()); e != nil {
		e.out, meta = true, e.Meta
	}
	return e, meta, q.changed, c
}

// find returns the record with the ID that Next has returned, or nil. The caller holds mu.
func (q *Queue) find(id uint64) *entry {
	if e := q.handed[id]; e != nil {
		return e
	}
	return q.index.find(id)
}

// Ack removes records that Next has returned: they were delivered, or the caller gives them up and counts them. After Ack a
// power cut does not bring the records back, unless the disk fails or Put is still writing them.
func (q *Queue) Ack(ids ...uint64) {
	q.mu.Lock()
	var rest cleanup
	for _, id := range ids {
		if e := q.find(id); e != nil && !e.gone && !q.closed {
			rest.files = append(rest.files, q.settle(e).files...)
		}
		delete(q.handed, id)
	}
	q.mu.Unlock()
	q.finish(rest)
	if len(rest.files) > 0 {
		if err := q.fsys.SyncDir(); err != nil {
			q.fails(err)
		}
	}
}

// Return puts back a record that Next has returned: it is the first of its shard again.
func (q *Queue) Return(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.find(id); e != nil {
		e.out = false
		q.wake()
	}
	delete(q.handed, id)
}

// Saved reports whether records that Next has returned are on disk, so that they survive the end of the process.
func (q *Queue) Saved(ids ...uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		if e := q.find(id); e == nil || !e.saved {
			return false
		}
	}
	return true
}

// Pending returns what the queue holds. It is a cheap call.
func (q *Queue) Pending() Pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.now()
	p := q.index.pending()
	for _, g := range q.guest.given {
		p.Records++
		p.Samples += int64(g.Samples + g.Histograms)
		p.Bytes += g.onDisk()
		if t := time.UnixMilli(g.Taken); p.Oldest.IsZero() || t.Before(p.Oldest) {
			p.Oldest = t
		}
	}
	return p
}

// Close writes what is not on disk yet, if the disk works, and unlocks the directory. All calls of Next return.
func (q *Queue) Close() error {
	q.saving.Lock()
	defer q.saving.Unlock()
	q.tryAgain = time.Time{}
	q.save()
	q.finish(q.shut())
	if q.fsys == nil {
		return nil
	}
	return q.fsys.Unlock()
}

// add adds new records to the index. A sender may take one of them before it is on disk.
func (q *Queue) add(records []Record) (c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(&c)
	limit := q.options.MaxBytes
	if !q.open {
		limit = q.options.MaxMemory
	}
	now := q.now().UnixMilli()
	for _, r := range records {
		q.lastID++
		e := &entry{Meta: r.Meta, put: now, payload: r.Payload, repeated: r.Again}
		e.ID, e.Taken, e.Bytes = q.lastID, now, len(r.Payload)
		switch {
		case q.closed:
			c.lost = append(c.lost, loss{Shutdown, e, false})
		case int64(e.size()) > min(limit, maxPayload):
			c.lost = append(c.lost, loss{Full, e, false})
		default:
			q.index.add(e)
		}
	}
	q.wake()
	return c
}

// cleanup is what remains to be done after a change of the index, when mu is free.
type cleanup struct {
	files []string // to remove
	lost  []loss
}

// loss is a record that will never be sent.
type loss struct {
	reason Reason
	*entry
	stored bool // it has a file
}

// finish removes files, and removes, counts and reports lost records. A record of a later version is left where it is, and is
// not lost.
func (q *Queue) finish(c cleanup) {
	q.remove(c.files...)
	for _, l := range c.lost {
		if l.stored {
			if later := q.inheritedLater(l.entry); later != nil {
				q.leave(l.name(), later)
				continue
			}
			q.remove(l.name())
		}
		q.options.Dropped(l.reason, l.Meta)
	}
}

// settle removes a record from the index. The caller holds mu.
func (q *Queue) settle(e *entry) (c cleanup) {
	q.index.remove(e)
	if e.file {
		c.files = append(c.files, e.name())
	}
	if q.index.inherited == 0 && e.ID <= q.index.lastInherited {
		q.wake()
	}
	if q.index.unread == 0 {
		q.unread = time.Time{}
	}
	return c
}

// forget removes a record from the index whose file stays.
func (q *Queue) forget(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settle(e)
}

// drop removes a record from the index that will never be sent. The caller holds mu.
func (q *Queue) drop(c *cleanup, e *entry, reason Reason) {
	q.settle(e)
	c.lost = append(c.lost, loss{reason, e, e.file})
}

// wake lets all waiting calls of Next look again. The caller holds mu.
func (q *Queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// expire drops the records that have waited too long. The caller holds mu.
func (q *Queue) expire(c *cleanup) {
	for _, e := range q.index.expired(q.now().Add(-q.options.MaxAge).UnixMilli()) {
		q.drop(c, e, TooOld)
	}
}

// boundMemory drops the oldest records that exceed the bound of memory.
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

// boundDisk drops the oldest records that exceed the bound of the disk. It makes room for records that are about to be written,
// unless the disk fails and they may never be.
func (q *Queue) boundDisk(toCome []*entry) (c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	need := int64(0)
	if q.failing.Err == nil {
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

// shut drops the records that are only in memory, and closes the queue.
func (q *Queue) shut() (c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.index.unsaved() {
		if !e.file { // if it has a file, only its name could not be synced
			q.drop(&c, e, Shutdown)
		}
	}
	q.closed = true
	q.wake()
	return c
}
