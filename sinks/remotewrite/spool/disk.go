package spool

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"time"
)

// maxGroup bounds how many files are open at once while records are written.
const maxGroup = 32

// save writes the records that are only in memory, oldest first, until all are on disk or the disk fails. The caller holds
// saving.
func (q *Queue) save() (all bool) {
	if q.files == nil {
		return false
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

// saveGroup writes records under other names, syncs them, gives them their names, and syncs those. Where it fails, a
// beginning of the group may be on disk nonetheless, and the rest is written anew at the next try: what a failed sync has
// left behind is not to be trusted.
func (q *Queue) saveGroup(group []*entry) error {
	n, unwritten := q.writeAll(group)
	n, unnamed := q.nameAll(group[:n])
	if n == 0 {
		return errors.Join(unwritten, unnamed)
	}
	unsynced := q.files.SyncDir()
	q.finish(q.written(group[:n], unsynced == nil))
	return errors.Join(unwritten, unnamed, unsynced)
}

// writeAll writes the records' files, under names that are not theirs yet, and tells how many of them are synced.
func (q *Queue) writeAll(group []*entry) (n int, err error) {
	open := make([]file, 0, len(group))
	good := 0
	for _, e := range group {
		var f file
		if f, err = q.files.Create(e.name() + unready); err != nil {
			break
		}
		open = append(open, f)
		r := Record{e.Meta, e.payload}
		if _, err = f.Write(r.encode()); err != nil {
			break
		}
		good++
	}
	for i, f := range open {
		if i < good {
			if failed := f.Sync(); failed != nil {
				good, err = i, failed
			}
		}
		if failed := f.Close(); failed != nil && i < good {
			good, err = i, failed
		}
	}
	for _, e := range group[good:len(open)] {
		q.remove(e.name() + unready)
	}
	return good, err
}

// nameAll gives the records' files their names and tells how many have got them.
func (q *Queue) nameAll(group []*entry) (n int, err error) {
	for n < len(group) && err == nil {
		if err = q.files.Rename(group[n].name()+unready, group[n].name()); err == nil {
			n++
		}
	}
	for _, e := range group[n:] {
		q.remove(e.name() + unready)
	}
	return n, err
}

// written notes which records have files now.
func (q *Queue) written(group []*entry, synced bool) (c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range group {
		e.file = true
		switch {
		case e.gone: // settled in the meantime
			c.files = append(c.files, e.name())
		case synced:
			q.index.saved(e)
		}
	}
	return c
}

// remove removes files. Where the disk will not, the next save tries again.
func (q *Queue) remove(names ...string) {
	for _, name := range names {
		if err := q.files.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			q.mu.Lock()
			q.leftover = append(q.leftover, name)
			q.mu.Unlock()
			q.fails(err)
		}
	}
}

func (q *Queue) syncNames() {
	if err := q.files.SyncDir(); err != nil {
		q.fails(err)
	}
}

// fails notes that the disk fails, and logs it once.
func (q *Queue) fails(err error) {
	q.mu.Lock()
	first := q.failing.IsZero()
	if first {
		q.failing = time.Now()
	}
	q.mu.Unlock()
	if first {
		q.options.Log.Warn("the spool's disk fails: records wait in memory, see to its space and health", "error", err)
	}
}

// works notes that the disk has taken records.
func (q *Queue) works() {
	q.mu.Lock()
	since, good := q.failing, len(q.leftover) == 0
	if good {
		q.failing = time.Time{}
	}
	q.mu.Unlock()
	if good && !since.IsZero() {
		q.options.Log.Info("the spool's disk works again", "after", time.Since(since).Round(time.Millisecond))
	}
}

// crowdedPause is the time before a file is opened again that there has been no room to open.
const crowdedPause = time.Second

// crowded tells that the process, or the system, has no room for one more open file, which says nothing of the file.
func crowded(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// read is the payload of a record that is given out. Where its file will never give it, the record is set aside and counted.
func (q *Queue) read(e *entry) ([]byte, error) {
	q.mu.Lock()
	payload, saved := e.payload, e.saved
	q.mu.Unlock()
	if !saved {
		return payload, nil
	}
	data, err := q.files.ReadFile(e.name(), e.size()+1)
	if err == nil {
		payload, err = e.decode(data)
	}
	switch {
	case err == nil || errors.Is(err, fs.ErrClosed): // by Close: the file stays for the next run
	case crowded(err):
		q.fails(err)
	default:
		q.finish(q.damaged(e))
		q.setAside(e.name(), err)
	}
	return payload, err
}

// damaged drops a record whose file is to be set aside.
func (q *Queue) damaged(e *entry) (c cleanup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drop(&c, e, Damaged)
	c.files = nil
	return c
}
