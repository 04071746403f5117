package sources

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// CheckPattern returns an error if a pattern of a configuration cannot be used with Glob.
func CheckPattern(pattern string) error {
	if _, err := filepath.Match(pattern, ""); err != nil {
		return errors.New(`is not a valid pattern: want a closing bracket after [, and a character after \`)
	}
	switch {
	case pattern == "":
		return errors.New("is empty")
	case strings.Contains(pattern, "**"):
		return errors.New("** is not supported: * matches one directory or file name, so write one pattern for each depth")
	}
	return nil
}

// Glob returns the files that match a pattern, sorted, like filepath.Glob. Unlike filepath.Glob, it returns an error for the directories
// that it cannot read, and still returns the files in the other directories. It is unknown which files the unreadable directories contain,
// so the caller must not conclude that they were removed. A directory that does not exist has no files.
func Glob(pattern string) (paths []string, err error) {
	if _, err := filepath.Match(pattern, ""); err != nil {
		return nil, err
	}
	return glob(pattern)
}

func glob(pattern string) (paths []string, err error) {
	if !isPattern(pattern) {
		switch _, err := os.Lstat(pattern); {
		case err == nil:
			return []string{pattern}, nil
		case isMissing(err):
			return nil, nil
		default:
			return nil, err
		}
	}
	dir, name := filepath.Split(pattern)
	if clean := strings.TrimRight(dir, string(filepath.Separator)); clean != "" && dir != pattern {
		dir = clean
	}
	folders, err := []string{dir}, error(nil)
	if isPattern(dir) {
		folders, err = glob(dir)
	}
	for _, folder := range folders {
		found, failed := in(folder, name)
		paths, err = append(paths, found...), errors.Join(err, failed)
	}
	slices.Sort(paths)
	return paths, err
}

// in returns the paths of the entries of a directory whose names match a pattern. If dir is not a directory, it returns none.
func in(dir, pattern string) (paths []string, err error) {
	read := dir
	if read == "" {
		read = "."
	}
	info, err := os.Stat(read)
	if err == nil && !info.IsDir() || isMissing(err) {
		return nil, nil
	}
	var entries []os.DirEntry
	if err == nil {
		entries, err = os.ReadDir(read)
	}
	for _, e := range entries {
		if ok, _ := filepath.Match(pattern, e.Name()); ok { // the error is nil, since Glob has checked the pattern
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

func isPattern(path string) bool { return strings.ContainsAny(path, `*?[\`) }

func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
