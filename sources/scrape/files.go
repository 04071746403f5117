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
)

// Bounds on what files may list.
const (
	maxFile    = 16 << 20 // bytes
	maxTargets = 10_000
)

// group is one entry of a file of targets, as Prometheus' file_sd_config has it.
type group struct {
	Targets []string          `yaml:"targets"`
	Labels  map[string]string `yaml:"labels"`
}

// files watches files that list targets. One that cannot be read stands for what it said last.
type files struct {
	dir      string
	patterns []string
	known    map[string]*file
}

type file struct {
	modified time.Time
	size     int64
	groups   []group
	err      error // why what it says now cannot be used
}

// refresh reads what has changed and is all groups, in the order of the patterns, and what is wrong.
func (f *files) refresh() (all []group, problems []error) {
	seen := map[string]*file{}
	for _, pattern := range f.patterns {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(f.dir, pattern)
		}
		paths, err := filepath.Glob(pattern)
		if err == nil && len(paths) == 0 && !strings.ContainsAny(pattern, `*?[\`) {
			paths = []string{pattern} // named without a pattern, it should be there
		}
		slices.Sort(paths)
		for _, path := range paths {
			if seen[path] != nil {
				continue
			}
			one := f.file(path)
			seen[path] = one
			all = append(all, one.groups...)
			if one.err != nil {
				problems = append(problems, fmt.Errorf("read targets from %s: %w", path, one.err))
			}
		}
	}
	f.known = seen
	return all, problems
}

// file is the file as it is now. One that is gone lists nothing.
func (f *files) file(path string) *file {
	one := f.known[path]
	if one == nil {
		one = &file{}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &file{err: errors.New("there is no such file")}
	case err != nil:
		one.err = bare(err)
		return one
	case info.ModTime().Equal(one.modified) && info.Size() == one.size:
		return one
	}
	one.modified, one.size = info.ModTime(), info.Size()
	groups, err := readGroups(path)
	if one.err = err; err == nil {
		one.groups = groups
	} else {
		one.modified = time.Time{} // what kept it from being read may be gone without its being changed
	}
	return one
}

// bare leaves the path out of an error, which stands before it already.
func bare(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

func readGroups(path string) ([]group, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, bare(err)
	}
	if len(text) > maxFile {
		return nil, errors.New("it is larger than 16MiB")
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		return nil, errors.New("it is empty; a list without targets is []")
	}
	var groups []group
	if err := yaml.Load(text, &groups, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("want a list of {targets, labels}: %w", short(err))
	}
	n := 0
	for i := range groups {
		for _, target := range groups[i].Targets {
			if err := new(Address).UnmarshalText([]byte(target)); err != nil {
				return nil, fmt.Errorf("the target %.80q: %w", target, err)
			}
		}
		for name := range groups[i].Labels {
			if !model.UTF8Validation.IsValidLabelName(name) {
				return nil, fmt.Errorf("%.80q is no label name", name)
			}
		}
		if n += len(groups[i].Targets); n > maxTargets {
			return nil, fmt.Errorf("it lists more than %d targets", maxTargets)
		}
	}
	return groups, nil
}
