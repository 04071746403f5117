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

// Glob returns the files that match a pattern, as filepath.Glob does, sorted. Unlike that, it returns an error for each
// directory that it cannot read, beside what it has found elsewhere: the files there are not known, and must not be taken for gone.
// A directory that is missing has no files.
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

// in returns the names in a directory that match a pattern, joined to it. What is no directory has none.
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
		if ok, _ := filepath.Match(pattern, e.Name()); ok { // Glob has checked it
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

func isPattern(path string) bool { return strings.ContainsAny(path, `*?[\`) }

func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
