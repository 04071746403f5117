// Package state keeps the state of jobs on disk, so that it survives a restart, a kill and a power cut. For this package,
// the state is a list of records for each name. Only the caller knows what a record means.
//
// There are two kinds of files: a snapshot, which is always replaced as a whole, and journals in the same directory, to
// which records are appended. A record counts as written when its journal was synced. Records that arrive at about the same
// time share one sync. From time to time, the journals are merged into a new snapshot in the background.
//
// If part of a file is damaged, only the records in that part are lost. A file with a later version of the format, or one that
// cannot be read at all, does not count as damaged: Open returns an error and changes nothing.
package state

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// Options are the settings of a File.
type Options struct {
	// Fold combines several records of one name into one record. It returns nil if nothing of the name is needed any more. If it fails, the
	// records remain as they are.
	Fold func(name string, records [][]byte) ([]byte, error)
	Log  *slog.Logger
	// Shared allows other processes that also set Shared to use the state at the same time.
	Shared bool
}

// File is the open state of an agent: a snapshot and its journals. It is safe for concurrent use.
type File struct {
	Options
	path string
	fsys durable.FS // file system of the directory that contains path

	mu         sync.Mutex
	waiting    []*Write       // records for the next sync
	writing    bool           // flush is running
	folding    bool           // compact is running
	hurry      chan struct{}  // holds a token to end the pause after a failed write
	lazy       *time.Timer    // time until the next flush of records of AppendLazily; nil = none
	afterwards []afterwards   // functions passed to AfterWriting that were not called yet
	closed     bool           // Close was called
	stop       chan struct{}  // closed by Close
	done       sync.WaitGroup // waits for flush and compact
	began      time.Time      // when the current write began; zero = nothing is being written
	limit      time.Time      // see WaitUntil; zero = none
	status     Status
	records    map[string]Section // what Open or Reread has read; nil after Loaded

	journalBytes int64     // size of all journals that are not merged into the snapshot
	snapshotSize int64     // size of the snapshot in bytes
	notBefore    time.Time // earliest time of the next compact, after a failed one

	life      *durable.Dir // holds the lock that processes share; nil = this process has the state alone
	rereading sync.Mutex   // held while Reread reads the files

	turn sync.Mutex // held while this process has its turn; locked before appending
	word string     // word that this process writes to the lock file in its turn; any other word there is from the turn of another process

	appending sync.Mutex // guards the fields below
	journal
	locked bool
	lost   bool // the files were missing at the last write, so perhaps the files that this process has locked are gone
}

// Status is the state of writing to disk.
type Status struct {
	Written time.Time // time of the last successful write; zero before the first
	Failed  int64     // number of failed writes
	Error   string    // why the waiting records cannot be written; "" if they can
	Bytes   int64     // bytes written to disk
}

// lockTimeout is how long Open waits for another process, which perhaps ends soon.
const lockTimeout = 10 * time.Second

// Open locks the state of a path for this process and reads it. The result "problems" describes errors in the content, one line each. A
// damaged file is renamed or copied, and its damaged part is missing in the state. Open returns an error if another process has locked
// the files (*durable.HeldError), if a file has a later version (*VersionError), if a file cannot be read, or if ctx ends. The files are
// unchanged then.
func Open(ctx context.Context, path string, o Options) (f *File, problems []error, err error) {
	return OpenOn(ctx, path, durable.NewDir(filepath.Dir(path)), o)
}

// OpenOn is like Open, but with another file system instead of the directory of path. It is meant for tests.
func OpenOn(ctx context.Context, path string, fsys durable.FS, o Options) (*File, []error, error) {
	f := &File{Options: o, path: path, fsys: fsys, stop: make(chan struct{}), hurry: make(chan struct{}, 1), word: rand.Text()}
	unlocked := f.waitForLock(ctx)
	if IsHeld(unlocked) {
		return nil, nil, fmt.Errorf("open the state file %s: %w: stop that process, or give each agent its own state_file", path, unlocked)
	}
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("open the state file %s: %w", path, unlocked)
	}
	endTurn, err := f.takeTurn(false)
	var problems []error
	if err == nil {
		problems, err = f.load()
		endTurn()
	}
	if err != nil {
		f.unlock()
		return nil, nil, fmt.Errorf("read the state file %s: %w", path, err)
	}
	if unlocked != nil {
		problems = append(problems, fmt.Errorf("lock the state file %s: %w; the agent tries again at each write", path, unlocked))
	}
	return f, problems, nil
}

func (f *File) name() string { return filepath.Base(f.path) }

func (f *File) waitForLock(ctx context.Context) error {
	for deadline := time.Now().Add(lockTimeout); ; {
		err := f.lock()
		if !IsHeld(err) || !time.Now().Before(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// lock locks the state. It creates the directory of the state if it is missing.
func (f *File) lock() error {
	var err error
	if !f.existed() { // if the directory has vanished, it is not made again: perhaps a disk is mounted there later
		err = f.fsys.Mkdir(".")
	}
	if err == nil {
		err = f.lockLife(f.name() + ".lock")
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil // this system has no locks: the user must not let two agents share a file
	}
	f.locked = err == nil
	return err
}

func (f *File) lockLife(name string) error {
	if !f.Shared {
		return f.fsys.Lock(name)
	}
	if f.life == nil {
		f.life = durable.NewDir(filepath.Dir(f.path))
	}
	return f.life.LockShared(name)
}

func (f *File) unlock() {
	if f.locked {
		_ = f.fsys.Unlock() // at the latest, the lock ends with the process
		if f.life != nil {
			_ = f.life.Unlock()
		}
		f.locked = false
	}
}

// IsHeld reports whether an error means that another process has the lock.
func IsHeld(err error) bool {
	_, held := errors.AsType[*durable.HeldError](err)
	return held
}

// load reads the snapshot and the journals. The problems describe what is damaged, one line each.
func (f *File) load() (problems []error, err error) {
	s, err := readSnapshot(f.fsys, f.name())
	if fatal := f.mustStay(err); fatal != nil {
		return nil, fatal
	}
	damaged := err != nil || len(s.damage) > 0
	if err != nil {
		problems = append(problems, fmt.Errorf("read the state file %s: %w; %s, and what it holds is missing", f.path, err, f.setAside(f.name(), f.fsys.Rename)))
		s = &snapshot{sections: map[string]Section{}}
	}
	if len(s.damage) > 0 {
		aside := f.setAside(f.name(), f.fsys.Link) // this file stays in place until a new snapshot replaces it
		for _, job := range slices.Sorted(maps.Keys(s.damage)) {
			problems = append(problems, fmt.Errorf("read the state file %s: the state of job %s: %w; %s, and the job starts without it", f.path, job, s.damage[job], aside))
		}
	}
	more, err := f.loadJournals(s)
	if err != nil {
		return nil, err
	}
	f.records = s.sections
	f.snapshotSize = int64(s.size)
	if err := f.syncLast(); err != nil {
		problems = append(problems, fmt.Errorf("sync the state journal %s: %w", journalName(f.path, f.number), err))
	}
	if damaged || len(more) > 0 || s.version == 1 {
		// A file of version 1 is replaced at once. Otherwise, a program that knows only version 1 would later read this file and not the
		// journals. Such a program refuses the new file.
		if err := f.compact(); err != nil {
			problems = append(problems, fmt.Errorf("write the state file %s: %w", f.path, err))
		}
	}
	return append(problems, more...), nil
}

// mustStay returns an error if a file must not be changed because its content is not known.
func (f *File) mustStay(err error) error {
	if errors.Is(err, durable.ErrNotRegular) {
		return fmt.Errorf("%w: name a file", err)
	}
	if _, unread := errors.AsType[*readError](err); unread {
		return err
	}
	if _, later := errors.AsType[*VersionError](err); later {
		return err
	}
	return nil
}

// errVanished is the error if the files existed and are missing now. Nothing is written then: a record has only what has changed since
// the record before it, so it is of no use without the missing files. And if these files come back later, totals would step back to the
// values in them.
var errVanished = errors.New("the file has vanished: was its directory removed, or its disk unmounted? Bring it back, or restart cton to start all jobs without state")

// existed reports whether this process has read or written the files.
func (f *File) existed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshotSize > 0
}

// isThere returns an error if a file has vanished or cannot be opened.
func (f *File) isThere(name string) error {
	if !f.existed() {
		return nil
	}
	_, err := f.fsys.ReadFile(name, 0)
	return f.vanished(err)
}

// vanished returns errVanished if the argument says that a file is missing, and this process has read or written the files before.
// Otherwise it returns the argument unchanged.
func (f *File) vanished(err error) error {
	if isNotExist(err) && f.existed() {
		return errVanished
	}
	return err
}

// IsUnreadable reports whether an error of Open means that a file could not be read. The file may become readable later.
func IsUnreadable(err error) bool {
	_, unread := errors.AsType[*readError](err)
	return unread && !errors.Is(err, durable.ErrNotRegular)
}

// setAside gives a file another name, by renaming or linking the file, and returns a text that says so.
func (f *File) setAside(name string, how func(from, to string) error) string {
	aside := name + ".damaged-" + time.Now().UTC().Format("20060102T150405.000Z")
	if err := how(name, aside); err != nil {
		return "it could not be set aside"
	}
	return "it is set aside as " + filepath.Join(filepath.Dir(f.path), aside)
}

// journals returns the numbers of the journals on disk, sorted.
func journals(fsys durable.FS, name string) (numbers []uint64, err error) {
	names, err := fsys.ReadDir(".")
	if isNotExist(err) {
		return nil, nil
	}
	for _, file := range names {
		if digits, found := strings.CutPrefix(file, name+journalInfix); found {
			if n, err := strconv.ParseUint(digits, 10, 64); err == nil && digits == strconv.FormatUint(n, 10) {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	return numbers, err
}

// loadJournals adds the records of the journals to the sections of the snapshot.
func (f *File) loadJournals(s *snapshot) (problems []error, err error) {
	numbers, err := journals(f.fsys, f.name())
	if err != nil {
		return nil, &readError{err}
	}
	f.number, f.journalBytes = max(s.journal, 1)-1, 0
	synced := f.fsys.SyncDir() // a crash could otherwise bring back the old snapshot
	for _, number := range numbers {
		if number < s.journal {
			if synced == nil {
				_ = f.fsys.Remove(journalName(f.name(), number)) // it was merged; if this fails, the next start tries again
			}
			continue
		}
		if s.missing { // a user has removed the snapshot: one is always written before the first journal
			problems = append(problems, fmt.Errorf("the state file %s is missing (was it deleted?), though its journal %s exists; %s, and all jobs start without state: to keep the totals, stop the agent and restore the file from a backup",
				f.path, filepath.Base(journalName(f.path, number)), f.setAside(journalName(f.name(), number), f.fsys.Rename)))
			continue
		}
		entries, whole, size, damaged, err := readJournal(f.fsys, f.name(), number)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", journalName(f.path, number), err)
		}
		if damaged > 0 {
			problems = append(problems, fmt.Errorf("read the state journal %s: %d bytes are damaged; %s, and the jobs whose records were there may go on from an older state",
				journalName(f.path, number), damaged, f.setAside(journalName(f.name(), number), f.fsys.Link)))
		}
		for _, e := range entries {
			s.add(e)
		}
		f.number, f.size, f.torn = number, int64(whole), size > whole
		f.journalBytes += int64(whole)
	}
	return problems, nil
}

func readJournal(fsys durable.FS, name string, number uint64) (entries []entry, whole, size, damaged int, err error) {
	text, err := fsys.ReadFile(journalName(name, number), maxFile+1)
	if err != nil {
		return nil, 0, 0, 0, &readError{err}
	}
	if len(text) > maxFile {
		return nil, 0, 0, 0, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	entries, whole, damaged, err = parseJournal(text, number)
	return entries, whole, len(text), damaged, err
}

// Records returns the records of a name, oldest first, or nil if there are none. It returns an error if the files cannot be read, or
// if the last write failed and a record of the name still waits to be written.
func (f *File) Records(name string) ([][]byte, error) {
	f.mu.Lock()
	if f.records != nil {
		defer f.mu.Unlock()
		return f.records[name].Records, nil
	}
	f.mu.Unlock()
	return f.reread(name)
}

// Names returns the names that have records, sorted. It returns an error if the files cannot be read.
func (f *File) Names() ([]string, error) {
	f.mu.Lock()
	sections := f.records
	f.mu.Unlock()
	if sections == nil {
		var err error
		if sections, err = f.readAll(); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(sections)), nil
}

// reread reads the files and returns the records that they have now for a name.
func (f *File) reread(name string) ([][]byte, error) {
	f.Flush()
	if why := f.waits(name); why != nil {
		return nil, why
	}
	sections, err := f.readAll()
	return sections[name].Records, err
}

// Written returns an error if a record of a name is not on disk yet.
func (f *File) Written(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.ContainsFunc(f.waiting, func(w *Write) bool { return w.name == name }) {
		return errors.New(cmp.Or(f.status.Error, "the disk is slow"))
	}
	return nil
}

// waits returns an error if a record of a name waits to be written and the last write has failed.
func (f *File) waits(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status.Error != "" && slices.ContainsFunc(f.waiting, func(w *Write) bool { return w.name == name }) {
		return errors.New(f.status.Error)
	}
	return nil
}

func (f *File) readAll() (sections map[string]Section, err error) {
	if err = f.isThere(f.name()); err == nil {
		sections, _, err = readAll(f.fsys, f.name())
	}
	if err != nil {
		return nil, fmt.Errorf("read the state file %s: %w", f.path, err)
	}
	return sections, nil
}

// Loaded frees the memory of the records read by Open or Reread. After that, Records reads the files again.
func (f *File) Loaded() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = nil
}

// Status returns the current state of writing to disk.
func (f *File) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// stuckAfter is the time that the current write may take in any case, also after the time given to WaitUntil.
const stuckAfter = 5 * time.Second

// WaitUntil makes Flush and Close give up on a disk that does not answer, when the time t has passed and the current write has taken longer
// than stuckAfter. The records for which they did not wait may reach the disk later, or never: see Written. Without WaitUntil, Flush and
// Close wait for ever.
func (f *File) WaitUntil(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = t
}

// isStuck reports whether Flush and Close give up waiting for the current write: see WaitUntil. If so, it sets the error in the status.
func (f *File) isStuck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	took := time.Since(f.began)
	if f.limit.IsZero() || time.Now().Before(f.limit) || f.began.IsZero() || took < stuckAfter {
		return false
	}
	f.status.Error = fmt.Sprintf("write the journal of the state file %s: the disk has not finished within %s", f.path, took.Round(time.Second))
	return true
}

// Close writes the waiting records, with one try, and unlocks the state. If the time given to WaitUntil has passed and the disk does not
// answer, the state stays locked until the process ends, because the disk can still write to the files.
func (f *File) Close() {
	f.Flush()
	closed, began := make(chan struct{}), time.Now()
	go func() {
		defer close(closed)
		f.close()
	}()
	for {
		select {
		case <-closed:
			return
		case <-time.After(10 * time.Millisecond):
		}
		f.mu.Lock()
		late := !f.limit.IsZero() && time.Now().After(f.limit) && time.Since(began) >= stuckAfter
		f.mu.Unlock()
		if late || f.isStuck() {
			return
		}
	}
}

// close ends all writing and unlocks the state.
func (f *File) close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.stop)
	}
	if f.lazy != nil {
		f.lazy.Stop()
	}
	f.mu.Unlock()
	f.done.Wait()
	f.callWaiting(true)
	if f.isDue() {
		f.compactAndLog()
	}
	f.appending.Lock()
	defer f.appending.Unlock()
	f.closeJournal()
	f.unlock()
}

// Read reads the state of a path and changes nothing. Another process can be using the state at the same time. If the file is missing,
// there are no sections. The result "damage" has the errors in sections that cannot be used, by name.
func Read(path string) (sections map[string]Section, damage map[string]error, err error) {
	sections, damage, err = readAll(durable.NewDir(filepath.Dir(path)), filepath.Base(path))
	if err != nil {
		return nil, nil, fmt.Errorf("read the state file %s: %w", path, err)
	}
	return sections, damage, nil
}

// maxRereads is how many times readAll starts again because the files were changed while it was reading them.
const maxRereads = 5

func readAll(fsys durable.FS, name string) (sections map[string]Section, damage map[string]error, err error) {
	for range maxRereads {
		s, err := readSnapshot(fsys, name)
		if err != nil {
			return nil, nil, err
		}
		numbers, err := journals(fsys, name)
		if err != nil {
			return nil, nil, err
		}
		folded := false
		for _, number := range numbers {
			if number < s.journal {
				continue
			}
			entries, _, _, _, err := readJournal(fsys, name, number)
			if folded = isNotExist(err); folded {
				break
			}
			if err != nil {
				return nil, nil, err
			}
			for _, e := range entries {
				s.add(e)
			}
		}
		if !folded {
			return s.sections, s.damage, nil
		}
	}
	return nil, nil, errors.New("the files change faster than they can be read: try again")
}
