// Package discovery reads lists of targets, in the formats of Prometheus' service discovery.
package discovery

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// FileSD is the setting file_sd: it names files that list targets.
type FileSD struct {
	Files []string `yaml:"files" setting:"path"`
}

// Validate checks the file names and patterns.
func (s *FileSD) Validate() error {
	var errs []error
	for i, pattern := range s.Files {
		if err := sources.CheckPattern(pattern); err != nil {
			errs = append(errs, setting.Errorf(fmt.Sprintf("files.%d", i), "%v", err))
		}
	}
	return errors.Join(errs...)
}

// Files reads files that list targets. If a file is not valid, its previous targets stay in use.
type Files struct {
	Dir      string // directory for relative patterns
	Patterns []string
	Check    func(target string) error // returns why a target is not valid, or nil
	Reads    int                       // grows when the targets of a file may have changed

	known map[string]*file // file by path
}

type file struct {
	modified time.Time
	size     int64
	groups   []Group
	err      error // error of the last read

	bad [sha256.Size]byte // hash of the last contents that were not valid
	why error             // what is wrong with these contents
}

// Refresh reads the files that have changed. It returns the groups of all files, in the order of the patterns. If a directory cannot be
// read, the files that were found in it before stay in use.
func (f *Files) Refresh() (all []Group, problems []error) {
	seen := map[string]*file{}
	for _, pattern := range f.Patterns {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(f.Dir, pattern)
		}
		paths, err := sources.Glob(pattern)
		if err != nil {
			problems = append(problems, fmt.Errorf("read targets from %s: %w", pattern, err))
			for path := range f.known {
				if ok, _ := filepath.Match(pattern, path); ok && !slices.Contains(paths, path) {
					paths = append(paths, path)
				}
			}
		}
		if err == nil && len(paths) == 0 && !strings.ContainsAny(pattern, `*?[\`) {
			paths = []string{pattern} // the name is not a pattern, so it is a problem if the file is missing
		}
		slices.Sort(paths)
		for _, path := range paths {
			if seen[path] != nil {
				continue
			}
			file := f.read(path)
			seen[path] = file
			all = append(all, file.groups...)
			if file.err != nil {
				problems = append(problems, fmt.Errorf("read targets from %s: %w", path, file.err))
			}
		}
	}
	for path := range f.known {
		if seen[path] == nil {
			f.Reads++
		}
	}
	f.known = seen
	return all, problems
}

// read returns the file, and reads it again if its size or time has changed. A file that does not exist lists no targets.
func (f *Files) read(path string) *file {
	known := f.known[path]
	if known == nil {
		known = &file{}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if len(known.groups) > 0 {
			f.Reads++
		}
		return &file{err: errors.New("no such file")}
	case err != nil:
		known.err = withoutPath(err)
		return known
	case info.ModTime().Equal(known.modified) && info.Size() == known.size:
		known.err = nil // the contents are valid; the last attempt may have failed for another reason
		return known
	}
	known.modified, known.size = info.ModTime(), info.Size()
	groups, err := f.readGroups(path, known)
	if known.err = err; err == nil {
		for i := range groups {
			groups[i].Meta = labels.Label{Name: model.MetaLabelPrefix + "filepath", Value: path}
		}
		known.groups = groups
		f.Reads++
	} else {
		known.modified = time.Time{} // so that the file is read again even if its size and time do not change
	}
	return known
}

// withoutPath returns the error without the path, since the caller adds the path.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// readGroups reads a file. If the previous call has found that the same contents are not valid, they are not parsed again: parsing can take
// long, and readGroups can be called at each tick.
func (f *Files) readGroups(path string, known *file) ([]Group, error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer opened.Close()
	raw, err := io.ReadAll(io.LimitReader(opened, MaxBytes+1))
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case len(raw) > MaxBytes:
		return nil, errors.New("the file is larger than 16MiB")
	case len(bytes.TrimSpace(raw)) == 0:
		return nil, errors.New("the file is empty; write [] for no targets")
	}
	hash := sha256.Sum256(raw)
	if known.why != nil && hash == known.bad {
		return nil, known.why
	}
	groups, err := parseYAML(raw)
	if err == nil {
		err = checkGroups(groups, f.Check)
	}
	known.bad, known.why = hash, err
	return groups, err
}
