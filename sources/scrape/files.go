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
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/text"

	"github.com/collectington/collectington/sources"
)

const maxFile = 16 << 20 // bytes

// group is one entry of a targets file, in the format of Prometheus' file_sd_config.
type group struct {
	Targets []string          `yaml:"targets" json:"targets"`
	Labels  map[string]string `yaml:"labels" json:"labels"`

	meta     labels.Label // where it was found, for relabel_configs
	isRemote bool         // from a server
}

// files reads files that list targets. For a file that is not valid, the targets that it listed before stay.
type files struct {
	dir      string
	patterns []string
	known    map[string]*file
	reads    int // counts changes
}

type file struct {
	modified time.Time
	size     int64
	groups   []group
	err      error // of the last read
}

// refresh reads the files that have changed. It returns the groups of all files, in the order of the patterns. Files in a directory
// that cannot be read are as they were before.
func (f *files) refresh() (all []group, problems []error) {
	seen := map[string]*file{}
	for _, pattern := range f.patterns {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(f.dir, pattern)
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
	for path := range f.known {
		if seen[path] == nil {
			f.reads++
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
		if len(known.groups) > 0 {
			f.reads++
		}
		return &file{err: errors.New("no such file")}
	case err != nil:
		known.err = withoutPath(err)
		return known
	case info.ModTime().Equal(known.modified) && info.Size() == known.size:
		known.err = nil // it was valid, but may have been unreadable since
		return known
	}
	known.modified, known.size = info.ModTime(), info.Size()
	groups, err := readGroups(path)
	if known.err = err; err == nil {
		for i := range groups {
			groups[i].meta = labels.Label{Name: model.MetaLabelPrefix + "filepath", Value: path}
		}
		known.groups = groups
		f.reads++
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
	return groups, checkGroups(groups)
}

// checkGroups checks the addresses and the names of labels.
func checkGroups(groups []group) error {
	n := 0
	for i := range groups {
		for _, target := range groups[i].Targets {
			if err := new(Address).UnmarshalText([]byte(target)); err != nil {
				return fmt.Errorf("target %.80q: %w", target, err)
			}
		}
		for name := range groups[i].Labels {
			if !model.UTF8Validation.IsValidLabelName(name) {
				return fmt.Errorf("%.80q is not a valid label name", name)
			}
		}
		if n += len(groups[i].Targets); n > maxTargets {
			return fmt.Errorf("it lists more than %d targets", maxTargets)
		}
	}
	return nil
}
