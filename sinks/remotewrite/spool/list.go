package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/collectington/collectington/agent/durable"
)

// State says what will happen to a record on disk.
type State uint8

// The states of a record on disk.
const (
	Waiting  State = iota // it will be sent
	SetAside              // it could not be read, or is damaged; if it is not damaged, Replay puts it into the queue again
	Later                 // it has a later version of the format; only a later version of the program sends it
)

// Listed describes a record on disk.
type Listed struct {
	Meta  // if State is Later, at most the ID is known
	File  string
	State State
	Err   error // why the record cannot be used; nil if it can be used, or if it was not read
}

// List returns the records on disk, oldest first, then the records that were set aside, and then those in the inboxes. It takes no lock and
// changes nothing, so it also works while an agent runs. It reads only the version of waiting records.
func List(dir string) ([]Listed, error) {
	all, err := list(durable.NewDir(dir))
	if err != nil {
		return nil, fmt.Errorf("list the spool %s: %w", dir, err)
	}
	return append(all, guests(dir)...), nil
}

func list(fsys durable.FS) (all []Listed, err error) {
	names, err := fsys.ReadDir(".")
	if err != nil {
		return nil, err
	}
	aside, err := fsys.ReadDir(badDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range records(names) {
		m, ok := parseName([]byte(name))
		if later := laterVersion(fsys, name); later != nil {
			m.ID = idOf(name)
			all = append(all, Listed{m, name, Later, later})
		} else if ok {
			all = append(all, Listed{m, name, Waiting, nil})
		}
	}
	for _, name := range records(aside) {
		if m, ok := parseName([]byte(name)); ok {
			file := path.Join(badDir, name)
			data, err := fsys.ReadFile(file, int64(m.size())+1)
			if err == nil {
				_, err = m.decode(data)
			}
			all = append(all, Listed{m, file, SetAside, err})
		}
	}
	return all, nil
}

// Drop removes the records with these IDs and returns them. It returns an error if a process uses the spool.
func Drop(dir string, ids ...uint64) (dropped []Meta, err error) {
	err = change("drop records of", dir, func(fsys durable.FS, all []Listed) error {
		for _, l := range all {
			if l.ID != 0 && slices.Contains(ids, l.ID) {
				if err := fsys.Remove(l.File); err != nil {
					return err
				}
				dropped = append(dropped, l.Meta)
			}
		}
		return fsys.SyncDir()
	})
	return dropped, err
}

// Replay puts records that were set aside into the queue again, at the position of their IDs, and returns them. It does so only with
// records that are not damaged. These are records that were set aside because they could not be read. It returns an error if a process uses
// the spool.
func Replay(dir string, ids ...uint64) (replayed []Meta, err error) {
	err = change("replay records of", dir, func(fsys durable.FS, all []Listed) error {
		var problems error
		for _, l := range all {
			if l.State != SetAside || !slices.Contains(ids, l.ID) {
				continue
			}
			err := l.Err
			if err == nil {
				err = fsys.Rename(l.File, l.name())
			}
			if err != nil {
				problems = errors.Join(problems, fmt.Errorf("record %d: %w", l.ID, err))
				continue
			}
			replayed = append(replayed, l.Meta)
		}
		return errors.Join(problems, fsys.SyncDir())
	})
	return replayed, err
}

// change locks a spool and calls f with its records.
func change(what, dir string, f func(fsys durable.FS, all []Listed) error) error {
	fsys := durable.NewDir(dir)
	err := fsys.Lock(lockFile)
	if _, held := errors.AsType[*durable.HeldError](err); held {
		err = fmt.Errorf("%w: stop that process first", err)
	}
	if err == nil {
		defer func() { _ = fsys.Unlock() }() // if it fails, the lock ends with the process
		var all []Listed
		if all, err = list(fsys); err == nil {
			err = f(fsys, append(all, guests(dir)...))
		}
	}
	if err != nil {
		return fmt.Errorf("%s the spool %s: %w", what, dir, err)
	}
	return nil
}
