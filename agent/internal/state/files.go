package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/collectington/collectington/agent/durable"
)

// files is all that is asked of a file system. Names are those of files in one directory.
type files interface {
	// Lock takes a file for this process until Unlock, or until the process ends. The error is ErrInUse where another
	// process has it.
	Lock(name string) error
	Unlock()
	Read(name string, limit int64) ([]byte, error) // no more than limit bytes
	Create(name string) (file, error)              // an empty file
	Rename(from, to string) error
	Link(from, to string) error // a second name
	Remove(name string) error
	SyncDir() error // makes names durable; a file's Sync makes only its content so
}

var errNoFile = errors.New("it is a directory, or else no regular file: name a file")

type file interface {
	io.WriteCloser
	Sync() error
}

// directory is files on disk.
type directory struct {
	path string
	lock *os.File
}

func (d *directory) at(name string) string { return filepath.Join(d.path, name) }

func (d *directory) Lock(name string) error {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(d.at(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = durable.Take(f)
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil // two processes must not be given one file here
	}
	if held, ok := errors.AsType[*durable.HeldError](err); ok {
		err = fmt.Errorf("%w by %s: stop that one, or give each its own state_file", ErrInUse, held.By)
	}
	if err != nil {
		f.Close()
		return err
	}
	d.lock = f
	return nil
}

func (d *directory) Unlock() { d.lock.Close() }

func (d *directory) Read(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(d.at(name)) // first: a pipe is not to be waited for
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNoFile
	}
	f, err := os.Open(d.at(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text := make([]byte, min(info.Size(), limit))
	_, err = io.ReadFull(f, text)
	return text, err
}

func (d *directory) Create(name string) (file, error) {
	return os.OpenFile(d.at(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (d *directory) Rename(from, to string) error { return os.Rename(d.at(from), d.at(to)) }

func (d *directory) Link(from, to string) error { return os.Link(d.at(from), d.at(to)) }

func (d *directory) Remove(name string) error { return os.Remove(d.at(name)) }

func (d *directory) SyncDir() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
