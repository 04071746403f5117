package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// What a queue does on disk: it loads what earlier runs have left, saves records, reads them again, and sets damaged files
// aside.

const (
	lockFile = "lock"
	badDir   = "bad" // of files that were set aside
	maxBad   = 100   // files in badDir; a new one replaces the oldest

	maxGroup    = 32          // files that are open at once while records are written
	crowdedWait = time.Second // until a file is opened again after the process had no file descriptor left
)

// lock locks a spool's directory.
func lock(fsys durable.FS) error {
	err := fsys.Lock(lockFile)
	if _, held := errors.AsType[*durable.HeldError](err); held {
		err = fmt.Errorf("%w: stop that process, or give each sink its own directory", err)
	}
	return err
}

// load locks the directory and lists the records of earlier runs. It reads names only, so that a large backlog does not delay
// the start: the content is checked when a record is sent. Files that are not a spool's stay as they are.
func (q *Queue) load() error {
	if err := lock(q.fsys); err != nil {
		return err
	}
	names, err := q.fsys.ReadDir(".")
	if err != nil {
		return err
	}
	bad, err := q.fsys.ReadDir(badDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range records(bad) {
		q.lastID = max(q.lastID, idOf(name)) // a file that Replay puts back must find its number free
		if file := path.Join(badDir, name); laterVersion(q.fsys, file) == nil {
			q.bad = append(q.bad, file)
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, durable.TempName(suffix)) {
			q.remove(name) // Put has not returned
		}
	}
	var found []Meta
	for _, name := range records(names) {
		m, ok := parseName(name)
		if ok {
			found = append(found, m)
			continue
		}
		if later := laterVersion(q.fsys, name); later != nil {
			q.lastID = max(q.lastID, idOf(name))
			q.leave(name, later)
			continue
		}
		q.setAside(name, errors.New("does not have the name of a record"))
	}
	q.inherit(found)
	return nil
}

// records returns the names that end as those of records do.
func records(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, suffix) })
}

// idOf returns the ID at the beginning of a file name, or 0 if there is none.
func idOf(name string) uint64 {
	first, _, _ := strings.Cut(name, ".")
	id, err := strconv.ParseUint(first, 10, 64)
	if err != nil || id >= maxID {
		return 0
	}
	return id
}

// inherit adds the records of earlier runs, sorted by ID, to the index.
func (q *Queue) inherit(found []Meta) {
	last, now := uint64(0), q.now().UnixMilli()
	for _, m := range found {
		if m.ID != last {
			last = m.ID
			q.index.add(&entry{Meta: m, put: min(m.Taken, now), saved: true, file: true})
			continue
		}
		if later := laterVersion(q.fsys, m.name()); later != nil {
			q.leave(m.name(), later)
			continue
		}
		q.setAside(m.name(), errors.New("has the number of another record"))
		q.options.Dropped(Damaged, m)
	}
	q.lastID = max(q.lastID, last)
	q.index.inherited, q.index.lastInherited = q.index.records, last
	if p := q.Pending(); p.Records > 0 {
		q.options.Log.Info("the spool holds samples of an earlier run",
			"samples", p.Samples, "requests", p.Records, "oldest", p.Oldest.UTC().Format(time.RFC3339))
	}
}

// save writes the records that are only in memory, oldest first, until all are on disk or the disk fails. The caller holds
// saving.
func (q *Queue) save() (all bool) {
	if q.fsys == nil {
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

// saveGroup writes the files of records. After an error the first of them can be on disk nonetheless; the others are written
// again, because after a failed sync the content of their files is unknown.
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

// written notes which records have files now.
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

// read returns the payload of a record that was taken. If its file is damaged, read sets it aside and counts the record. If it
// has a later version, the file stays.
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
	if closed {
		return nil, fs.ErrClosed // the file stays for the next run
	}
	if err == nil {
		payload, err = e.decode(data)
	}
	if crowded(err) {
		q.fails(err)
	} else if later, ok := errors.AsType[*VersionError](err); ok {
		q.forget(e)
		q.leave(e.name(), later)
	} else if err != nil {
		q.forget(e)
		q.setAside(e.name(), err)
		q.options.Dropped(Damaged, e.Meta)
	}
	return payload, err
}

// crowded reports whether err says that the process, or the system, cannot open one more file.
func crowded(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// remove removes files. If the disk fails, the next save tries again.
func (q *Queue) remove(names ...string) {
	for _, name := range names {
		if err := q.fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			q.mu.Lock()
			q.leftover = append(q.leftover, name)
			q.mu.Unlock()
			q.fails(err)
		}
	}
}

// inheritedLater returns an error if an earlier run has left a record of a later version.
func (q *Queue) inheritedLater(e *entry) *VersionError {
	if e.ID > q.index.lastInherited { // set by load only
		return nil
	}
	return laterVersion(q.fsys, e.name())
}

// leave logs, once, that a file of a later version stays where it is.
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

// setAside moves a file to badDir, and logs why. If badDir has too many files, it removes the oldest.
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
	q.options.Log.Warn("set aside a file of the spool", "file", to, "error", why)
	q.mu.Lock()
	q.bad = append(q.bad, to)
	oldest := q.bad[:max(0, len(q.bad)-maxBad)]
	q.bad = q.bad[len(oldest):]
	q.mu.Unlock()
	q.remove(oldest...)
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
		q.options.Log.Warn("the spool's disk fails, and records wait in memory: check its free space and its health", "error", err)
	}
}

// works notes that records were written to disk, and logs it if the disk has failed before.
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
