package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// Bad is a file that was set aside.
type Bad struct {
	Meta
	Err error // what is wrong with it; nil where nothing is (any more), so that Replay takes it
}

// List is what a spool holds and what it has set aside, oldest first. It takes no lock and changes nothing, so that it can
// be asked while an agent runs.
func List(dir string) (waiting []Meta, bad []Bad, err error) {
	d, err := openDirectory(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list the spool %s: %w", dir, err)
	}
	defer d.Close()
	if waiting, bad, err = list(d); err != nil {
		return nil, nil, fmt.Errorf("list the spool %s: %w", dir, err)
	}
	return waiting, bad, nil
}

func list(d *directory) (waiting []Meta, bad []Bad, err error) {
	names, err := d.ReadDir(".")
	if err != nil {
		return nil, nil, err
	}
	aside, err := d.ReadDir(badDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	for _, name := range names {
		if m, ok := parseName(name); ok {
			waiting = append(waiting, m)
		}
	}
	for _, name := range aside {
		if m, ok := parseName(name); ok {
			data, err := d.ReadFile(path.Join(badDir, name), m.size()+1)
			if err == nil {
				_, err = m.decode(data)
			}
			bad = append(bad, Bad{m, err})
		}
	}
	return waiting, bad, nil
}

// Drop removes the records of these IDs, waiting or set aside, and tells which there were. The agent must not run.
func Drop(dir string, ids ...uint64) (dropped []Meta, err error) {
	err = alone("drop records of", dir, func(d *directory, waiting []Meta, bad []Bad) error {
		for _, b := range bad {
			if slices.Contains(ids, b.ID) {
				if err := d.Remove(path.Join(badDir, b.name())); err != nil {
					return err
				}
				dropped = append(dropped, b.Meta)
			}
		}
		for _, m := range waiting {
			if slices.Contains(ids, m.ID) {
				if err := d.Remove(m.name()); err != nil {
					return err
				}
				dropped = append(dropped, m)
			}
		}
		return d.SyncDir()
	})
	return dropped, err
}

// Replay lets the records of these IDs that were set aside wait again, in their old place, ahead of what is newer, and
// tells which it was. It takes only those that are whole: those that could not be read at the time, or that an older
// program did not know. The agent must not run.
func Replay(dir string, ids ...uint64) (replayed []Meta, err error) {
	err = alone("replay records of", dir, func(d *directory, _ []Meta, bad []Bad) error {
		var problems error
		for _, b := range bad {
			err := b.Err
			switch {
			case !slices.Contains(ids, b.ID):
				continue
			case err == nil:
				err = d.Rename(path.Join(badDir, b.name()), b.name())
			}
			if err != nil {
				problems = errors.Join(problems, fmt.Errorf("record %d: %w", b.ID, err))
				continue
			}
			replayed = append(replayed, b.Meta)
		}
		return errors.Join(problems, d.SyncDir())
	})
	return replayed, err
}

// alone does what must not happen beside an agent.
func alone(what, dir string, f func(d *directory, waiting []Meta, bad []Bad) error) error {
	d, err := openDirectory(dir)
	if err == nil {
		defer d.Close()
		err = d.Lock()
	}
	if err == nil {
		var waiting []Meta
		var bad []Bad
		if waiting, bad, err = list(d); err == nil {
			err = f(d, waiting, bad)
		}
	}
	if err != nil {
		return fmt.Errorf("%s the spool %s: %w", what, dir, err)
	}
	return nil
}
