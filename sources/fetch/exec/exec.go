// Package exec fetches a document from a command.
package exec

import (
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
	"github.com/collectington/collectington/sources/fetch/template"
)

//go:embed example.yaml
var example string

// Kind is the exec fetcher.
var Kind = sources.Kind[sources.Fetcher]{
	Name: "exec",
	Defaults: func() sources.Config[sources.Fetcher] {
		return &Config{Document: Output, MaxOutput: 10 << 20, Decoding: format.Defaults()}
	},
	Example: example,
}

// Config says what to run. There is no time-out here: the job's bounds the whole tick.
type Config struct {
	Command []string `yaml:"command"` // a program and its arguments, which are templates
	Shell   string   `yaml:"shell"`   // in place of it, what /bin/sh is to run; a template

	Dir   string                  `yaml:"dir"` // to run in; relative to the configuration file's
	Env   map[string]setting.Text `yaml:"env"`
	Stdin string                  `yaml:"stdin"` // a template

	Document    Document `yaml:"document"`
	OKExitCodes []int    `yaml:"ok_exit_codes"` // others fail the tick; nil = 0 for Output, all for Result

	MaxOutput setting.Bytes `yaml:"max_output"`

	Decoding format.Settings `yaml:",inline"` // of Output
}

// Document is what the document is made of.
type Document string

// The documents.
const (
	Output Document = "output" // what the command writes, decoded
	Result Document = "result" // {exit_code, seconds, output}, where output is text
)

// UnmarshalText reads a name.
func (d *Document) UnmarshalText(text []byte) error {
	if Document(text) != Output && Document(text) != Result {
		return errors.New("want output or result")
	}
	*d = Document(text)
	return nil
}

// New makes the fetcher.
func (c *Config) New(env sources.Env) (sources.Fetcher, error) {
	f := &fetcher{set: c, web: env.Web, show: env.Show, dir: c.Dir, decoder: c.Decoding.Decoder(env.Web.Secrets)}
	if !filepath.IsAbs(f.dir) {
		f.dir = filepath.Clean(filepath.Join(env.Dir, f.dir))
	}
	for _, text := range c.templates() {
		t, err := template.Parse(text.text)
		if err != nil {
			return nil, setting.Bad(text.path, "%v", err)
		}
		f.texts = append(f.texts, t)
	}
	return f, nil
}

// text is a setting that is a template.
type text struct{ path, text string }

// templates are stdin, and what stands after the program.
func (c *Config) templates() []text {
	all := []text{{"stdin", c.Stdin}}
	if c.Shell != "" {
		return append(all, text{"shell", c.Shell})
	}
	for i := 1; i < len(c.Command); i++ {
		all = append(all, text{fmt.Sprintf("command.%d", i), c.Command[i]})
	}
	return all
}

// Identity implements sources.Identifier: what is run without its environment, which says who runs it.
func (c *Config) Identity() string {
	return fmt.Sprintf("%q %q %q %q %s", c.Command, c.Shell, c.Dir, c.Stdin, c.Document)
}

// Dated tells whether the command is given the tick's window.
func (c *Config) Dated() bool {
	return slices.ContainsFunc(c.templates(), func(t text) bool {
		parsed, err := template.Parse(t.text)
		return err != nil || parsed.Varies()
	})
}
