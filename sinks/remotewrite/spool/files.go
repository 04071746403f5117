package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/collectington/collectington/agent/durable"
)

// files is all that the queue asks of a file system. Names are relative to the spool's directory.
type files interface {
	// Lock takes the directory for this process until Close. Where another has it, the error names that one.
	Lock() error
	ReadDir(name string) ([]string, error) // the names of its regular files, sorted
	Mkdir(name string) error
	Create(name string) (file, error) // an empty file
	// ReadFile reads a file, but not more than limit bytes of it.
	ReadFile(name string, limit int) ([]byte, error)
	Rename(from, to string) error
	Remove(name string) error
	SyncDir() error // makes names durable; a file's Sync makes only its content so
	Close() error
}

type file interface {
	io.WriteCloser
	Sync() error
}

// directory is files on disk.
type directory struct {
	root *os.Root
	lock *os.File
}

// openDirectory opens a directory, which must exist.
func openDirectory(dir string) (*directory, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &directory{root: root}, nil
}

// makeDirectory makes dir and what is missing above it, so that they survive a power cut.
func makeDirectory(dir string) error {
	err := os.Mkdir(dir, 0o700)
	parent := filepath.Dir(dir)
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := makeDirectory(parent); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if above, err := os.Open(parent); err == nil { // who may write there need not be let to read
		defer above.Close()
		return above.Sync()
	}
	return nil
}

const lockFile = "lock"

func (d *directory) Lock() error {
	f, err := d.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = durable.Take(f)
	if held, ok := errors.AsType[*durable.HeldError](err); ok {
		err = fmt.Errorf("%w: stop that one, or give each sink a directory of its own", held)
	}
	if err != nil {
		f.Close()
		return err
	}
	d.lock = f
	return nil
}

func (d *directory) ReadDir(name string) ([]string, error) {
	// By its path: a directory that is opened through the root looks at every file.
	entries, err := os.ReadDir(filepath.Join(d.root.Name(), name))
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (d *directory) Mkdir(name string) error {
	err := d.root.Mkdir(name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (d *directory) Create(name string) (file, error) {
	return d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (d *directory) ReadFile(name string, limit int) ([]byte, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, min(int64(limit), info.Size()))
	n, err := io.ReadFull(f, data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return data[:n], err
}

func (d *directory) Rename(from, to string) error { return d.root.Rename(from, to) }

func (d *directory) Remove(name string) error { return d.root.Remove(name) }

func (d *directory) SyncDir() error {
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (d *directory) Close() error {
	err := d.root.Close()
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}
