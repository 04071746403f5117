package config

import (
	"crypto/sha256"
	"path/filepath"
	"strings"

	"github.com/collectington/collectington/sources"
)

// Origin is what a configuration was read from, as it was then: the text of a file, or the names of the files that match a pattern.
type Origin struct {
	Name      string // of the file, or the pattern
	IsPattern bool   // a directory of the command line, or an entry of include

	sum [sha256.Size]byte // zero for a file that cannot be read
}

// IsMissing reports whether it is a file that could not be read.
func (o Origin) IsMissing() bool { return !o.IsPattern && o.sum == Origin{}.sum }

// Look returns the same origins as they are now.
func Look(before []Origin) []Origin {
	all := make([]Origin, len(before))
	for i, o := range before {
		if o.IsPattern {
			all[i] = patternOrigin(o.Name)
			continue
		}
		text, err := ReadFile(o.Name, nil)
		all[i] = fileOrigin(o.Name, text, err)
	}
	return all
}

// Origins returns what a configuration with these paths would be read from, as it is now. None of the paths is standard input.
func Origins(paths []string) []Origin {
	l := &loader{dir: Dir(paths), seen: map[string]bool{}}
	for _, path := range paths {
		_ = l.path(path) // errors are reported when the configuration is loaded
	}
	return l.origins
}

func fileOrigin(name string, text []byte, err error) Origin {
	o := Origin{Name: name}
	if err == nil {
		o.sum = sha256.Sum256(text)
	}
	return o
}

func patternOrigin(pattern string) Origin {
	found, err := sources.Glob(pattern)
	if err != nil {
		found = append(found, err.Error())
	}
	return Origin{pattern, true, sha256.Sum256([]byte(strings.Join(found, "\x00")))}
}

// filesOf returns the patterns of the files in a directory.
func filesOf(dir string) []string {
	escaped := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
	return []string{filepath.Join(escaped, "*.yaml"), filepath.Join(escaped, "*.yml")}
}
