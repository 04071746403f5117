// Package textfile provides a sink that writes a file for each job, for the textfile collector of node_exporter.
package textfile

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
)

//go:embed example.yaml
var example string

// Kind describes the sink for the agent's catalogue of kinds.
var Kind = sinks.Kind{Name: "textfile", Defaults: func() sinks.Config { return &Config{} }, Example: example}

// Config is the settings of the sink.
type Config struct {
	Directory string `yaml:"directory"`
}

// Validate returns all problems of the settings.
func (c *Config) Validate() error {
	if c.Directory == "" {
		return setting.Errorf("directory", "is required: where the files are written")
	}
	return nil
}

// New makes the sink.
func (c *Config) New(env sinks.Env) (sinks.Sink, error) {
	dir := c.Directory
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(env.Dir, dir)
	}
	return &sink{dir: dir, stats: env.Stats}, nil
}

type sink struct {
	dir   string
	stats *sinks.Stats
}

// Write replaces the file of the batch's job.
func (s *sink) Write(ctx context.Context, b metric.Batch) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var text bytes.Buffer
	if err := metric.WriteText(&text, b.Families); err != nil {
		return sinks.Permanent(fmt.Errorf("write job %s: %w", b.Job, err))
	}
	file := filepath.Join(s.dir, url.PathEscape(b.Job)+".prom")
	if err := os.WriteFile(file+".new", text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write job %s: %w", b.Job, err)
	}
	if err := os.Rename(file+".new", file); err != nil { // replaces the file atomically, so that no reader sees an incomplete file
		return fmt.Errorf("write job %s: %w", b.Job, err)
	}
	s.stats.Sent.Add(int64(b.Series()))
	return nil
}
