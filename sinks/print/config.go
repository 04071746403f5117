// Package print writes batches as text. It is for trying a configuration, and for looking at the metrics of a job.
package print

import (
	_ "embed" // the example
	"errors"

	"github.com/collectington/collectington/sinks"
)

//go:embed example.yaml
var example string

// Kind is the entry in the catalogue.
var Kind = sinks.Kind{Name: "print", Defaults: func() sinks.Config { return &Config{} }, Example: example}

// Config holds the settings of the output.
type Config struct {
	Timestamps bool `yaml:"timestamps"`
}

// Validate implements [sinks.Config].
func (c *Config) Validate() error { return nil }

// New implements [sinks.Config].
func (c *Config) New(env sinks.Env) (sinks.Sink, error) {
	if env.Out == nil {
		return nil, errors.New("print batches: there is no output to write to")
	}
	return &sink{out: env.Out, stats: env.Stats, timestamps: c.Timestamps}, nil
}
