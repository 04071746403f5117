// Package spool is the queue of a remote-write sink. It holds encoded requests that wait to be sent. Each request is in a file, so it
// survives a restart, a power cut and an outage of the receiver. The queue is in memory if there is no directory, while the directory
// cannot be opened, and while the disk fails.
//
// A record is sent at least once. It is sent twice only if the process ends between the receiver's response and the end of Ack, or if its
// file could not be removed before the process ended, or if another process became the owner of the directory (see guest) and took the record
// from the inbox while this process was sending it. A receiver ignores samples that it already has, unless it has received newer samples
// of the same series in the meantime. While the disk works, it can have such newer samples only from records of the same shard that were
// sent in the same request.
//
// Records of a later version of the format are not changed: see [List].
package spool

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/durable"
)

// Options are the limits and settings of a queue.
type Options struct {
	Shards    int           // number of shards; the shard of a record is from 0 to Shards-1
	MaxBytes  int64         // limit of the records on disk
	MaxMemory int64         // limit of the records that are not on disk
	MaxAge    time.Duration // records that wait for longer are dropped
	Clock     *clock.Clock  // nil = the clock of this machine
	Inbox     string        // identifies the receiver: processes with the same Inbox can use dir at once; "" = only one process can
	Log       *slog.Logger
	// Dropped is called for each record that will never be sent. It may call methods of the queue.
	Dropped func(Reason, Meta)
}

// Reason says why a record will never be sent.
type Reason string

// The reasons for which a record is dropped.
const (
	Full     Reason = "queue_full" // a limit in bytes was reached
	TooOld   Reason = "too_old"    // the record waited longer than Options.MaxAge
	Shutdown Reason = "shutdown"   // the queue was closed, and the record could not be written to disk
	Damaged  Reason = "damaged"    // the record's file cannot be read, or its contents were changed
)

// Order is the order in which Next returns the records of a shard.
type Order uint8

// OldestFirst keeps the samples of each series in order of time. NewestFirst sends new samples before a backlog, and is for receivers that
// accept out-of-order samples.
const (
	OldestFirst Order = iota
	NewestFirst
)

// Pending describes the records in the queue, including those that Next has returned.
type Pending struct {
	Records int
	Samples int64 // including native histograms
	Bytes   int64 // on disk and in memory
	Oldest  time.Time
}

// Queue holds records until they are acknowledged. It is safe for concurrent use.
type Queue struct {
	options Options
	dir     string     // the directory, for messages
	fsys    durable.FS // nil if the queue is in memory

	saving   sync.Mutex // held while the directory is opened and while records are written; locked before mu
	tryAgain time.Time  // when to open the directory again
	guest    guest      // state for the inbox; guarded by mu, except its field lastID, which is guarded by saving

	mu        sync.Mutex
	unopened  Fault // the directory cannot be opened
	open      bool  // the directory is locked, and its records are in index
	index     index
	shift     time.Duration     // Reading.Shift at the last use of the index
	handed    map[uint64]*entry // records that Next returned before the directory was open, by the ID at that time
	lent      map[uint64]*lent  // records that Next returned before they were put into the inbox, by the ID at that time
	unread    time.Time         // when a record could not be read for the first time; zero = all records can be read
	lastID    uint64
	changed   chan struct{} // closed when there may be something new for Next
	leftover  []string      // files that could not be removed
	bad       []string      // files that were set aside, oldest first; at most maxBad
	failing   Fault         // the disk fails
	seenLater bool          // a record of a later version was found, and logged
	closed    bool
}

// Fault says why records wait in memory although the queue has a directory. The zero value means that there is no such reason.
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

// Put adds records in this order. It reports whether all records of the queue survive a power cut. They do not survive it if the disk
// fails, the directory cannot be opened, or the queue is in memory. The records are then kept in memory, and a later Put writes them to
// disk. If a limit is exceeded, the oldest records are dropped.
func (q *Queue) Put(records ...Record) (durable bool) {
	q.saving.Lock()
	defer q.saving.Unlock()
	q.takeAll() // first, since these records may be from an earlier run of the same job
	q.finish(q.add(records, false))
	durable = q.save()
	q.finish(q.boundMemory())
	return durable
}

// Next waits for the next record of a shard that no other caller has, and returns it. The caller must then call Ack or Return. To keep the
// samples of a series in order, the caller takes no other record of the shard before that, except by [Queue.More]. Next returns false if
// there is no record and ctx has ended, or if the queue is closed.
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

// now returns the time. If the clock has jumped, the times of the records are moved, so that their age does not change. The caller
// holds mu.
func (q *Queue) now() time.Time {
	r := q.options.Clock.Read()
	if by := r.Shift - q.shift; by != 0 {
		q.shift = r.Shift
		q.index.move(by.Milliseconds())
	}
	return r.Wall
}

// age returns the time since a record was put into the queue.
func (q *Queue) age(e *entry) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	return max(0, now.Sub(time.UnixMilli(e.put)))
}

// More returns the next record of a shard if the function "fits" returns true for this record. The caller sends the record together with
// records that it already has. More does not wait. It returns false if there is no such record.
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
		q.waits(e, err) // the result is not needed, since no other record is taken in place of this one
	}
	return Record{Meta: meta, Payload: payload, Age: q.age(e), Again: q.isRepeated(e)}, err == nil
}

// take takes the next record of a shard. If there is none, the result e is nil, and the channel "changed" is closed when the caller should
// look again. If the queue is closed, "changed" is nil. The result "meta" has the ID by which the caller will refer to the record.
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

// find returns the record with the given ID if Next has returned it, and otherwise nil. The caller holds mu.
func (q *Queue) find(id uint64) *entry {
	if e := q.handed[id]; e != nil {
		return e
	}
	return q.index.find(id)
}

// Ack removes records that Next has returned, because they were delivered, or because the caller drops and counts them. After Ack,
// the records do not come back after a power cut, unless the disk fails or Put is still writing them.
func (q *Queue) Ack(ids ...uint64) {
	q.mu.Lock()
	var rest cleanup
	var given []string
	for _, id := range ids {
		given = append(given, q.ackLent(id)...)
		if e := q.find(id); e != nil && !e.gone && !q.closed {
			rest.files = append(rest.files, q.settle(e).files...)
		}
		delete(q.handed, id)
	}
	q.mu.Unlock()
	q.takeBack(given)
	q.finish(rest)
	if len(rest.files) > 0 {
		if err := q.fsys.SyncDir(); err != nil {
			q.fails(err)
		}
	}
}

// Return undoes Next: the record is the next one of its shard again. If it is in the inbox, the owner of the directory sends it.
func (q *Queue) Return(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.find(id); e != nil {
		e.out = false
		q.wake()
	}
	delete(q.handed, id)
	delete(q.lent, id)
}

// Saved reports whether records that Next has returned are on disk, so that they survive the end of the process.
func (q *Queue) Saved(ids ...uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		if e := q.find(id); q.lent[id] == nil && (e == nil || !e.saved) {
			return false
		}
	}
	return true
}

// AllSaved reports whether all records of the queue are on disk, so that they survive the end of the process.
func (q *Queue) AllSaved() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.index.memory == 0
}

// Pending describes the records in the queue. It reads nothing from disk.
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

// Close writes the records that are only in memory to disk, if the disk works, and unlocks the directory. All calls of Next return. The
// records that cannot be written are dropped.
func (q *Queue) Close() error {
	left, err := q.CloseAndTake()
	for _, r := range left {
		q.options.Dropped(Shutdown, r.Meta)
	}
	return err
}

// CloseAndTake is like Close, but it returns the records that cannot be written, oldest first, for TakeOver of another queue.
func (q *Queue) CloseAndTake() ([]Record, error) {
	q.saving.Lock()
	defer q.saving.Unlock()
	q.tryAgain = time.Time{}
	q.save()
	left := q.shut()
	if q.fsys == nil {
		return left, nil
	}
	return left, q.fsys.Unlock()
}

// TakeOver adds the records that CloseAndTake of another queue has returned. They keep their age. It is called once, before Put, and the
// records are sent before those of Put, whatever their shards: that queue may have had another number of shards.
func (q *Queue) TakeOver(records []Record) {
	q.saving.Lock()
	defer q.saving.Unlock()
	q.finish(q.add(records, true))
	q.save()
	q.finish(q.boundMemory())
}

// add adds new records to the index. A record may be sent before it is on disk. inherited is set if they are from another queue.
func (q *Queue) add(records []Record, inherited bool) (c cleanup) {
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
		e := &entry{Meta: r.Meta, put: now, payload: r.Payload, repeated: r.Again, inherited: inherited}
		if inherited {
			e.put -= r.Age.Milliseconds()
		}
		e.ID, e.Taken, e.Bytes = q.lastID, e.put, len(r.Payload)
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

// cleanup is the work that must be done after a change of the index, when mu is unlocked.
type cleanup struct {
	files []string // files to remove
	lost  []loss
}

// loss is a record that will never be sent.
type loss struct {
	reason Reason
	*entry
	stored bool // the record has a file
}

// finish does the work of a cleanup: it removes files, and it removes and reports lost records. A lost record of a later version is not
// reported, and its file is not removed.
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

// forget removes a record from the index, but not its file.
func (q *Queue) forget(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settle(e)
}

// drop removes a record, which will never be sent, from the index. The caller holds mu.
func (q *Queue) drop(c *cleanup, e *entry, reason Reason) {
	q.settle(e)
	c.lost = append(c.lost, loss{reason, e, e.file})
}

// wake makes all waiting calls of Next look for a record again. The caller holds mu.
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

// boundMemory drops the oldest records in memory until the limit for memory is met.
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

// boundDisk drops the oldest records on disk until the limit for the disk is met. It also makes room for the records in "toCome", which
// will be written next. It makes no such room while the disk fails, since the records in "toCome" are then perhaps never written.
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

// shut closes the queue. It removes the records that are only in memory, and returns them.
func (q *Queue) shut() (left []Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for _, e := range q.index.unsaved() {
		if !e.file { // otherwise the file exists, and only its name was not synced
			left = append(left, Record{Meta: e.Meta, Payload: e.payload, Age: max(0, now.Sub(time.UnixMilli(e.put))), Again: true})
			q.settle(e)
		}
	}
	q.closed = true
	q.wake()
	return left
}
