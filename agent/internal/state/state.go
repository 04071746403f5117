// Package state keeps the state of jobs on disk, so that it survives a restart, a kill and a power cut. For this package, the
// state is records, each under a name: what a record holds, its caller knows.
//
// There are two kinds of files: a snapshot, which is replaced as a whole, and journals beside it, to which records are
// appended. A record counts as written when its journal is synced. Records that come together share one sync. From time to time
// the journals are folded into a new snapshot, in the background.
//
// Damage costs the records that it meets. A file of a later version of the format is left as it is: Open returns an error. A file
// that cannot be read is not a damaged one: Open returns an error then too, and changes nothing.
package state

import (
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

// Options are what a File needs to know of its records.
type Options struct {
	// Fold returns one record in place of several of one name. If it fails, they stay as they are.
	Fold func(name string, records [][]byte) ([]byte, error)
	Log  *slog.Logger
	// Shared lets other processes that say so use the state at the same time.
	Shared bool
}

// File is the open state of an agent: a snapshot and its journals. It is safe for concurrent use.
type File struct {
	Options
	path string
	fsys durable.FS // the directory of path

	mu      sync.Mutex
	waiting []*Write       // for the next sync
	writing bool           // flush is at work
	folding bool           // compact is at work
	hurry   chan struct{}  // holds a token to end the pause after a failed write
	lazy    *time.Timer    // until the next flush of records that nobody waits for
	closed  bool           // Close was called
	stop    chan struct{}  // closed by Close
	done    sync.WaitGroup // of flush and compact
	status  Status
	records map[string]Section // what was read by Open, until Loaded

	journalBytes int64     // of all journals that are not in the snapshot
	snapshotSize int64     // bytes
	notBefore    time.Time // of the next compact, after one that failed

	life *durable.Dir // holds the lock that processes share; nil = this process has the state alone
	turn sync.Mutex   // held while this process has its turn; locked before appending
	word string       // that this process leaves for the next turn

	appending sync.Mutex // guards the fields below
	journal
	locked bool
}

// Status says how writing goes.
type Status struct {
	Written time.Time // the last successful write; zero before the first
	Failed  int64     // the number of failed writes
	Error   string    // why records wait that cannot be written; "" = none do
	Bytes   int64     // written to disk
}

// lockTimeout is how long Open waits for another process, which may be about to end.
const lockTimeout = 10 * time.Second

// Open locks the state of a path for this process and reads it. The problems say what is wrong with its content, each in one
// line: a damaged file is set aside, and what was damaged in it is missing. Open returns an error, and leaves the files as they
// are, if another process has locked them (*durable.HeldError), if one has a later version (*VersionError), if one cannot be
// read, or if ctx ends.
func Open(ctx context.Context, path string, o Options) (f *File, problems []error, err error) {
	return OpenOn(ctx, path, durable.NewDir(filepath.Dir(path)), o)
}

// OpenOn is Open with another file system in place of the directory of path, for tests.
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

// lock locks the state, and creates its directory if it is missing.
func (f *File) lock() error {
	err := f.fsys.Mkdir(".")
	if err == nil {
		err = f.lockLife(f.name() + ".lock")
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil // this system has no locks: two agents must not share a file
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
		_ = f.fsys.Unlock() // the lock ends with the process at the latest
		if f.life != nil {
			_ = f.life.Unlock()
		}
		f.locked = false
	}
}

// IsHeld reports whether another process has what was to be locked.
func IsHeld(err error) bool {
	_, held := errors.AsType[*durable.HeldError](err)
	return held
}

// load reads the snapshot and the journals.
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
		aside := f.setAside(f.name(), f.fsys.Link) // this file stays in place until a new one replaces it
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
		// So that a program of version 1 does not go on from a snapshot without its journals.
		if err := f.compact(); err != nil {
			problems = append(problems, fmt.Errorf("write the state file %s: %w", f.path, err))
		}
	}
	return append(problems, more...), nil
}

// mustStay returns the error for a file that is not to be touched: nothing is known of what is in it.
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

// IsUnreadable reports whether an error of Open is that a file could not be read. The file may be read later.
func IsUnreadable(err error) bool {
	_, unread := errors.AsType[*readError](err)
	return unread && !errors.Is(err, durable.ErrNotRegular)
}

// setAside gives a file another name, by renaming or linking it, and says which.
func (f *File) setAside(name string, how func(from, to string) error) string {
	aside := name + ".damaged-" + time.Now().UTC().Format("20060102T150405.000Z")
	if err := how(name, aside); err != nil {
		return "it could not be set aside"
	}
	return "it is set aside as " + filepath.Join(filepath.Dir(f.path), aside)
}

// journals returns the numbers of the journals on disk, in order.
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
	synced := f.fsys.SyncDir() // the snapshot may not be durable under its name yet
	for _, number := range numbers {
		if number < s.journal {
			if synced == nil {
				_ = f.fsys.Remove(journalName(f.name(), number)) // it is in the snapshot; the next start tries again
			}
			continue
		}
		if s.missing { // a snapshot is written before the first journal: somebody has removed it
			problems = append(problems, fmt.Errorf("the state file %s is missing, but not its journal %s; %s, and all jobs start without state",
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

// Records returns the records of a name, oldest first, or nil if there are none.
func (f *File) Records(name string) [][]byte {
	f.mu.Lock()
	if f.records != nil {
		defer f.mu.Unlock()
		return f.records[name].Records
	}
	f.mu.Unlock()
	return f.reread(name)
}

// reread returns the records of a name as the files have them now.
func (f *File) reread(name string) [][]byte {
	f.Flush()
	sections, _, err := readAll(f.fsys, f.name())
	if err != nil {
		f.Log.Error("cannot read the state file", "error", err)
		return nil
	}
	return sections[name].Records
}

// Loaded frees the memory of what Open has read. Records reads the files again from then on.
func (f *File) Loaded() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = nil
}

// Status says how writing goes.
func (f *File) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// Close writes what waits, tries it once if that fails, and unlocks the state.
func (f *File) Close() {
	f.Flush()
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
	if f.isDue() {
		f.compactAndLog()
	}
	f.appending.Lock()
	defer f.appending.Unlock()
	f.closeJournal()
	f.unlock()
}

// Read reads the state of a path, also while another process uses it, and changes nothing. A missing file has no sections. The
// damage is by job.
func Read(path string) (sections map[string]Section, damage map[string]error, err error) {
	sections, damage, err = readAll(durable.NewDir(filepath.Dir(path)), filepath.Base(path))
	if err != nil {
		return nil, nil, fmt.Errorf("read the state file %s: %w", path, err)
	}
	return sections, damage, nil
}

// maxRereads is how often readAll begins again because the files have changed under it.
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
