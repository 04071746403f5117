// Package state keeps the state of jobs in one file, so that it survives a restart. For this package, the state of a job is a
// name and some bytes: a section.
//
// The file is always whole: each write replaces it, as package durable does. A damaged section is lost for its job alone. A
// file of a later version of the format is left as it is: Open returns an error.
package state

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/durable"
)

// Section is the state of one job.
type Section struct {
	Saved time.Time
	Data  []byte // never changed after it was put
}

// File is an open state file. It is safe for concurrent use.
type File struct {
	path  string
	fsys  durable.FS    // the directory of path
	dirty chan struct{} // holds one token while there is something to write

	mu       sync.Mutex
	sections map[string]Section
	status   Status

	writing sync.Mutex // guards the fields below
	locked  bool
	unread  bool // the file on disk could not be read, nor be set aside
}

// Status says how writing the file goes.
type Status struct {
	Written time.Time // the last successful write; zero before the first
	Failed  int64     // the number of failed writes
}

// lockTimeout is how long Open waits for another process, which may be about to end.
const lockTimeout = 10 * time.Second

// Open locks the state file for this process and reads it. The problems say what is wrong with its content, each in one line:
// the damaged file is set aside, and the jobs of its damaged sections have no state. Open returns an error, and leaves the
// file as it is, if another process has locked it (*durable.HeldError), if it has a later version (*VersionError), if path is
// not a regular file, or if ctx ends.
func Open(ctx context.Context, path string) (f *File, problems []error, err error) {
	return open(ctx, path, durable.NewDir(filepath.Dir(path)))
}

func open(ctx context.Context, path string, fsys durable.FS) (*File, []error, error) {
	f := &File{path: path, fsys: fsys, dirty: make(chan struct{}, 1), sections: map[string]Section{}}
	unlocked := f.waitForLock(ctx)
	if isHeld(unlocked) {
		return nil, nil, fmt.Errorf("open the state file %s: %w: stop that process, or give each agent its own state_file", path, unlocked)
	}
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("open the state file %s: %w", path, unlocked)
	}
	problems, err := f.load()
	if err != nil {
		f.Close()
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
		if !isHeld(err) || !time.Now().Before(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// lock locks the file, and creates its directory if it is missing.
func (f *File) lock() error {
	err := f.fsys.Mkdir(".")
	if err == nil {
		err = f.fsys.Lock(f.name() + ".lock")
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil // this system has no locks: two agents must not share a file
	}
	f.locked = err == nil
	return err
}

func isHeld(err error) bool {
	_, held := errors.AsType[*durable.HeldError](err)
	return held
}

// load reads the file. If it is damaged, load sets it aside and writes a new one with the sections that are whole. It returns
// an error if the file must stay as it is.
func (f *File) load() (problems []error, err error) {
	sections, damage, err := read(f.fsys, f.name())
	if err == nil && len(damage) == 0 {
		f.sections = sections
		return nil, nil
	}
	if errors.Is(err, durable.ErrNotRegular) {
		return nil, fmt.Errorf("%w: name a file", err)
	}
	if _, later := errors.AsType[*VersionError](err); later {
		return nil, err
	}
	how := f.fsys.Rename
	if len(sections) > 0 {
		how = f.fsys.Link // this file stays in place until the new one replaces it
		f.sections = sections
	}
	where := "it could not be set aside"
	if name, err := f.setAside(how); err == nil {
		where = "it is set aside as " + name
	} else {
		f.unread = true
	}
	if err != nil {
		return []error{fmt.Errorf("read the state file %s: %w; %s, and all jobs start without state", f.path, err, where)}, nil
	}
	for _, job := range slices.Sorted(maps.Keys(damage)) {
		problems = append(problems, fmt.Errorf("read the state file %s: the state of job %s: %w; %s, and the job starts without state",
			f.path, job, damage[job], where))
	}
	if err := f.Write(); err != nil {
		problems = append(problems, err)
	}
	return problems, nil
}

// setAside gives the file another name, by renaming or linking it, and returns the new path.
func (f *File) setAside(how func(from, to string) error) (string, error) {
	aside := f.name() + ".damaged-" + time.Now().UTC().Format("20060102T150405.000Z")
	if err := how(f.name(), aside); err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(f.path), aside), nil
}

// Section returns the state of a job, or nil if there is none.
func (f *File) Section(job string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sections[job].Data
}

// Put replaces the state of a job, which the next Write writes. The caller must not change data afterwards.
func (f *File) Put(job string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sections[job] = Section{time.Now().UTC().Truncate(time.Millisecond), data}
	f.setDirty()
}

func (f *File) setDirty() {
	select {
	case f.dirty <- struct{}{}:
	default:
	}
}

// Dirty returns a channel that yields a value when there is something to write.
func (f *File) Dirty() <-chan struct{} { return f.dirty }

// Status says how writing the file goes.
func (f *File) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// Write writes all sections to disk, whether or not they have changed. After an error the file on disk has its old content,
// and Dirty yields again.
func (f *File) Write() error {
	f.writing.Lock()
	defer f.writing.Unlock()
	select {
	case <-f.dirty:
	default:
	}
	f.mu.Lock()
	sections := maps.Clone(f.sections)
	f.mu.Unlock()
	err := f.write(sections)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.status.Failed++
		f.setDirty()
		return fmt.Errorf("write the state file %s: %w", f.path, err)
	}
	f.status.Written = time.Now()
	return nil
}

func (f *File) write(sections map[string]Section) error {
	if !f.locked {
		if err := f.lock(); err != nil {
			return err
		}
	}
	if f.unread {
		if err := f.makeRoom(); err != nil {
			return err
		}
		f.unread = false
	}
	return replace(f.fsys, f.name(), sections)
}

// makeRoom sets aside a file that could not be read, unless it can be read now and has a later version.
func (f *File) makeRoom() error {
	_, _, err := read(f.fsys, f.name())
	if _, later := errors.AsType[*VersionError](err); later {
		return err
	}
	if _, err := f.setAside(f.fsys.Rename); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

// Close unlocks the file. It does not write.
func (f *File) Close() {
	f.writing.Lock()
	defer f.writing.Unlock()
	if f.locked {
		_ = f.fsys.Unlock() // the lock ends with the process at the latest
		f.locked = false
	}
}

// Read reads a state file, also while another process uses it, and changes nothing. A missing file has no sections. The
// damage is by job.
func Read(path string) (sections map[string]Section, damage map[string]error, err error) {
	sections, damage, err = read(durable.NewDir(filepath.Dir(path)), filepath.Base(path))
	if err != nil {
		return nil, nil, fmt.Errorf("read the state file %s: %w", path, err)
	}
	return sections, damage, nil
}
