package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/collectington/collectington/agent/durable"
)

// maxChecked is the largest number of records that Check opens.
const maxChecked = 1000

// Check returns why a spool cannot be used, or nil. It takes no lock, so it also works while an agent runs. If the directory does not
// exist, Check does not make it, since the directory would then belong to the user who runs the check.
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
		if _, err := fsys.ReadFile(name, 1); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have been sent since ReadDir
			return err
		}
	}
	return nil
}

// checkMissing checks whether a missing directory could be made. It does so by looking at the nearest parent directory that exists.
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
