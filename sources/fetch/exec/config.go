// Package exec runs a command and returns its output or its exit code as a document.
package exec

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/process"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
	"github.com/collectington/collectington/sources/fetch/template"
)

//go:embed example.yaml
var example string

// Kind is the entry in the catalogue.
var Kind = sources.Kind[sources.Fetcher]{
	Name: "exec",
	Defaults: func() sources.Config[sources.Fetcher] {
		return &Config{Document: Output, MaxOutput: 10 << 20, Grace: setting.Duration(process.DefaultGrace), Decoding: format.Defaults()}
	},
	Example: example,
}

// Config holds the settings of the exec fetcher. The job's timeout limits the time of the command.
type Config struct {
	Command []string `yaml:"command" setting:"verbatim"` // a program and its arguments; the arguments are templates
	Shell   string   `yaml:"shell" setting:"verbatim"`   // a script for /bin/sh, in place of command; it is a template

	Dir   string                  `yaml:"dir" setting:"dir"` // the working directory, relative to the configuration file's directory
	Env   map[string]setting.Text `yaml:"env"`
	Stdin string                  `yaml:"stdin" setting:"verbatim,text"` // the standard input; it is a template

	Document    DocumentKind `yaml:"document"`
	OKExitCodes []int        `yaml:"ok_exit_codes"` // other codes make the tick fail; nil = 0 if Document is Output, else all codes

	MaxOutput setting.Bytes    `yaml:"max_output"`
	Grace     setting.Duration `yaml:"grace"` // time from SIGTERM to SIGKILL

	Decoding format.Settings `yaml:",inline"` // format of the output, for the documents Output and Result
}

// DocumentKind says what the document contains.
type DocumentKind string

// The kinds of documents.
const (
	Output DocumentKind = "output" // the decoded output of the command
	Result DocumentKind = "result" // {exit_code, seconds, output}; output is null if it was cut off
	Nagios DocumentKind = "nagios" // {exit_code, status, seconds, text, long_text, perfdata}: the result of a Nagios plug-in
)

// Words returns all values that the setting can have, for cton explain.
func (DocumentKind) Words() []string { return []string{string(Output), string(Result), string(Nagios)} }

// UnmarshalText parses the name of a kind.
func (d *DocumentKind) UnmarshalText(text []byte) error {
	if *d = DocumentKind(text); !slices.Contains(d.Words(), string(text)) {
		return errors.New("want output, result or nagios")
	}
	return nil
}

// maxExitCode is the largest exit code of a process (POSIX.1-2024, _exit: status & 0377).
const maxExitCode = 255

// Validate returns every problem of the settings.
func (c *Config) Validate() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Errorf(path, format, args...))
	}
	switch {
	case len(c.Command) == 0 && c.Shell == "":
		bad("command", "is required, or shell: set a program and its arguments, such as [df, --output=size]")
	case len(c.Command) > 0 && c.Shell != "":
		bad("shell", "set either command or shell, not both")
	case len(c.Command) > 0 && c.Command[0] == "":
		bad("command.0", "is empty: want the name or path of a program")
	case len(c.Command) > 0 && strings.Contains(c.Command[0], "{{"):
		bad("command.0", "must not contain a template: only the arguments may")
	}
	for _, t := range c.templates() {
		_, err := template.Parse(t.text)
		switch within := setting.Text(t.text).HasSecret() && !setting.IsReference(t.text); {
		case within && t.path == "stdin":
			bad(t.path, `want a reference to a secret as the whole value: "env:NAME"`)
		case within:
			bad(t.path, `other users of this host can see the arguments of a command: set env: {TOKEN: "env:NAME"} and let the command read the variable TOKEN`)
		case err != nil:
			bad(t.path, "%v", err)
		}
	}
	for i, arg := range c.Command {
		if strings.Contains(arg, "\x00") {
			bad(fmt.Sprintf("command.%d", i), "contains a zero byte")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			bad("env."+name, "is not a valid name of an environment variable")
		case strings.Contains(string(c.Env[name]), "\x00"):
			bad("env."+name, "contains a zero byte")
		}
	}
	for i, code := range c.OKExitCodes {
		if code < 0 || code > maxExitCode {
			bad(fmt.Sprintf("ok_exit_codes.%d", i), "want 0 to %d", maxExitCode)
		}
	}
	if c.MaxOutput <= 0 {
		bad("max_output", "want more than 0, such as 10MiB")
	}
	if c.Document == Nagios && c.Decoding.Format != format.Auto {
		bad("format", "cannot be set with document: nagios, which has a format of its own")
	}
	return errors.Join(append(problems, c.Decoding.Validate())...)
}

// New returns the fetcher.
func (c *Config) New(env sources.Env) (sources.Fetcher, error) {
	f := &fetcher{config: c, web: env.Web, log: env.Log, show: env.Show, dir: c.Dir, decoder: c.Decoding.Decoder(env.Web.Secrets)}
	if !filepath.IsAbs(f.dir) {
		f.dir = filepath.Clean(filepath.Join(env.Dir, f.dir))
	}
	for _, s := range c.templates() {
		t, err := template.Parse(s.text)
		if err != nil {
			return nil, setting.Errorf(s.path, "%v", err)
		}
		f.templates = append(f.templates, t)
	}
	return f, nil
}

// templateSetting is a setting whose value is a template.
type templateSetting struct{ path, text string }

// templates returns the settings that are templates: stdin first, then the script or the arguments.
func (c *Config) templates() []templateSetting {
	all := []templateSetting{{"stdin", c.Stdin}}
	if c.Shell != "" {
		return append(all, templateSetting{"shell", c.Shell})
	}
	for i := 1; i < len(c.Command); i++ {
		all = append(all, templateSetting{fmt.Sprintf("command.%d", i), c.Command[i]})
	}
	return all
}

// Identity implements sources.Identifier. It does not contain the environment, which may contain credentials.
func (c *Config) Identity() string {
	return fmt.Sprintf("%q %q %q %q %s", c.Command, c.Shell, c.Dir, c.Stdin, c.Document)
}

// afterGrace is the time limit for the work after a command was stopped: reading the last output, and computing the metrics.
const afterGrace = 5 * time.Second

// Overtime implements sources.Overrunner.
func (c *Config) Overtime() time.Duration { return time.Duration(c.Grace) + afterGrace }

// Dated reports whether a template uses the window or the time of the tick.
func (c *Config) Dated() bool {
	return slices.ContainsFunc(c.templates(), func(t templateSetting) bool {
		parsed, err := template.Parse(t.text)
		return err != nil || parsed.Varies()
	})
}
