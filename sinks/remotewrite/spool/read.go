package spool

import (
	"errors"
	"io/fs"
	"syscall"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// A record whose file cannot be read (EACCES, EIO and similar errors) is not damaged: it stays in the queue, and its file is not
// touched. Other records of its shard wait for it for readPatience, since receivers refuse samples that are out of order. After
// that, newer records are sent before it, and it is read again every rereadPause. See also LeaveUnread.
//
// If the process cannot open more files (EMFILE and similar errors), nothing else works either, so records wait without a limit.
const (
	readWait     = time.Second
	readPatience = time.Minute
	rereadPause  = 10 * time.Second
)

// unreadableError says that a file could not be read. Its contents may be intact.
type unreadableError struct{ error }

func (e *unreadableError) Unwrap() error { return e.error }

// isUnreadable reports whether a read error says nothing about the contents of the file.
func isUnreadable(err error) bool {
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, durable.ErrNotRegular)
}

// isAway reports whether err says that a file is missing because the whole spool is missing: the directory was moved, or the disk was
// unmounted. A spool that is there is never empty, since it contains its lock.
func (q *Queue) isAway(err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	names, err := q.fsys.ReadDir(".")
	return len(names) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist))
}

// isCrowded reports whether err says that the process, or the system, cannot open one more file.
func isCrowded(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// read returns the payload of a record that was taken. If the file is damaged, it is set aside, and the record is reported as dropped. If
// the file has a later version, it is not touched. The error is an *unreadableError if the record stays in the queue.
func (q *Queue) read(e *entry) ([]byte, error) {
	q.mu.Lock()
	payload, saved := e.payload, e.saved
	q.mu.Unlock()
	if !saved {
		return payload, nil
	}
	data, err := q.fsys.ReadFile(e.name(), int64(e.size())+1)
	q.mu.Lock()
	closed := q.closed
	q.mu.Unlock()
	switch {
	case closed:
		return nil, fs.ErrClosed // the file is left to the next process
	case err != nil && (isUnreadable(err) || q.isAway(err)):
		return nil, &unreadableError{err}
	case err == nil:
		q.readable(e)
		payload, err = e.decode(data)
	}
	if later, ok := errors.AsType[*VersionError](err); ok {
		q.forget(e)
		q.leave(e.name(), later)
	} else if err != nil {
		q.forget(e)
		q.setAside(e.name(), err)
		q.options.Dropped(Damaged, e.Meta)
	}
	return payload, err
}

// waits puts a record that could not be read back into the queue. The result is true if the caller must wait for this record, and false if
// the caller takes the next one.
func (q *Queue) waits(e *entry, err error) bool {
	unreadable, ok := errors.AsType[*unreadableError](err)
	if !ok {
		return false // read has handled the error
	}
	if isCrowded(err) {
		q.fails(unreadable.error)
		q.Return(e.ID)
		return true
	}
	q.mu.Lock()
	e.out = false
	first := q.unread.IsZero()
	if first {
		q.unread = time.Now()
	}
	if !e.unread {
		e.unread = true
		q.index.unread++
	}
	passed := time.Since(q.unread) >= readPatience
	if passed {
		q.index.passOver(e, time.Now().Add(rereadPause))
		q.wake() // other calls of Next may have waited for this record
	}
	q.mu.Unlock()
	if first {
		q.options.Log.Warn("a record of the spool cannot be read, and waits: check the owner and mode of the spool's files, and the disk; "+
			"after "+readPatience.String()+" newer records are sent before it", "file", e.name(), "error", unreadable.error)
	}
	return !passed
}

// LeaveUnread is called at the end of the process, when Next returns nothing more. If records are only in memory, it lets them be sent
// before those records of their shard that could not be read: those stay on disk, but what is in memory would be lost. It reports whether
// there are such records.
func (q *Queue) LeaveUnread() (some bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.index.memory == 0 {
		return false
	}
	for i := range q.index.shards {
		for e := range q.index.shards[i].unpacked() {
			if e.unread && !e.out && e.again.IsZero() {
				q.index.passOver(e, time.Now().Add(rereadPause))
				some = true
			}
		}
	}
	return some
}

// readable records that the file of a record can be read again.
func (q *Queue) readable(e *entry) {
	q.mu.Lock()
	since := q.unread
	all := e.unread && q.index.unread == 1
	q.index.read(e)
	if all {
		q.unread = time.Time{}
	}
	q.mu.Unlock()
	if all {
		q.options.Log.Info("all records of the spool that were tried can be read again", "after", time.Since(since).Round(time.Millisecond))
	}
}

// nextRead returns a channel that gets a value when it is time to read a record of the shard again that could not be read before. The
// result is nil if there is no such record.
func (q *Queue) nextRead(shard int) <-chan time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if next := q.index.nextRead(shard); !next.IsZero() {
		return time.After(time.Until(next))
	}
	return nil
}
