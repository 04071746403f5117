// Package starlark computes readings with a script in Starlark (https://github.com/bazelbuild/starlark), a dialect of Python. The
// script has a function for each metric.
//
//	settings + file ─▶ script ─▶ each tick: one call per metric ─▶ its result ─▶ readings
//	                               └─ fetch(…): the job's fetcher, each different request once per tick
//
// The top level of the script runs once, when the job is created. After that, its values are frozen. So a script cannot keep state between
// ticks; the ledger keeps the state. With the argument "expires" of fetch and get_data_from_store, a script can keep responses for later
// ticks, but only as a cache: that does not change the results.
//
// Package [sandbox] limits the resources that a script can use. This package has the functions that a script can call.
//
// To read this package, begin with source.go, which does one tick. script.go loads a script and finds its functions. builtins.go
// lists the functions that a script can call, fetch.go has fetch and get_data_from_store, and readings.go converts results to
// readings.
package starlark

import (
	_ "embed" // the example
	"errors"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

//go:embed example.yaml
var example string

// Kind is the entry in the catalogue.
var Kind = sources.Kind[sources.Source]{
	Name:     "script",
	Defaults: func() sources.Config[sources.Source] { return &Config{MaxMemory: 512 << 20} },
	Example:  example,
	Notes: func(c sources.Config[sources.Source], env sources.Env) ([]string, error) {
		return c.(*Config).notes(env)
	},
	Check:   func(c sources.Config[sources.Source], env sources.Env) error { return c.(*Config).check(env) },
	Version: func(made sources.Source) string { return made.(*source).program.version },
}

// Config holds the settings: the script, the settings and secrets that it may read, and the metrics that it measures.
type Config struct {
	File      string                    `yaml:"file" setting:"path"`
	Settings  map[string]any            `yaml:"settings"`
	Secrets   map[string]setting.Secret `yaml:"secrets"`
	MaxMemory setting.Bytes             `yaml:"max_memory"`
	Expires   setting.Duration          `yaml:"expires"`
	Metrics   sources.Metrics           `yaml:"metrics"`
}

// minMemory is the smallest value of the setting max_memory.
const minMemory = 1 << 20

// Validate checks every setting. It does not read the script: the methods check and New read it.
func (c *Config) Validate() error {
	var errs []error
	if c.File == "" {
		errs = append(errs, setting.Errorf("file", "is required: the script's path, such as oncall.star"))
	}
	if c.MaxMemory < minMemory {
		errs = append(errs, setting.Errorf("max_memory", "want at least 1MiB"))
	}
	if _, err := ofSetting(c.Settings, 0); err != nil {
		errs = append(errs, setting.Errorf("settings", "%v", err))
	}
	return errors.Join(append(errs, c.Metrics.Validate())...)
}

// Declares returns the descriptions of the metrics.
func (c *Config) Declares() []*metric.Desc { return c.Metrics.Descs() }

// AddLabels implements [sources.Labeler].
func (c *Config) AddLabels(labels map[string]string) { c.Metrics.AddLabels(labels) }

// check reads and compiles the script.
func (c *Config) check(env sources.Env) error {
	_, err := c.New(env)
	return err
}

// notes returns the notes that the check of a valid script has found.
func (c *Config) notes(env sources.Env) ([]string, error) {
	s, err := c.New(env)
	if err != nil {
		return nil, err
	}
	return s.(*source).notes, nil
}

// New reads the script, compiles it, runs its top level and finds the function of each metric.
func (c *Config) New(env sources.Env) (sources.Source, error) {
	p, err := readProgram(env.Dir, c.File)
	if err != nil {
		return nil, err
	}
	return newSource(c, env, p)
}
