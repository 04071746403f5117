// Package file reads one or more files as a document.
package file

import (
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

//go:embed example.yaml
var example string

// Kind is the entry in the catalogue.
var Kind = sources.Kind[sources.Fetcher]{
	Name: "file",
	Defaults: func() sources.Config[sources.Fetcher] {
		return &Config{MaxFiles: 1000, MaxBytes: 64 << 20, Decoding: format.Defaults()}
	},
	Example: example,
}

// Config holds the settings of the file fetcher.
type Config struct {
	Path  string   `yaml:"path" setting:"path"`  // one file, which is the document
	Paths []string `yaml:"paths" setting:"path"` // patterns, in place of path; the document is then a list of the files

	ChangedOnly bool `yaml:"changed_only"`

	MaxFiles int           `yaml:"max_files"`
	MaxBytes setting.Bytes `yaml:"max_bytes"` // limit for all files together

	Decoding format.Settings `yaml:",inline"`
}

// Validate returns every problem of the settings.
func (c *Config) Validate() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Errorf(path, format, args...))
	}
	switch {
	case c.Path == "" && len(c.Paths) == 0:
		bad("path", "is required, or paths: set the file to read, or a list of patterns such as /var/lib/jobs/*.json")
	case c.Path != "" && len(c.Paths) > 0:
		bad("paths", "set either path or paths, not both")
	}
	for i, pattern := range c.Paths {
		if err := sources.CheckPattern(pattern); err != nil {
			bad(fmt.Sprintf("paths.%d", i), "%v", err)
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

// New returns the fetcher.
func (c *Config) New(env sources.Env) (sources.Fetcher, error) {
	return &fetcher{
		config: c, show: env.Show, dir: filepath.Clean(env.Dir), decoder: c.Decoding.Decoder(env.Web.Secrets),
	}, nil
}

// Identity implements sources.Identifier.
func (c *Config) Identity() string { return fmt.Sprintf("%q %q", c.Path, c.Paths) }

// Dated returns false, since the content of a file does not depend on the window.
func (c *Config) Dated() bool { return false }
