package file

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// wild are the characters that make a pattern of a path.
const wild = `*?[\`

// find is the names of the files to read, sorted, each once. Relative names stay relative to the configuration's folder.
// A pattern may match nothing; a folder that it begins with must be there, and so must a file that is named outright.
func (f *fetcher) find() ([]string, error) {
	if f.set.Path != "" {
		return []string{f.set.Path}, nil
	}
	var all []string
	for _, pattern := range f.set.Paths {
		if !strings.ContainsAny(pattern, wild) {
			all = append(all, filepath.Clean(pattern))
			continue
		}
		if root := f.at(rootOf(pattern)); !isFolder(root) {
			return nil, fmt.Errorf("%s: there is no folder %s, or it may not be read", pattern, root)
		}
		names, err := f.match(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pattern, err)
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > f.set.MaxFiles {
		return nil, fmt.Errorf("%d files are more than max_files (%d)", len(all), f.set.MaxFiles)
	}
	return all, nil
}

// match is what a pattern matches. The configuration's folder may have a name that looks like a pattern.
func (f *fetcher) match(pattern string) ([]string, error) {
	if filepath.IsAbs(pattern) {
		return filepath.Glob(pattern)
	}
	plain := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(f.dir)
	names, err := filepath.Glob(filepath.Join(plain, pattern))
	for i := range names {
		if names[i], err = filepath.Rel(f.dir, names[i]); err != nil {
			return nil, err
		}
	}
	return names, err
}

// rootOf is the folder that a pattern begins with, before the first part with a wildcard.
func rootOf(pattern string) string {
	root := pattern
	for strings.ContainsAny(root, wild) {
		root = filepath.Dir(root)
	}
	return root
}

func isFolder(path string) bool {
	dir, err := os.Open(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	info, err := dir.Stat()
	return err == nil && info.IsDir()
}

// at is where a name leads to.
func (f *fetcher) at(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.dir, name)
}
