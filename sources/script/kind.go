// Package script computes readings with Starlark (https://github.com/bazelbuild/starlark), a dialect of Python: a function
// for each metric.
//
//	settings + file ─▶ program ─▶ each tick: one call a metric ─▶ its answer ─▶ readings
//	                                 └─ fetch(…): the job's fetcher, each distinct request once a tick
//
// What stands at the script's top level runs once, when the job is made, and is frozen then. So a script keeps no state
// from tick to tick; what has to be remembered is the ledger's business.
package script

import (
	_ "embed" // the example
	"errors"
	"fmt"
	"maps"
	"slices"

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
	File      string             `yaml:"file"`
	Settings  map[string]any     `yaml:"settings"`
	MaxMemory setting.Bytes      `yaml:"max_memory"`
	Metrics   map[string]*Metric `yaml:"metrics"`
}

// Metric says what one metric is. How it is computed, the script says.
type Metric struct {
	sources.Declaration `yaml:",inline"`

	Labels []string `yaml:"labels"`
	OnceBy string   `yaml:"once_by"`
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
	if len(c.Metrics) == 0 {
		errs = append(errs, setting.Bad("metrics", "names no metric"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Metrics)) {
		m := c.Metrics[name]
		if m == nil {
			errs = append(errs, setting.Bad("metrics."+name, "needs at least a type"))
			continue
		}
		if err := m.validate(name); err != nil {
			errs = append(errs, setting.Under("metrics."+name, err))
		}
	}
	return errors.Join(errs...)
}

func (m *Metric) validate(name string) error {
	var errs []error
	for i, label := range m.Labels {
		switch {
		case slices.Contains(m.Labels[:i], label):
			errs = append(errs, setting.Bad(fmt.Sprintf("labels.%d", i), "%s is there already", label))
		case label == m.OnceBy:
			errs = append(errs, setting.Bad("once_by", "%s is among labels too: an event's id would make a series of each event", label))
		}
	}
	return errors.Join(append(errs, m.Declaration.Validate(name, m.Labels, m.OnceBy != ""))...)
}

// Declares lists the metrics.
func (c *Config) Declares() []*metric.Desc {
	var all []*metric.Desc
	for _, name := range slices.Sorted(maps.Keys(c.Metrics)) {
		if m := c.Metrics[name]; m != nil {
			all = append(all, m.Desc(name, m.Labels, m.OnceBy != ""))
		}
	}
	return all
}

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
