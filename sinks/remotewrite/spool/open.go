package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/durable"
)

// memoryID is the ID of the first record that is put before the directory is open. When the directory is opened, such a record gets another
// ID, which is higher than the IDs of the records of earlier processes. The IDs of files are always lower than memoryID.
const memoryID = 1 << 62

// openPause is the time between two attempts to open the directory.
const openPause = 5 * time.Second

// Open returns the queue in dir, with the records of earlier processes. It creates dir if it does not exist. If dir cannot be opened, Open
// logs this. Records are then kept in memory, and Put and Close try again to open the directory. If dir is "", the queue is in memory.
func Open(dir string, o Options) *Queue {
	if dir == "" {
		return newQueue(nil, o)
	}
	q := newQueue(durable.NewDir(dir), o)
	q.dir, q.guest = dir, newGuest(dir, o.Inbox)
	q.saving.Lock()
	defer q.saving.Unlock()
	q.tryOpen()
	return q
}

func newQueue(fsys durable.FS, o Options) *Queue {
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	q := &Queue{options: o, fsys: fsys, index: newIndex(o.Shards), shift: o.Clock.Read().Shift, changed: make(chan struct{}), handed: map[uint64]*entry{}, lent: map[uint64]*lent{}}
	if fsys != nil {
		q.lastID = memoryID
	}
	return q
}

// tryOpen opens the directory if it is not open, and reports whether it is open. The caller holds the mutex "saving".
func (q *Queue) tryOpen() bool {
	q.mu.Lock()
	open, closed := q.open, q.closed
	q.mu.Unlock()
	if open || closed || q.fsys == nil || time.Now().Before(q.tryAgain) {
		return open
	}
	err := q.fsys.Mkdir(".")
	if err == nil {
		err = q.load()
	}
	if q.isHeld(err) {
		q.tryAgain = time.Now().Add(guestPause)
		return false
	}
	if err != nil {
		q.tryAgain = time.Now().Add(openPause)
		q.cannotOpen(fmt.Errorf("open the spool %s: %w", q.dir, err))
		return false
	}
	q.opened()
	return true
}

// cannotOpen notes that the directory cannot be opened, and logs this: once, and again when the reason changes.
func (q *Queue) cannotOpen(err error) {
	q.mu.Lock()
	before := q.unopened
	q.unopened.Err = err
	if before.Err == nil {
		q.unopened.Since = time.Now()
	}
	q.mu.Unlock()
	if before.Err == nil || before.Err.Error() != err.Error() {
		q.options.Log.Error("the spool cannot be opened: samples wait in memory until it can, and those that wait at the end of the process are lost",
			"error", err)
	}
}

// opened notes that the directory is open, and logs this if the directory could not be opened before.
func (q *Queue) opened() {
	q.mu.Lock()
	before := q.unopened
	q.unopened = Fault{}
	q.mu.Unlock()
	if before.Err != nil {
		q.options.Log.Info("the spool is open, and has the samples that have waited in memory", "after", time.Since(before.Since).Round(time.Millisecond))
	}
}

// load locks the directory and lists the records of earlier processes. It reads only file names, so a large backlog does not delay the
// start. The content of a file is checked when its record is sent. Files that do not belong to a spool are not changed. After an error
// nothing has changed.
func (q *Queue) load() error {
	if err := lock(q.fsys); err != nil {
		return err
	}
	there, err := readNames(q.fsys)
	var bad []string
	if err == nil {
		if bad, err = q.fsys.ReadDir(badDir); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return errors.Join(err, q.fsys.Unlock())
	}
	last := uint64(0)
	for _, name := range records(bad) {
		last = max(last, idOf(name)) // so that no new record gets the ID of this file: Replay can put the file into the queue again
		if file := path.Join(badDir, name); laterVersion(q.fsys, file) == nil {
			q.bad = append(q.bad, file)
		}
	}
	q.remove(there.incomplete...) // Put has not returned
	for _, name := range there.strange {
		if m, ok := parseName([]byte(name)); !ok {
			last = max(last, q.strange(name, errors.New("does not have the name of a record")))
		} else if q.strange(name, errors.New("has the number of another record")) == 0 {
			q.options.Dropped(Damaged, m)
		}
	}
	if n := len(there.records); n > 0 {
		last = max(last, there.records[n-1].id)
	}
	for _, m := range q.takeIn(q.inboxNames(), &last) {
		there.add(&m)
	}
	q.inherit(&there, last)
	return nil
}

// strange handles a file that cannot be put into the queue. If the file has a later version or cannot be read, the file stays in the
// directory, and the result is its ID. Any other file is set aside, and the result is 0.
func (q *Queue) strange(name string, why error) (id uint64) {
	later, err := inspect(q.fsys, name)
	switch {
	case later != nil:
		q.leave(name, later)
	case err != nil && isUnreadable(err):
		q.options.Log.Warn("a file of the spool cannot be read, and stays: check its owner and mode, and the disk", "file", name, "error", err)
	default:
		q.setAside(name, why)
		return 0
	}
	return idOf(name)
}

// inherit puts the records of earlier processes into the index, before the records that were put since the start of this process. The
// argument "last" is the largest ID of other files.
func (q *Queue) inherit(earlier *listing, last uint64) {
	q.mu.Lock()
	now := q.now().UnixMilli()
	since := q.index.unsaved()
	q.index = newIndex(q.options.Shards)
	q.index.inherit(earlier, now)
	q.lastID = max(last, q.index.lastInherited)
	p := q.index.pending()
	for _, e := range since {
		if e.out {
			q.handed[e.ID] = e
		}
		q.lastID++
		e.ID = q.lastID
		q.index.add(e)
	}
	q.open, q.guest.given = true, nil
	rest := q.follow()
	q.wake()
	q.mu.Unlock()
	q.finish(rest)
	if p.Records > 0 {
		q.options.Log.Info("the spool holds samples of an earlier run",
			"samples", p.Samples, "requests", p.Records, "oldest", p.Oldest.UTC().Format(time.RFC3339))
	}
}

// records returns the names that end with the suffix of records.
func records(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, suffix) })
}

// idOf returns the ID at the beginning of a file name, or 0 if there is no valid ID.
func idOf(name string) uint64 {
	first, _, _ := strings.Cut(name, ".")
	id, err := strconv.ParseUint(first, 10, 64)
	if err != nil || id >= maxID {
		return 0
	}
	return id
}
