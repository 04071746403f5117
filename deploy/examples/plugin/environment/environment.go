// Package environment provides a fetcher whose document is an object of environment variables.
package environment

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

//go:embed example.yaml
var example string

// Kind describes the fetcher for the agent's catalogue of kinds.
var Kind = sources.Kind[sources.Fetcher]{
	Name:     "environment",
	Defaults: func() sources.Config[sources.Fetcher] { return &Config{} },
	Example:  example,
}

// Config is the settings of the fetcher.
type Config struct {
	Variables []string `yaml:"variables"`
}

// Validate returns all problems of the settings.
func (c *Config) Validate() error {
	if len(c.Variables) == 0 {
		return setting.Errorf("variables", "is required: the names of environment variables, such as [HOME]")
	}
	return nil
}

// New makes the fetcher.
func (c *Config) New(sources.Env) (sources.Fetcher, error) {
	return &fetcher{variables: c.Variables}, nil
}

type fetcher struct {
	variables []string
	parser    sources.Parser // reuses its memory for each document
}

// Fetch reads the variables.
func (f *fetcher) Fetch(_ context.Context, _ sources.Tick, r sources.Request) (*sources.Document, error) {
	if !r.IsZero() {
		return nil, sources.ErrFixedRequest
	}
	values := map[string]string{}
	for _, name := range f.variables {
		value, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("read environment: %s is not set", name)
		}
		values[name] = value
	}
	text, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("read environment: %w", err)
	}
	return f.parser.JSON("read environment", text)
}
