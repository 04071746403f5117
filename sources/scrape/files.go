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

const maxFile = 16 << 20 // maximum size of a file in bytes

// group is one entry in a file of targets, in the format of Prometheus' file_sd_config.
type group struct {
	Targets []string          `yaml:"targets" json:"targets"`
	Labels  map[string]string `yaml:"labels" json:"labels"`

	meta     labels.Label // the file or URL where it was found, as a label for relabel_configs
	isRemote bool         // it is from a server
}

// files reads files that list targets. If a file becomes invalid, the targets that it listed before are kept.
type files struct {
	dir      string
	patterns []string
	known    map[string]*file
	reads    int // number of changes so far
}

type file struct {
	modified time.Time
	size     int64
	groups   []group
	err      error // error of the last read
}

// refresh reads the files that have changed. It returns the groups in all files, in the order of the patterns. If a directory
// cannot be read, the files that were in it before are kept.
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
			f.reads++
		}
	}
	f.known = seen
	return all, problems
}

// read returns a file. It reads the file again if its size or time has changed. If the file no longer exists, the result has no
// targets.
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
		known.err = nil // the contents are valid; the last attempt may have failed for another reason
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
		known.modified = time.Time{} // so that it is read again even if size and time do not change
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

// checkGroups checks the addresses and label names in groups.
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
