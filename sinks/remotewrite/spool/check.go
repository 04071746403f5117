package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/collectington/collectington/agent/durable"
)

// maxChecked is how many records Check opens.
const maxChecked = 1000

// Check returns why a spool could not be used, or nil. It takes no lock, so that it works while an agent runs, and leaves nothing
// behind: a directory that is missing is not made, since it would belong to the user who checks.
func Check(dir string) error {
	err := check(dir)
	if err != nil {
		return fmt.Errorf("use the spool %s: %w", dir, err)
	}
	return nil
}

func check(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return checkMissing(dir)
	}
	if err == nil && !info.IsDir() {
		return errors.New("it is not a directory")
	}
	if err != nil {
		return err
	}
	if err := durable.CheckReplace(filepath.Join(dir, "check")); err != nil {
		return err
	}
	fsys := durable.NewDir(dir)
	names, err := fsys.ReadDir(".")
	if err != nil {
		return err
	}
	if _, err := fsys.ReadDir(badDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if err == nil {
		err = lock.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	all := records(names)
	for _, name := range all[:min(len(all), maxChecked)] {
		if _, err := fsys.ReadFile(name, 1); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have been sent since
			return err
		}
	}
	return nil
}

// checkMissing checks that a missing directory could be made in the first of its parents that is there.
func checkMissing(dir string) error {
	for {
		parent := filepath.Dir(dir)
		info, err := os.Stat(parent)
		switch {
		case err == nil && info.IsDir():
			return durable.CheckReplace(filepath.Join(parent, "check"))
		case err == nil:
			return fmt.Errorf("%s is not a directory", parent)
		case !errors.Is(err, fs.ErrNotExist) || parent == dir:
			return err
		}
		dir = parent
	}
}
