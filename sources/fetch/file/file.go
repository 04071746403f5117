// Package file fetches a document from files.
package file

import (
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

//go:embed example.yaml
var example string

// Kind is the file fetcher.
var Kind = sources.Kind[sources.Fetcher]{
	Name: "file",
	Defaults: func() sources.Config[sources.Fetcher] {
		return &Config{MaxFiles: 1000, MaxBytes: 64 << 20, Decoding: format.Defaults()}
	},
	Example: example,
}

// Config says what to read.
type Config struct {
	Path  string   `yaml:"path"`  // one file, which is the document
	Paths []string `yaml:"paths"` // in place of it, patterns: the document is a list of what they match

	ChangedOnly bool `yaml:"changed_only"`

	MaxFiles int           `yaml:"max_files"`
	MaxBytes setting.Bytes `yaml:"max_bytes"` // of all files together

	Decoding format.Settings `yaml:",inline"`
}

// Validate names every problem by its setting.
func (c *Config) Validate() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Bad(path, format, args...))
	}
	switch {
	case c.Path == "" && len(c.Paths) == 0:
		bad("path", "is needed: the file to read; or paths, a list of patterns such as /var/lib/jobs/*.json")
	case c.Path != "" && len(c.Paths) > 0:
		bad("paths", "stands beside path: keep one of them")
	}
	for i, pattern := range c.Paths {
		at := fmt.Sprintf("paths.%d", i)
		if _, err := filepath.Match(pattern, ""); err != nil {
			bad(at, `is no pattern: want a closing bracket after [, and a character after \`)
		}
		switch {
		case pattern == "":
			bad(at, "is empty")
		case strings.Contains(pattern, "**"):
			bad(at, "** is not understood: a * stands for one folder or name, so name each depth in a pattern of its own")
		}
	}
	if c.MaxFiles < 1 {
		bad("max_files", "want at least 1")
	}
	if c.MaxBytes <= 0 {
		bad("max_bytes", "want more than 0, such as 64MiB")
	}
	return errors.Join(append(problems, c.Decoding.Validate())...)
}

// New makes the fetcher.
func (c *Config) New(env sources.Env) (sources.Fetcher, error) {
	return &fetcher{
		set: c, show: env.Show, dir: filepath.Clean(env.Dir), decoder: c.Decoding.Decoder(env.Web.Secrets),
	}, nil
}

// Identity implements sources.Identifier: the files.
func (c *Config) Identity() string { return fmt.Sprintf("%q %q", c.Path, c.Paths) }

// Dated tells that a file is what it is now.
func (c *Config) Dated() bool { return false }
