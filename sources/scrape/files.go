package scrape

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/text"
)

const maxFile = 16 << 20 // bytes

// group is one entry of a targets file, in the format of Prometheus' file_sd_config.
type group struct {
	Targets []string          `yaml:"targets"`
	Labels  map[string]string `yaml:"labels"`
}

// files reads files that list targets. For a file that is not valid, the targets that it listed before stay.
type files struct {
	dir      string
	patterns []string
	known    map[string]*file
}

type file struct {
	modified time.Time
	size     int64
	groups   []group
	err      error // of the last read
}

// refresh reads the files that have changed. It returns the groups of all files, in the order of the patterns.
func (f *files) refresh() (all []group, problems []error) {
	seen := map[string]*file{}
	for _, pattern := range f.patterns {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(f.dir, pattern)
		}
		paths, err := filepath.Glob(pattern)
		if err == nil && len(paths) == 0 && !strings.ContainsAny(pattern, `*?[\`) {
			paths = []string{pattern} // a name without a pattern: a missing file is a problem
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
	f.known = seen
	return all, problems
}

// read returns the file, and reads it again if its size or time has changed. A file that is gone lists nothing.
func (f *files) read(path string) *file {
	known := f.known[path]
	if known == nil {
		known = &file{}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &file{err: errors.New("no such file")}
	case err != nil:
		known.err = withoutPath(err)
		return known
	case info.ModTime().Equal(known.modified) && info.Size() == known.size:
		return known
	}
	known.modified, known.size = info.ModTime(), info.Size()
	groups, err := readGroups(path)
	if known.err = err; err == nil {
		known.groups = groups
	} else {
		known.modified = time.Time{} // read it again, also if size and time stay the same
	}
	return known
}

// withoutPath returns the error without the path, which the caller adds.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

func readGroups(path string) ([]group, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	if len(raw) > maxFile {
		return nil, errors.New("the file is larger than 16MiB")
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return nil, errors.New("the file is empty; write [] for no targets")
	}
	var groups []group
	if err := yaml.Load(raw, &groups, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("want a list of {targets, labels}: %s", text.Cut(text.OneLine(err.Error()), 200))
	}
	n := 0
	for i := range groups {
		for _, target := range groups[i].Targets {
			if err := new(Address).UnmarshalText([]byte(target)); err != nil {
				return nil, fmt.Errorf("target %.80q: %w", target, err)
			}
		}
		for name := range groups[i].Labels {
			if !model.UTF8Validation.IsValidLabelName(name) {
				return nil, fmt.Errorf("%.80q is not a valid label name", name)
			}
		}
		if n += len(groups[i].Targets); n > maxTargets {
			return nil, fmt.Errorf("the file lists more than %d targets", maxTargets)
		}
	}
	return groups, nil
}
