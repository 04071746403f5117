// Package print shows batches as text, to try a configuration out or to look at what a job measures.
package print

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

//go:embed example.yaml
var example string

// Kind is the catalogue's entry.
var Kind = sinks.Kind{Name: "print", Defaults: func() sinks.Config { return &Config{} }, Example: example}

// Config writes each batch in the text exposition format, after a line that says whose it is.
type Config struct {
	Timestamps bool `yaml:"timestamps"`
}

// Validate implements sinks.Config.
func (c *Config) Validate() error { return nil }

// New implements sinks.Config.
func (c *Config) New(env sinks.Env) (sinks.Sink, error) {
	if env.Out == nil {
		return nil, errors.New("print batches: there is no output to write to")
	}
	return &sink{out: env.Out, stats: env.Stats, timestamps: c.Timestamps}, nil
}

type sink struct {
	out        io.Writer
	stats      *sinks.Stats
	timestamps bool

	mu        sync.Mutex
	converter metric.Converter
	page      bytes.Buffer
}

// Write writes the batch at once, so that nothing else of the program's output comes in between.
func (s *sink) Write(ctx context.Context, b metric.Batch) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("print job %s: %w", b.Job, context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page.Reset()
	fmt.Fprintf(&s.page, "# job %s at %s, %d series\n", b.Job, b.Time.UTC().Format(time.RFC3339), b.Series())
	if s.timestamps {
		s.converter.Time = b.Time.UnixMilli()
	}
	if err := s.converter.WriteText(&s.page, b.Families); err != nil {
		return sinks.Permanent(fmt.Errorf("print job %s: %w", b.Job, err))
	}
	if _, err := s.page.WriteTo(s.out); err != nil {
		return fmt.Errorf("print job %s: %w", b.Job, err)
	}
	s.stats.Sent.Add(int64(b.Series()))
	return nil
}
