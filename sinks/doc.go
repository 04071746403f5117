// Package sinks defines sinks, and is the guide to writing one.
//
// A sink delivers batches: the current values of all series of a job after a tick. A kind of sink is one folder and one entry in the
// catalogue. To write one:
//
//  1. Write a Config struct. Its yaml tags are the settings; unknown settings are errors. Types such as setting.Duration and
//     setting.Secret are in package setting. Config.Validate returns what is wrong with the settings, and Config.New makes the [Sink].
//
//  2. Write the sink's Write method. The agent tries again after an error, unless the error is [Permanent]. Count in Env.Stats
//     what was sent, and what was dropped and why. A sink that works between writes is also a [Runner].
//
//  3. Write example.yaml. Its first line says what the kind is for, and the file names every setting with its default. cton explain
//     prints the file.
//
//  4. Declare a [Kind], which has the name of the kind in the configuration file, the defaults, and the example.
//
//  5. Test the sink with the suite, sinktest.Run.
//
//  6. Add the Kind to the catalogue in package agent. A kind that is not in this repository is an argument of agent.Main in a
//     program of its own:
//
//     func main() { os.Exit(agent.Main(textfile.Kind)) }
//
// The optional parts of a kind are the functions of [Kind] and the interfaces [Runner], [Checker], [Repeater] and [Claimer]. A sink
// that pushes adds the labels of [Env.Target] and Env.External to each series: see [Attach].
//
// This is a whole sink, from deploy/examples/plugin. A configuration uses it with sinks: {files: {textfile: {directory: .}}}.
//
//	package textfile
//
//	import (
//		"bytes"
//		"context"
//		_ "embed"
//		"fmt"
//		"net/url"
//		"os"
//		"path/filepath"
//
//		"github.com/collectington/collectington/agent/metric"
//		"github.com/collectington/collectington/agent/setting"
//		"github.com/collectington/collectington/sinks"
//	)
//
//	//go:embed example.yaml
//	var example string
//
//	// Kind describes the sink for the agent's catalogue of kinds.
//	var Kind = sinks.Kind{Name: "textfile", Defaults: func() sinks.Config { return &Config{} }, Example: example}
//
//	// Config is the settings of the sink.
//	type Config struct {
//		Directory string `yaml:"directory"`
//	}
//
//	// Validate returns all problems of the settings.
//	func (c *Config) Validate() error {
//		if c.Directory == "" {
//			return setting.Errorf("directory", "is required: where the files are written")
//		}
//		return nil
//	}
//
//	// New makes the sink.
//	func (c *Config) New(env sinks.Env) (sinks.Sink, error) {
//		dir := c.Directory
//		if !filepath.IsAbs(dir) {
//			dir = filepath.Join(env.Dir, dir)
//		}
//		return &sink{dir: dir, stats: env.Stats}, nil
//	}
//
//	type sink struct {
//		dir   string
//		stats *sinks.Stats
//	}
//
//	// Write replaces the file of the batch's job.
//	func (s *sink) Write(ctx context.Context, b metric.Batch) error {
//		if ctx.Err() != nil {
//			return context.Cause(ctx)
//		}
//		var text bytes.Buffer
//		if err := metric.WriteText(&text, b.Families); err != nil {
//			return sinks.Permanent(fmt.Errorf("write job %s: %w", b.Job, err))
//		}
//		file := filepath.Join(s.dir, url.PathEscape(b.Job)+".prom")
//		if err := os.WriteFile(file+".new", text.Bytes(), 0o644); err != nil {
//			return fmt.Errorf("write job %s: %w", b.Job, err)
//		}
//		if err := os.Rename(file+".new", file); err != nil { // replaces the file atomically, so that no reader sees an incomplete file
//			return fmt.Errorf("write job %s: %w", b.Job, err)
//		}
//		s.stats.Sent.Add(int64(b.Series()))
//		return nil
//	}
package sinks
