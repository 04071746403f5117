package config

import (
	"crypto/sha256"
	"path/filepath"
	"strings"

	"github.com/collectington/collectington/sources"
)

// Origin is a file or a pattern from which a configuration was read, with a checksum from the time of reading. The checksum is of the
// text of the file, or of the names of the files that match the pattern.
type Origin struct {
	Name      string // name of the file, or the pattern
	IsPattern bool   // a directory of the command line, or an entry of include

	sum [sha256.Size]byte // zero if the file could not be read
}

// IsMissing reports whether the origin is a file that could not be read.
func (o Origin) IsMissing() bool { return !o.IsPattern && o.sum == Origin{}.sum }

// Look returns the same origins with their current checksums.
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

// Origins returns the origins that a configuration with these paths would have now. None of the paths may be standard input.
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

// filesOf returns patterns that match the configuration files in a directory.
func filesOf(dir string) []string {
	escaped := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
	return []string{filepath.Join(escaped, "*.yaml"), filepath.Join(escaped, "*.yml")}
}
