package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// This file is the part of a queue that works on disk. That part loads the records of earlier processes, saves records, and moves damaged
// files away.

const (
	lockFile = "lock"
	badDir   = "bad" // directory of damaged files
	maxBad   = 100   // number of files in badDir; a new file replaces the oldest

	maxGroup = 32 // number of files that are open at once while records are written
)

// lock locks a spool's directory.
func lock(fsys durable.FS) error {
	err := fsys.Lock(lockFile)
	if _, held := errors.AsType[*durable.HeldError](err); held {
		err = fmt.Errorf("%w: stop that process, or give each sink its own directory", err)
	}
	return err
}

// save writes the records that are only in memory to disk, oldest first, until all are written or the disk fails. It reports whether all of
// them are written. The caller holds the mutex "saving".
func (q *Queue) save() (all bool) {
	if !q.tryOpen() {
		return q.give()
	}
	q.mu.Lock()
	closed, leftover, todo := q.closed, q.leftover, q.index.unsaved()
	q.leftover = nil
	q.mu.Unlock()
	if closed {
		return false
	}
	q.remove(leftover...)
	for group := range slices.Chunk(todo, maxGroup) {
		q.finish(q.boundDisk(group))
		if err := q.saveGroup(group); err != nil {
			q.fails(err)
			return false
		}
		q.works()
	}
	q.finish(q.boundDisk(nil))
	return true
}

// saveGroup writes the files of records. After an error, some of the records may have their files all the same. The files of the other
// records are written again later, because the contents of a file are unknown after a failed sync.
func (q *Queue) saveGroup(group []*entry) error {
	names := make([]string, len(group))
	for i, e := range group {
		names[i] = e.name()
	}
	done, err := durable.ReplaceAll(q.fsys, names, func(i int, w io.Writer) error {
		r := Record{Meta: group[i].Meta, Payload: group[i].payload}
		_, err := w.Write(r.encode())
		return err
	})
	q.finish(q.written(group[:done.Named], done))
	return err
}

// written is called after the files of records were written. It notes which records have files now, and returns the files to remove.
func (q *Queue) written(group []*entry, done durable.Replaced) (c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leftover = append(q.leftover, done.Left...)
	for _, e := range group {
		e.file = true
		switch {
		case e.gone: // acknowledged or dropped meanwhile
			c.files = append(c.files, e.name())
		case done.Durable:
			q.index.saved(e)
		}
	}
	return c
}

// remove removes files. If the disk fails, the next save tries to remove them again.
func (q *Queue) remove(names ...string) {
	for _, name := range names {
		if err := q.fsys.Remove(name); err != nil && (!errors.Is(err, fs.ErrNotExist) || q.isAway(err)) {
			q.mu.Lock()
			q.leftover = append(q.leftover, name)
			q.mu.Unlock()
			q.fails(err)
		}
	}
}

// inheritedLater returns an error if the record is from an earlier process and has a later version of the format.
func (q *Queue) inheritedLater(e *entry) *VersionError {
	if e.ID > q.index.lastInherited { // only load and TakeOver set lastInherited
		return nil
	}
	return laterVersion(q.fsys, e.name())
}

// leave logs, only once, that a file of a later version is not touched.
func (q *Queue) leave(name string, later *VersionError) {
	q.mu.Lock()
	logged := q.seenLater
	q.seenLater = true
	q.mu.Unlock()
	if !logged {
		q.options.Log.Warn("the spool has records of a later version, which stay in its directory: start the later cton to send them, "+
			"or see them with cton spool ls", "file", name, "error", later)
	}
}

// setAside moves a file to badDir and logs why. If badDir then has too many files, it removes the oldest files.
func (q *Queue) setAside(name string, why error) {
	if errors.Is(why, fs.ErrNotExist) {
		q.options.Log.Warn("a file of the spool is missing: something else has removed it", "file", name)
		return
	}
	to := path.Join(badDir, name)
	if err := errors.Join(q.fsys.Mkdir(badDir), q.fsys.Rename(name, to)); err != nil {
		q.options.Log.Warn("cannot set aside a file of the spool: remove it, or the next start reads it again",
			"file", name, "error", why, "disk", err)
		return
	}
	q.options.Log.Warn("a damaged file of the spool was set aside: cton spool ls shows what is wrong with it", "file", to, "error", why)
	q.mu.Lock()
	q.bad = append(q.bad, to)
	oldest := q.bad[:max(0, len(q.bad)-maxBad)]
	q.bad = q.bad[len(oldest):]
	q.mu.Unlock()
	q.remove(oldest...)
}

// fails notes that the disk fails. It logs the first failure.
func (q *Queue) fails(err error) {
	q.mu.Lock()
	first := q.failing.Err == nil
	if first {
		q.failing = Fault{time.Now(), err}
	}
	q.mu.Unlock()
	if first {
		q.options.Log.Warn("the spool's disk fails, and records wait in memory: check its free space and its health", "error", err)
	}
}

// works is called after records were written to disk. It notes that the disk works, and logs this if the disk has failed before.
func (q *Queue) works() {
	q.mu.Lock()
	before, good := q.failing, len(q.leftover) == 0
	if good {
		q.failing = Fault{}
	}
	q.mu.Unlock()
	if good && before.Err != nil {
		q.options.Log.Info("the spool's disk works again", "after", time.Since(before.Since).Round(time.Millisecond))
	}
}
