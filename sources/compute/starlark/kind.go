// Package starlark computes readings with Starlark (https://github.com/bazelbuild/starlark), a dialect of Python: a function
// for each metric.
//
//	settings + file ─▶ program ─▶ each tick: one call a metric ─▶ its answer ─▶ readings
//	                                 └─ fetch(…): the job's fetcher, each distinct request once a tick
//
// What stands at the script's top level runs once, when the job is made, and is frozen then. So a script keeps no state
// from tick to tick; what has to be remembered is the ledger's business. Answers that it lets expire later than a tick are
// a cache, without which it would measure the same.
//
// A document is made of values only where the script reads it: see object.
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

// Kind is the catalogue's entry.
var Kind = sources.Kind[sources.Source]{
	Name:     "script",
	Defaults: func() sources.Config[sources.Source] { return &Config{MaxMemory: 512 << 20} },
	Example:  example,
}

// Config says where the script is and what it measures.
type Config struct {
	File      string                    `yaml:"file"`
	Settings  map[string]any            `yaml:"settings"`
	Secrets   map[string]setting.Secret `yaml:"secrets"`
	MaxMemory setting.Bytes             `yaml:"max_memory"`
	Metrics   sources.Metrics           `yaml:"metrics"`
}

// minMemory is less than what any script needs.
const minMemory = 1 << 20

// Validate checks every setting; the script itself is read by Check and New.
func (c *Config) Validate() error {
	var errs []error
	if c.File == "" {
		errs = append(errs, setting.Bad("file", "is needed: the script's path, such as oncall.star"))
	}
	if c.MaxMemory < minMemory {
		errs = append(errs, setting.Bad("max_memory", "want at least 1MiB"))
	}
	if _, err := ofSetting(c.Settings, 0); err != nil {
		errs = append(errs, setting.Bad("settings", "%v", err))
	}
	return errors.Join(append(errs, c.Metrics.Validate())...)
}

// Declares lists the metrics.
func (c *Config) Declares() []*metric.Desc { return c.Metrics.Descs() }

// Check reads and compiles the script.
func (c *Config) Check(env sources.Env) error {
	_, err := c.New(env)
	return err
}

// New reads the script, compiles it, runs its top level and finds each metric's function.
func (c *Config) New(env sources.Env) (sources.Source, error) {
	p, err := readProgram(env.Dir, c.File)
	if err != nil {
		return nil, err
	}
	return newSource(c, env, p)
}
