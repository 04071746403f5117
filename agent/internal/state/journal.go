package state

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

const journalInfix = ".journal-"

func journalName(name string, number uint64) string {
	return name + journalInfix + strconv.FormatUint(number, 10)
}

// journal is the journal that records are appended to.
type journal struct {
	number uint64       // of the last journal on disk
	size   int64        // of its whole records
	torn   bool         // something follows them
	file   durable.File // nil = not open
}

// Write is a record on its way to disk.
type Write struct {
	entry
	done chan struct{}
}

// Done returns a channel that is closed when the record is on disk.
func (w *Write) Done() <-chan struct{} { return w.done }

// lazyPause is how long records wait that nobody waits for.
const lazyPause = 5 * time.Second

// The pause after a failed write, doubled up to the longest.
const (
	firstPause = time.Second
	lastPause  = 10 * time.Second
)

// Append appends a record to those of a name, soon: it shares a sync with what comes meanwhile. If the disk fails, the record
// waits, and is tried again until it can be written. The caller must not change data afterwards.
func (f *File) Append(name string, data []byte) *Write { return f.append(name, data, false) }

// AppendLazily is Append for a record that nobody waits for: it may wait some seconds.
func (f *File) AppendLazily(name string, data []byte) { f.append(name, data, true) }

func (f *File) append(name string, data []byte, lazily bool) *Write {
	w := &Write{entry{name, time.Now(), data}, make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, w)
	switch {
	case f.closed, f.writing:
	case !lazily:
		f.start()
	case f.lazy == nil:
		f.lazy = time.AfterFunc(lazyPause, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.lazy = nil; !f.writing && !f.closed && len(f.waiting) > 0 {
				f.start()
			}
		})
	}
	return w
}

// start starts a flush. f.mu is locked.
func (f *File) start() {
	f.writing = true
	f.done.Go(f.flush)
}

// flush writes what waits, until nothing waits or the file is closed.
func (f *File) flush() {
	for pause := firstPause; ; {
		f.mu.Lock()
		batch := f.waiting
		if len(batch) == 0 || f.closed {
			f.writing = false
			f.mu.Unlock()
			break
		}
		f.mu.Unlock()
		err := f.writeAll(batch)
		f.settle(batch, err)
		if err == nil {
			pause = firstPause
			continue
		}
		select {
		case <-time.After(pause):
		case <-f.hurry:
		case <-f.stop:
		}
		pause = min(2*pause, lastPause)
	}
	if f.isDue() {
		f.done.Go(f.compactAndLog)
	}
}

// settle notes how a write has ended.
func (f *File) settle(batch []*Write, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.status.Failed++
		f.status.Error = fmt.Sprintf("write the journal of the state file %s: %v", f.path, cause(err))
		return
	}
	f.waiting = f.waiting[len(batch):]
	f.status.Written, f.status.Error = time.Now(), ""
	for _, w := range batch {
		close(w.done)
	}
}

// cause returns an error without the names of files, which change from try to try.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// Flush writes what waits, and waits for that. It tries once.
func (f *File) Flush() {
	f.mu.Lock()
	if len(f.waiting) == 0 || f.closed {
		f.mu.Unlock()
		return
	}
	last := f.waiting[len(f.waiting)-1]
	failed := f.status.Failed
	if !f.writing {
		f.start()
	}
	f.mu.Unlock()
	select {
	case f.hurry <- struct{}{}:
	default:
	}
	for {
		select {
		case <-last.done:
			return
		case <-time.After(10 * time.Millisecond):
			if f.Status().Failed > failed {
				return
			}
		}
	}
}

// writeAll appends records to the journal and syncs it. After an error nothing is known of what is on disk, so the next try
// writes them to a new journal: a record that is there twice does no harm.
func (f *File) writeAll(batch []*Write) (err error) {
	endTurn, err := f.takeTurn(true)
	if err != nil {
		return err
	}
	defer endTurn()
	f.appending.Lock()
	defer f.appending.Unlock()
	defer func() {
		if err != nil {
			f.closeJournal()
			f.torn = true
		}
	}()
	if err := f.openJournal(); err != nil {
		return err
	}
	entries := make([]entry, len(batch))
	for i, w := range batch {
		entries[i] = w.entry
	}
	b := appendBatch(nil, entries)
	if _, err := f.file.Write(b); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.size += int64(len(b))
	f.count(len(b), len(b))
	return nil
}

// count counts bytes that were written, and those of them that a compact would fold.
func (f *File) count(written, journal int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Bytes += int64(written)
	f.journalBytes += int64(journal)
}

// syncLast syncs the last journal: what was read from it may be in memory only, and what follows from it is about to be
// delivered.
func (f *File) syncLast() error {
	f.appending.Lock()
	defer f.appending.Unlock()
	if f.size == 0 || !f.locked {
		return nil
	}
	file, err := f.fsys.Append(journalName(f.name(), f.number))
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// openJournal opens the last journal to append to it, or a new one if there is none or the last one is torn.
func (f *File) openJournal() error {
	if f.file != nil {
		return nil
	}
	if !f.locked {
		if err := f.lock(); err != nil {
			return err
		}
	}
	if f.size > 0 && !f.torn {
		file, err := f.fsys.Append(journalName(f.name(), f.number))
		if err == nil {
			f.file = file
		}
		return err
	}
	number := f.number + 1
	if err := f.createSnapshot(number); err != nil {
		return err
	}
	name := journalName(f.name(), number)
	file, err := f.fsys.Create(name)
	if err != nil {
		return err
	}
	head := journalHead(number)
	_, err = file.Write(head)
	if err == nil {
		err = f.fsys.SyncDir()
	}
	if err != nil {
		return errors.Join(err, file.Close(), f.fsys.Remove(name))
	}
	f.file, f.number, f.size, f.torn = file, number, int64(len(head)), false
	f.count(len(head), len(head))
	return nil
}

// createSnapshot creates the snapshot if there is none, so that the path which users know is a file.
func (f *File) createSnapshot(number uint64) error {
	f.mu.Lock()
	exists := f.snapshotSize > 0
	f.mu.Unlock()
	if exists {
		return nil
	}
	size, err := writeSnapshot(f.fsys, f.name(), number, nil)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshotSize = int64(size)
	return nil
}

func (f *File) closeJournal() {
	if f.file != nil {
		_ = f.file.Close() // what counts was synced
		f.file = nil
	}
}

// minCompact is the size of the journals from which they are folded into the snapshot, if they are larger than that.
const minCompact = 256 << 10

// isDue reports whether the journals are to be folded into the snapshot.
func (f *File) isDue() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.folding && f.journalBytes > max(minCompact, f.snapshotSize) && !time.Now().Before(f.notBefore)
}

// retryCompact is the pause after a compact that failed.
const retryCompact = time.Minute

func (f *File) compactAndLog() {
	f.mu.Lock()
	busy := f.folding
	f.folding = true
	f.mu.Unlock()
	if busy {
		return
	}
	endTurn, err := f.takeTurn(true)
	if err == nil {
		err = f.compact()
		endTurn()
	}
	if err != nil {
		f.Log.Warn("cannot write the snapshot of the state, and its journals grow: check the disk's free space and health", "error", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.folding = false
	if err != nil {
		f.notBefore = time.Now().Add(retryCompact)
	}
}

// compact folds the journals into a new snapshot and removes them. Records that come meanwhile go to a new journal.
func (f *File) compact() error {
	first, folded := f.rotate()
	s, err := readSnapshot(f.fsys, f.name())
	if stay := f.mustStay(err); stay != nil {
		return stay
	}
	if err != nil { // it is damaged: what is whole replaces it
		s = &snapshot{sections: map[string]Section{}}
	}
	numbers, err := journals(f.fsys, f.name())
	if err != nil {
		return err
	}
	numbers = slices.DeleteFunc(numbers, func(n uint64) bool { return n >= first })
	if err := f.fold(s, numbers); err != nil {
		return err
	}
	size, err := writeSnapshot(f.fsys, f.name(), first, s.sections)
	if err != nil {
		return err
	}
	f.count(size, -int(folded))
	f.mu.Lock()
	f.snapshotSize = int64(size)
	f.mu.Unlock()
	for _, number := range numbers {
		_ = f.fsys.Remove(journalName(f.name(), number)) // the next start tries again
	}
	return nil
}

// rotate ends the journal. It returns the number from which the next ones are, and the size of those before.
func (f *File) rotate() (first uint64, size int64) {
	f.appending.Lock()
	defer f.appending.Unlock()
	f.closeJournal()
	f.size, f.torn = 0, true
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.number + 1, f.journalBytes
}

// fold adds the records of journals to the sections of a snapshot, and makes one of those of a name.
func (f *File) fold(s *snapshot, numbers []uint64) error {
	changed := map[string]bool{}
	for _, number := range numbers {
		if number < s.journal {
			continue
		}
		entries, _, _, _, err := readJournal(f.fsys, f.name(), number)
		if err != nil {
			return err
		}
		for _, e := range entries {
			s.add(e)
			changed[e.name] = true
		}
	}
	for name := range changed {
		section := s.sections[name]
		if record, err := f.Fold(name, section.Records); err == nil {
			section.Records = [][]byte{record}
			s.sections[name] = section
		}
	}
	return nil
}
