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

// journal is the journal to which records are appended.
type journal struct {
	number uint64       // number of the last journal on disk
	size   int64        // size of the complete batches of that journal; 0 = start a new journal
	torn   bool         // perhaps incomplete or unknown data follows the complete batches, so nothing can be appended
	file   durable.File // nil = not open
}

// Write is a record that is being written to disk.
type Write struct {
	entry
	when Condition
	done chan struct{}
}

// Condition says whether a record is written.
type Condition struct {
	// May is called just before each attempt to write the record, while no other process writes. If it returns false, the record is not
	// written, now or later, and counts as done. nil = the record is written in any case.
	May func() bool
	// TakeBack is called if May has returned true, and it is certain that no process will read the record: the disk has taken only a part
	// of the data to which the record belongs. May is called again before the next attempt. nil = nothing is called.
	TakeBack func()
}

// Done returns a channel that is closed when the record is on disk.
func (w *Write) Done() <-chan struct{} { return w.done }

func (w *Write) isWritten() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// lazyPause is how long a record of AppendLazily may wait before it is written.
const lazyPause = 5 * time.Second

// firstPause is the pause after a failed write. It doubles after each further failure, up to lastPause.
const (
	firstPause = time.Second
	lastPause  = 10 * time.Second
)

// Append appends a record to the records of a name. The record is written soon, with one sync for all records appended in the meantime.
// If the disk fails, the record waits, and writing is tried again until it succeeds. The caller must not change data afterwards.
func (f *File) Append(name string, data []byte) *Write {
	return f.append(&Write{entry: entry{name, time.Now(), data}}, false)
}

// AppendIf is like Append, but writes the record only if the condition "when" holds.
func (f *File) AppendIf(when Condition, name string, data []byte) *Write {
	return f.append(&Write{entry: entry{name, time.Now(), data}, when: when}, false)
}

// AppendLazily is like Append, but the record may wait some seconds before it is written.
func (f *File) AppendLazily(name string, data []byte) {
	f.append(&Write{entry: entry{name, time.Now(), data}}, true)
}

func (f *File) append(w *Write, lazily bool) *Write {
	w.done = make(chan struct{})
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

// start starts a flush. The caller holds f.mu.
func (f *File) start() {
	f.writing = true
	f.done.Go(f.flush)
}

// flush writes the waiting records until no record waits or the file is closed.
func (f *File) flush() {
	for pause := firstPause; ; {
		f.mu.Lock()
		batch := f.waiting
		if len(batch) == 0 || f.closed {
			f.writing = false
			f.mu.Unlock()
			break
		}
		f.began = time.Now()
		f.mu.Unlock()
		err := f.writeAll(batch)
		f.settle(batch, err)
		if err == nil {
			f.callWaiting(false)
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

// settle notes whether a write of batch has succeeded.
func (f *File) settle(batch []*Write, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.began = time.Time{}
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

// cause returns an error without the names of files, because these change from one try to the next.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// AfterWriting calls the function "do" when all records that were appended until now are on disk. It also calls "do" when the file is
// closed, because no record is written after that. AfterWriting tries to write the records at once. If that fails, it calls the function
// "failed" with the reason and returns. In this case, "do" is called later.
func (f *File) AfterWriting(do func(), failed func(error)) {
	f.mu.Lock()
	var last *Write
	if n := len(f.waiting); n > 0 {
		last = f.waiting[n-1]
	}
	f.mu.Unlock()
	f.Flush()
	if last == nil || last.isWritten() {
		do()
		return
	}
	failed(errors.New(f.Status().Error))
	f.mu.Lock()
	f.afterwards = append(f.afterwards, afterwards{last, do})
	f.mu.Unlock()
	f.callWaiting(false) // perhaps the record "last" was written in the meantime
}

// afterwards is a function that was passed to AfterWriting, together with the record that must be written before the function is called.
type afterwards struct {
	last *Write
	do   func()
}

// callWaiting calls the functions of AfterWriting whose records are on disk. If all is true, it calls all functions.
func (f *File) callWaiting(all bool) {
	f.mu.Lock()
	var due []func()
	f.afterwards = slices.DeleteFunc(f.afterwards, func(a afterwards) bool {
		ready := all || a.last.isWritten()
		if ready {
			due = append(due, a.do)
		}
		return ready
	})
	f.mu.Unlock()
	for _, do := range due {
		do()
	}
}

// Flush starts to write all waiting records and waits until they are written, or until one try has failed. WaitUntil limits the time.
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
			if f.Status().Failed > failed || f.isStuck() {
				return
			}
		}
	}
}

// writeAll appends records to the journal and syncs it. After an error it is unknown which records are on disk, so the next
// try writes all of them to a new journal. A record that is on disk twice does no harm.
func (f *File) writeAll(batch []*Write) (err error) {
	endTurn, err := f.takeTurn(true)
	if err == nil {
		defer endTurn()
	}
	f.appending.Lock()
	defer f.appending.Unlock()
	defer func() {
		if err != nil {
			f.closeJournal()
			f.torn = true
		}
		err = f.vanished(err)
		f.lost = f.lost || errors.Is(err, errVanished)
	}()
	if err != nil {
		return err
	}
	if err := f.find(); err != nil {
		return err
	}
	if err := f.openJournal(); err != nil {
		return err
	}
	entries := make([]entry, 0, len(batch))
	var takeBack []func()
	for _, w := range batch {
		if w.when.May != nil && !w.when.May() {
			continue
		}
		entries = append(entries, w.entry)
		if w.when.May != nil && w.when.TakeBack != nil {
			takeBack = append(takeBack, w.when.TakeBack)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	b := appendBatch(nil, entries)
	if n, err := f.file.Write(b); err != nil {
		for _, do := range takeBack {
			if n < len(b) {
				do()
			}
		}
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.size += int64(len(b))
	f.count(len(b), len(b))
	return nil
}

// count adds its arguments to the number of bytes written, and to the number of journal bytes that compact would merge.
func (f *File) count(written, journal int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Bytes += int64(written)
	f.journalBytes += int64(journal)
}

// syncLast syncs the last journal. What Open has read from this journal is perhaps not on disk yet, but later batches will depend on it.
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

// find returns an error if the files that the next batch depends on have vanished. If they had vanished and are back now, find locks the
// state again. The caller holds f.appending.
func (f *File) find() error {
	err := f.isThere(f.name())
	if err == nil && f.size > 0 {
		err = f.isThere(journalName(f.name(), f.number))
	}
	if err != nil || !f.lost {
		return err
	}
	f.unlock()
	if err := f.lock(); err != nil {
		return err
	}
	f.lost = false
	return nil
}

// openJournal opens the last journal to append to it. If there is none, or if nothing can be appended to it, openJournal
// creates a new journal.
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

// createSnapshot creates a snapshot without records if there is no snapshot, so that a file with the configured name exists.
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
		_ = f.file.Close() // data that counts as written was synced before
		f.file = nil
	}
}

// minCompact is the total size of the journals up to which they are not merged into the snapshot.
const minCompact = 256 << 10

// isDue reports whether the journals should be merged into the snapshot now.
func (f *File) isDue() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.folding && f.journalBytes > max(minCompact, f.snapshotSize) && !time.Now().Before(f.notBefore)
}

// retryCompact is the pause after a failed compact.
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

// compact merges the journals into a new snapshot and removes them. Records that arrive in the meantime go to a new journal.
func (f *File) compact() error {
	first, folded := f.rotate()
	s, err := readSnapshot(f.fsys, f.name())
	if stay := f.mustStay(err); stay != nil {
		return stay
	}
	if err == nil && s.missing && f.existed() {
		return errVanished
	}
	if err != nil { // the snapshot is damaged, and the new one replaces it
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
		_ = f.fsys.Remove(journalName(f.name(), number)) // if this fails, the next start tries again
	}
	return nil
}

// rotate ends the current journal. It returns the number that the next journal will have, and the total size of the journals
// before it.
func (f *File) rotate() (first uint64, size int64) {
	f.appending.Lock()
	defer f.appending.Unlock()
	f.closeJournal()
	f.size, f.torn = 0, true
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.number + 1, f.journalBytes
}

// fold adds the records of journals to the sections of a snapshot, and combines the records of each changed section into
// one.
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
		switch record, err := f.Fold(name, section.Records); {
		case err != nil:
		case record == nil:
			delete(s.sections, name)
		default:
			section.Records = [][]byte{record}
			s.sections[name] = section
		}
	}
	return nil
}
