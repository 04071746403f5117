// Package spool is the queue of a remote-write sink: encoded requests that wait to be sent, each a file, so that they
// outlive the process, the machine's power and the receiver's outages. Without a directory, and for as long as the disk
// fails, the same queue holds them in memory.
//
// A record is sent at least once. It is sent a second time only where the process ended between the receiver's answer and
// the end of Ack, or where the disk would not remove its file until then. To a receiver, the same samples again are a
// duplicate without effect as long as nothing newer of their series has come in between: one record of a shard at most,
// while the disk works.
package spool

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Options says how much a queue holds, and who is told what it loses.
type Options struct {
	Shards    int           // records have shards from 0 to less than this
	MaxBytes  int64         // on disk
	MaxMemory int64         // in memory: of records that are not on disk
	MaxAge    time.Duration // since a record was put
	Log       *slog.Logger
	// Dropped is told of every record that will never be sent. It may ask the queue.
	Dropped func(Reason, Meta)
}

// Reason says why a record will never be sent.
type Reason string

// The reasons for which a record is dropped.
const (
	Full     Reason = "queue_full" // a bound in bytes was reached
	TooOld   Reason = "too_old"    // it waited longer than Options.MaxAge
	Shutdown Reason = "shutdown"   // the queue was closed, and the disk would not have it
	Damaged  Reason = "damaged"    // its file cannot be read, or is not what was written
)

// Order is the order in which Next gives the records of a shard.
type Order uint8

// OldestFirst keeps every series in order of time. NewestFirst sends live samples ahead of a backlog, for receivers that
// take samples out of order.
const (
	OldestFirst Order = iota
	NewestFirst
)

// Queue holds records until they are acknowledged. It is safe for concurrent use.
type Queue struct {
	options Options
	files   files // nil where all is in memory

	saving sync.Mutex // held while records are being written, before mu

	mu       sync.Mutex
	index    index
	lastID   uint64
	changed  chan struct{} // closed when there may be something new for Next
	leftover []string      // files of settled records that could not be removed
	bad      []string      // files that are set aside, oldest first; at most maxBad
	failing  time.Time     // since when the disk fails; zero where it works
	closed   bool
}

// Open opens the queue in dir, which it makes where it is missing, with the records that an earlier run has left there.
// Where dir is empty, the queue is in memory.
func Open(dir string, o Options) (*Queue, error) {
	if dir == "" {
		return newQueue(nil, o), nil
	}
	wrap := func(err error) error { return fmt.Errorf("open the spool %s: %w", dir, err) }
	if err := makeDirectory(dir); err != nil {
		return nil, wrap(err)
	}
	d, err := openDirectory(dir)
	if err != nil {
		return nil, wrap(err)
	}
	q := newQueue(d, o)
	if err := q.load(); err != nil {
		_ = d.Close() // nothing has been written
		return nil, wrap(err)
	}
	return q, nil
}

func newQueue(f files, o Options) *Queue {
	return &Queue{options: o, files: f, index: newIndex(o.Shards), changed: make(chan struct{})}
}

// Put takes records, in this order, and tells whether all of them will survive a power cut. Those that will not, because
// the disk fails or there is none, wait in memory and go to disk with a later Put. What exceeds a bound is dropped,
// oldest first.
func (q *Queue) Put(records ...Record) (durable bool) {
	q.saving.Lock()
	defer q.saving.Unlock()
	q.finish(q.add(records))
	durable = q.save()
	q.finish(q.boundMemory())
	return durable
}

// Next waits for the first record of a shard that no other caller of Next has, and gives it out until Ack or Return. It
// is false when ctx has ended or the queue is closed, and nothing waits. Whoever must keep series in order takes no second
// record of a shard before the first is settled.
func (q *Queue) Next(ctx context.Context, shard int, order Order) (Record, bool) {
	for {
		e, changed, rest := q.take(shard, order)
		q.finish(rest)
		var pause <-chan time.Time
		if e != nil {
			payload, err := q.read(e)
			switch {
			case err == nil:
				return Record{e.Meta, payload}, true
			case !crowded(err):
				continue // it is set aside
			}
			q.Return(e.ID)
			changed, pause = nil, time.After(crowdedPause)
		} else if changed == nil {
			return Record{}, false
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

// Ack forgets a record that Next gave: it has been delivered, or given up and counted by the caller. When Ack returns, not
// even a power cut brings the record back, unless the disk fails or Put is still writing it.
func (q *Queue) Ack(id uint64) {
	q.mu.Lock()
	var rest cleanup
	if e := q.index.find(id); e != nil && !q.closed {
		rest = q.settle(e)
	}
	q.mu.Unlock()
	q.finish(rest)
	if len(rest.files) > 0 {
		q.syncNames()
	}
}

// Return gives back a record that Next gave: it is the first of its shard again.
func (q *Queue) Return(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.index.find(id); e != nil {
		e.out = false
		q.wake()
	}
}

// Pending is what waits or is given out.
type Pending struct {
	Records int
	Samples int64 // native histograms among them
	Bytes   int64 // of disk and memory
	Oldest  time.Time
}

// Pending is what the queue holds. It is cheap to ask.
func (q *Queue) Pending() Pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.index.pending()
}

// Close writes what is not on disk yet, if the disk takes it, and lets the directory go. All waiting ends.
func (q *Queue) Close() error {
	q.saving.Lock()
	defer q.saving.Unlock()
	q.save()
	q.finish(q.shut())
	if q.files == nil {
		return nil
	}
	return q.files.Close()
}
