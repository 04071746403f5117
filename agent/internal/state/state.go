// Package state keeps what jobs know over a restart, in one file. To it, a job's state is a name and some bytes.
//
//	cton state 1 5e3c41d2                                            format, version, checksum of the second line
//	{"jobs":[{"name":"oncall","saved":"…","bytes":812,"crc":"…"}]}   what follows, in this order
//	…                                                                the sections, one behind the other
//
// A file is written under another name, synced and renamed, and the directory synced: whenever the process ends, there is
// one whole file. Each section has a checksum of its own: one that is damaged costs its job alone.
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
)

// Section is a job's state.
type Section struct {
	Saved time.Time
	Data  []byte // never changed once it is here
}

// File is the state file of an agent at work. It is safe for concurrent use.
type File struct {
	path  string
	files files
	dirty chan struct{} // one token where there is something to write

	mu       sync.Mutex
	sections map[string]Section
	status   Status

	writing sync.Mutex // guards what follows
	locked  bool
	unread  bool // what stands there could not be read, nor be set aside
}

// Status is how the file fares.
type Status struct {
	Written time.Time // when it was last written; zero before the first time
	Failed  int64     // tries to write it that have failed
}

// lockWait is how long an agent waits for another one, which may be about to end.
const lockWait = 10 * time.Second

// ErrInUse says that another process has the file.
var ErrInUse = errors.New("in use")

// Open takes the file for this process and reads it. What is wrong with it is told, each in one line: such a file, or
// section of it, is set aside, and there is no state in its place. The error is ErrInUse, that of ctx, or that path is no file's.
func Open(ctx context.Context, path string) (f *File, problems []error, err error) {
	return open(ctx, path, &directory{path: filepath.Dir(path)})
}

func open(ctx context.Context, path string, d files) (*File, []error, error) {
	f := &File{path: path, files: d, dirty: make(chan struct{}, 1), sections: map[string]Section{}}
	err := f.waitForLock(ctx)
	if errors.Is(err, ErrInUse) || ctx.Err() != nil {
		return nil, nil, fmt.Errorf("open the state file %s: %w", path, err)
	}
	problems, wrong := f.load()
	if wrong != nil {
		f.Close()
		return nil, nil, wrong
	}
	if err != nil {
		problems = append(problems, fmt.Errorf("lock the state file %s: %w; it is tried again at each write", path, err))
	}
	return f, problems, nil
}

func (f *File) name() string { return filepath.Base(f.path) }

func (f *File) waitForLock(ctx context.Context) error {
	for deadline := time.Now().Add(lockWait); ; {
		err := f.files.Lock(f.name() + ".lock")
		f.locked = err == nil
		if !errors.Is(err, ErrInUse) || !time.Now().Before(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// load reads the file, and sets it aside where something is wrong with it. What is whole of it takes its place at once.
func (f *File) load() (problems []error, wrong error) {
	sections, damage, err := read(f.files, f.name())
	if err == nil && len(damage) == 0 {
		f.sections = sections
		return nil, nil
	}
	if errors.Is(err, errNoFile) {
		return nil, fmt.Errorf("read the state file %s: %w", f.path, err)
	}
	aside := f.files.Rename
	if len(sections) > 0 {
		aside = f.files.Link // until the new file is there, this one is the best there is
		f.sections = sections
	}
	where := "it is left where it is"
	if name, err := f.setAside(aside); err == nil {
		where = "it is set aside as " + name
	} else {
		f.unread = true
	}
	if err != nil {
		return []error{fmt.Errorf("read the state file %s: %w; %s, and all jobs begin anew", f.path, err, where)}, nil
	}
	for _, name := range slices.Sorted(maps.Keys(damage)) {
		problems = append(problems, fmt.Errorf("read the state file %s: the state of job %s: %w; %s, and the job begins anew", f.path, name, damage[name], where))
	}
	if err := f.Write(); err != nil {
		problems = append(problems, err)
	}
	return problems, nil
}

// setAside gives the file another name, and says which.
func (f *File) setAside(how func(from, to string) error) (string, error) {
	aside := f.name() + ".damaged-" + time.Now().UTC().Format("20060102T150405.000Z")
	if err := how(f.name(), aside); err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(f.path), aside), nil
}

// Section is a job's state, nil where there is none.
func (f *File) Section(job string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sections[job].Data
}

// Put has a job's state written with the next Write. The data must not change any more.
func (f *File) Put(job string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sections[job] = Section{time.Now().UTC().Truncate(time.Millisecond), data}
	f.touch()
}

func (f *File) touch() {
	select {
	case f.dirty <- struct{}{}:
	default:
	}
}

// Dirty yields where there is something to write.
func (f *File) Dirty() <-chan struct{} { return f.dirty }

// Status is how the file fares.
func (f *File) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// Write writes all that was put, whatever Dirty says. After an error the file is as it was, and there is something to
// write.
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
		f.touch()
		return fmt.Errorf("write the state file %s: %w", f.path, err)
	}
	f.status.Written = time.Now()
	return nil
}

func (f *File) write(sections map[string]Section) error {
	if !f.locked {
		if err := f.files.Lock(f.name() + ".lock"); err != nil {
			return err
		}
		f.locked = true
	}
	if f.unread {
		if _, err := f.setAside(f.files.Rename); err != nil && !isNotThere(err) {
			return err
		}
		f.unread = false
	}
	return replace(f.files, f.name(), sections)
}

// Close gives the file to others. What was not written is lost.
func (f *File) Close() {
	f.writing.Lock()
	defer f.writing.Unlock()
	if f.locked {
		f.files.Unlock()
		f.locked = false
	}
}

// Read reads a state file that may be in use, and changes nothing. One that is not there is empty. What is wrong with a
// job's section is told by its name.
func Read(path string) (sections map[string]Section, damage map[string]error, err error) {
	sections, damage, err = read(&directory{path: filepath.Dir(path)}, filepath.Base(path))
	if err != nil {
		return nil, nil, fmt.Errorf("read the state file %s: %w", path, err)
	}
	return sections, damage, nil
}
