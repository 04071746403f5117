// Package sources defines fetchers and sources, and is the guide to writing one.
//
// A job may have a fetcher, which fetches documents, and has a source, which computes readings from them:
//
//	jobs:
//	  oncall:
//	    http: {url: …}          # a fetcher: where data comes from
//	    metrics: {…}            # a source: how readings are computed from it
//
// A kind of fetcher or source is one folder and one entry in the catalogue. To write one:
//
//  1. Write a Config struct. Its yaml tags are the settings; unknown settings are errors. Types such as setting.Duration and
//     setting.Secret are in package setting. Config.Validate returns what is wrong with the settings, and Config.New makes the
//     [Fetcher] or [Source].
//
//  2. Write the fetcher's Fetch method or the source's Collect method. The agent does retries, timeouts, recovery from panics,
//     logging, and the metrics about the job. Limit the size of the data that you read. Return an error whose text is one line
//     that says what has failed and where.
//
//  3. Write example.yaml. Its first line says what the kind is for, and it names every setting with its default. cton explain
//     prints it.
//
//  4. Declare a [Kind], which has the name of the kind in the configuration file, the defaults, and the example.
//
//  5. Test it with the suite: sourcetest.RunFetcher for a fetcher, sourcetest.Run for a source.
//
//  6. Add the Kind to the catalogue in package agent. A kind that is not in this repository is an argument of agent.Main in a
//     program of its own:
//
//     func main() { os.Exit(agent.Main(environment.Kind)) }
//
// The optional parts of a kind are the functions of [Kind] and the interfaces [Declarer], [Identifier] and [Dated]. Use Env.Web for
// HTTP requests: it limits the size of bodies and the rate of requests, and keeps secrets out of errors. Package
// sources/fetch/format decodes formats other than JSON.
//
// This is a whole fetcher, from deploy/examples/plugin. A job uses it with environment: {variables: [HOME]}.
//
//	package environment
//
//	import (
//		"context"
//		_ "embed"
//		"encoding/json"
//		"fmt"
//		"os"
//
//		"github.com/collectington/collectington/agent/setting"
//		"github.com/collectington/collectington/sources"
//	)
//
//	//go:embed example.yaml
//	var example string
//
//	// Kind describes the fetcher for the agent's catalogue of kinds.
//	var Kind = sources.Kind[sources.Fetcher]{
//		Name:     "environment",
//		Defaults: func() sources.Config[sources.Fetcher] { return &Config{} },
//		Example:  example,
//	}
//
//	// Config is the settings of the fetcher.
//	type Config struct {
//		Variables []string `yaml:"variables"`
//	}
//
//	// Validate returns all problems of the settings.
//	func (c *Config) Validate() error {
//		if len(c.Variables) == 0 {
//			return setting.Errorf("variables", "is required: the names of environment variables, such as [HOME]")
//		}
//		return nil
//	}
//
//	// New makes the fetcher.
//	func (c *Config) New(sources.Env) (sources.Fetcher, error) {
//		return &fetcher{variables: c.Variables}, nil
//	}
//
//	type fetcher struct {
//		variables []string
//		parser    sources.Parser // reuses its memory for each document
//	}
//
//	// Fetch reads the variables.
//	func (f *fetcher) Fetch(_ context.Context, _ sources.Tick, r sources.Request) (*sources.Document, error) {
//		if !r.IsZero() {
//			return nil, sources.ErrFixedRequest
//		}
//		values := map[string]string{}
//		for _, name := range f.variables {
//			value, ok := os.LookupEnv(name)
//			if !ok {
//				return nil, fmt.Errorf("read environment: %s is not set", name)
//			}
//			values[name] = value
//		}
//		text, err := json.Marshal(values)
//		if err != nil {
//			return nil, fmt.Errorf("read environment: %w", err)
//		}
//		return f.parser.JSON("read environment", text)
//	}
//
// A source has the same parts. Its Kind is a Kind[Source]. Its New method keeps Env.Fetch. Its Collect method fetches a document
// and returns the readings of each metric, with the same *metric.Desc in every tick.
package sources
