// Package durable replaces, appends to and locks files. A crash, a power cut or a full disk leaves no half-written file behind.
//
// It guarantees:
//
//   - A file that [Replace], [ReplaceAll] or [ReplaceFile] writes has either its old content or the complete new content. When
//     they return without an error, the new content survives a power cut.
//   - Data that was appended to a [File] is on disk when Sync returns. After a crash before that, any part of the data may be
//     missing: the file can end in the middle of a record, or in zeros. A reader must find the end of the intact data, for
//     example by checksums, and truncate the file there before appending.
//   - A file that [FS.Lock] has locked is locked for one process until Unlock, or until the process ends.
//   - Symbolic links are kept: Replace and ReplaceFile replace the file to which a link points. Lock does not change that file.
//
// [Dir] is a directory on disk. For tests, package [github.com/collectington/collectington/agent/durable/disktest] has a simulated
// directory, which can fail and lose data that was not synced.
package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// FS is a directory with its subdirectories. Names are relative to it and use slashes; "." is the directory itself.
type FS interface {
	// Lock locks a file, and creates it if it does not exist. If another process has locked it, the error is a *HeldError. On a
	// system without file locks, the error wraps errors.ErrUnsupported.
	Lock(name string) error
	// Unlock unlocks the file that Lock has locked. If no file is locked, Unlock does nothing.
	Unlock() error

	// Mkdir creates a directory, and its parents if they do not exist. It is no error if the directory exists.
	Mkdir(name string) error
	// ReadDir returns the names of the regular files in a directory, sorted.
	ReadDir(name string) ([]string, error)
	// EachName calls the function "each" once for every regular file in a directory, with the file's name. The files come in no order. After
	// an error, names may be missing. The bytes of a name are valid only until "each" returns. For a large directory, this takes much less
	// time and memory than ReadDir.
	EachName(name string, each func(name []byte)) error
	// ReadFile returns the first limit bytes of a file. The error is ErrNotRegular for a directory, a pipe or a device.
	ReadFile(name string, limit int64) ([]byte, error)

	// Create creates an empty file, or truncates an existing one.
	Create(name string) (File, error)
	// Append opens a file for appending, and creates it if it does not exist.
	Append(name string) (File, error)
	Rename(from, to string) error // replaces the file to, if there is one
	Link(from, to string) error   // gives a file a second name
	Remove(name string) error
	// SyncDir makes sure that a power cut does not undo the creation, linking, renaming or removal of files in the directory. It does not
	// sync subdirectories.
	SyncDir() error
}

// File is an open file. Data is always written at the end.
type File interface {
	io.Writer
	// Truncate cuts the file to a size. Like a write, it is durable only after Sync.
	Truncate(size int64) error
	// Sync makes the content durable, but not the file's name: see FS.SyncDir. After a failed Sync, it is unknown which of the data
	// written since the last Sync is on disk.
	Sync() error
	Close() error
}

// ErrNotRegular is the error if a name belongs to something other than a regular file.
var ErrNotRegular = errors.New("not a regular file")

// tempSuffix is the suffix of files that were not renamed yet.
const tempSuffix = ".tmp"

// TempName returns the name under which Replace writes a file before renaming it. A crash can leave such a file behind.
func TempName(name string) string { return name + tempSuffix }

// Replace replaces or creates a file. The function "write" writes the new content. After an error the file has its old content, except if
// SyncDir failed: then it has the new content, but after a power cut it may have the old content again. Only one process at a time may
// replace the file: see FS.Lock. If name is a symbolic link, Replace replaces the file to which the link points, and the temporary file
// is in that file's directory.
func Replace(fsys FS, name string, write func(io.Writer) error) error {
	if d, ok := fsys.(*Dir); ok {
		target, err := follow(d.at(name))
		if err != nil {
			return err
		}
		if target != d.at(name) {
			fsys, name = NewDir(filepath.Dir(target)), filepath.Base(target)
		}
	}
	_, err := ReplaceAll(fsys, []string{name}, func(_ int, w io.Writer) error { return write(w) })
	return err
}

// Replaced says how much ReplaceAll has done.
type Replaced struct {
	Named   int      // number of files that have their new content, from the first one on
	Durable bool     // a power cut does not undo the new content
	Left    []string // temporary files that could not be removed
}

// ReplaceAll replaces several files like Replace, but syncs the directory only once. It works in order and stops at the first error.
// Unlike Replace, it replaces a symbolic link itself by the new file.
func ReplaceAll(fsys FS, names []string, write func(i int, w io.Writer) error) (r Replaced, err error) {
	created, synced, err := writeTemp(fsys, names, write)
	for r.Named < synced {
		if failed := fsys.Rename(TempName(names[r.Named]), names[r.Named]); failed != nil {
			err = errors.Join(err, failed)
			break
		}
		r.Named++
	}
	for _, name := range names[r.Named:created] {
		if failed := fsys.Remove(TempName(name)); failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			r.Left = append(r.Left, TempName(name))
		}
	}
	if r.Named > 0 {
		failed := fsys.SyncDir()
		r.Durable = failed == nil
		err = errors.Join(err, failed)
	}
	return r, err
}

// writeTemp writes the temporary files. It returns how many it has created, and how many of these are synced. It syncs after all
// files are written, because a disk is then faster.
func writeTemp(fsys FS, names []string, write func(i int, w io.Writer) error) (created, synced int, err error) {
	open := make([]File, 0, len(names))
	for i, name := range names {
		var f File
		if f, err = fsys.Create(TempName(name)); err != nil {
			break
		}
		open = append(open, f)
		if err = write(i, f); err != nil {
			break
		}
		synced++ // the loop below syncs the file
	}
	for i, f := range open {
		if i < synced {
			if failed := f.Sync(); failed != nil {
				synced, err = i, failed
			}
		}
		if failed := f.Close(); failed != nil && i < synced {
			synced, err = i, failed
		}
	}
	return len(open), synced, err
}

// staleAfter is the age at which a temporary file of ReplaceFile is regarded as left behind by a crashed process.
const staleAfter = time.Hour

// ReplaceFile replaces or creates a file that only its owner can read. Unlike Replace, it needs no lock: if several processes
// replace the file, the last one wins. It also removes temporary files that crashed processes have left.
func ReplaceFile(path string, content []byte) error {
	path, err := follow(path)
	if err != nil {
		return err
	}
	dir, base := filepath.Dir(path), filepath.Base(path)
	removeStale(dir, base)
	d := NewDir(dir)
	temp := uniqueName(base)
	err = write(d, temp, content)
	if err == nil {
		err = d.Rename(temp, base)
	}
	if err != nil {
		_ = d.Remove(temp) // the file may not exist
		return err
	}
	return d.SyncDir()
}

func write(fsys FS, name string, content []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// CheckReplace returns the reason why ReplaceFile could not replace a file, or nil. To find out, it creates and removes a temporary
// file.
func CheckReplace(path string) error {
	path, err := follow(path)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is %w: name a file", path, ErrNotRegular)
	}
	d, temp := NewDir(filepath.Dir(path)), uniqueName(filepath.Base(path))
	f, err := d.Create(temp)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), d.Remove(temp))
}

func uniqueName(base string) string { return "." + base + "." + rand.Text()[:10] + tempSuffix }

func removeStale(dir, base string) {
	names, _ := filepath.Glob(filepath.Join(dir, "."+base+".??????????"+tempSuffix)) // none if the pattern is malformed
	for _, name := range names {
		if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > staleAfter {
			_ = os.Remove(name) // after an error, the next call tries again
		}
	}
}

// Dir is a directory on disk. It is safe for concurrent use, except for the methods that lock and unlock it.
type Dir struct {
	path string
	lock *os.File
}

// NewDir returns the directory at path, which need not exist yet.
func NewDir(path string) *Dir { return &Dir{path: path} }

func (d *Dir) at(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

// Mkdir creates a directory that only its owner can access. The directory survives a power cut.
func (d *Dir) Mkdir(name string) error { return mkdir(d.at(name)) }

func mkdir(path string) error {
	err := os.Mkdir(path, 0o700)
	parent := filepath.Dir(path)
	if errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := mkdir(parent); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if above, err := os.Open(parent); err == nil { // a parent directory may be writable but not readable; it is then not synced
		defer above.Close()
		return above.Sync()
	}
	return nil
}

// ReadDir returns the names of the regular files in a directory, sorted.
func (d *Dir) ReadDir(name string) (names []string, err error) {
	err = d.EachName(name, func(name []byte) { names = append(names, string(name)) })
	slices.Sort(names)
	return names, err
}

// EachName calls the function "each" once for every regular file in a directory, with the file's name.
func (d *Dir) EachName(name string, each func(name []byte)) error {
	dir, err := os.Open(d.at(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return eachName(dir, each)
}

// ReadFile returns the first limit bytes of a file.
func (d *Dir) ReadFile(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(d.at(name)) // before Open, which would block on a pipe until another process writes to it
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, ErrNotRegular
	}
	f, err := os.Open(d.at(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, min(info.Size(), limit))
	n, err := io.ReadFull(f, data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the file was truncated after Stat
		err = nil
	}
	return data[:n], err
}

// Create creates an empty file that only its owner can read.
func (d *Dir) Create(name string) (File, error) { return d.open(name, os.O_TRUNC) }

// Append opens a file for appending.
func (d *Dir) Append(name string) (File, error) { return d.open(name, 0) }

func (d *Dir) open(name string, flag int) (File, error) {
	f, err := os.OpenFile(d.at(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND|flag, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename gives a file another name.
func (d *Dir) Rename(from, to string) error { return os.Rename(d.at(from), d.at(to)) }

// Link gives a file a second name.
func (d *Dir) Link(from, to string) error { return os.Link(d.at(from), d.at(to)) }

// Remove removes a file.
func (d *Dir) Remove(name string) error { return os.Remove(d.at(name)) }

// SyncDir makes changes of names in the directory durable.
func (d *Dir) SyncDir() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
