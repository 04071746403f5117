// Package exposition passes on metrics that a command prints or that files contain in the Prometheus or the OpenMetrics text format,
// with their types, help, labels and histograms.
package exposition

import (
	"context"
	_ "embed" // the example
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/relabel"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/scrape/exposition"
	"github.com/collectington/collectington/sources/targets"
)

//go:embed example.yaml
var example string

// Kind is the entry of the catalogue.
var Kind = sources.Kind[sources.Source]{
	Name:     "exposition",
	Defaults: func() sources.Config[sources.Source] { return &Config{HonorTimestamps: true, SampleLimit: 100_000} },
	Example:  example,
}

// Config has the settings. They have the same names and meanings as the settings of scrape.
type Config struct {
	HonorTimestamps bool          `yaml:"honor_timestamps"`
	MetricRelabel   relabel.Rules `yaml:"metric_relabel_configs"`
	SampleLimit     int           `yaml:"sample_limit"` // maximum number of samples of one text; 0 = no limit

	labels map[string]string // labels of the job
}

// AddLabels implements [sources.Labeler].
func (c *Config) AddLabels(labels map[string]string) { c.labels = labels }

// Validate implements [sources.Config].
func (c *Config) Validate() error {
	var errs []error
	if c.SampleLimit < 0 {
		errs = append(errs, setting.Errorf("sample_limit", "want a number above 0, or 0 for no limit"))
	}
	if _, err := c.MetricRelabel.Compile("metric_relabel_configs"); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ReadsTexts implements [sources.TextReader].
func (c *Config) ReadsTexts() {}

// Dated implements [sources.Dated]. It returns false: a text has the current values, not those of a window.
func (c *Config) Dated() bool { return false }

// Names of the metrics about files.
const (
	upName       = "textfile_up"
	modifiedName = "textfile_mtime_seconds"
)

// New implements [sources.Config].
func (c *Config) New(env sources.Env) (sources.Source, error) {
	fetch, err := sources.TextFetcherOf(env.Fetch)
	if err != nil {
		return nil, err
	}
	rules, err := c.MetricRelabel.Compile("metric_relabel_configs")
	if err != nil {
		return nil, err
	}
	gauge := func(name, help string) *metric.Desc {
		d := &metric.Desc{Name: name, Help: help, Type: metric.Gauge, LabelNames: []string{"file"}}
		for name, value := range c.labels {
			if name != "file" {
				d.Const = append(d.Const, metric.Label{Name: name, Value: value})
			}
		}
		return d
	}
	return &source{
		fetch: fetch, labels: labels.FromMap(c.labels), texts: map[string]*text{},
		up:       gauge(upName, "Whether the last run could read the file."),
		modified: gauge(modifiedName, "When the file was modified last, in Unix seconds."),
		pool: exposition.NewPool(exposition.Options{
			HonorLabels: true, HonorTimestamps: c.HonorTimestamps, MetricRelabel: rules, SampleLimit: c.SampleLimit,
			Subject: "exposition", Untargeted: true,
			Redact: func(text string) string { return env.Web.Secrets.Scrub(text) }, Log: env.Log,
		}),
	}, nil
}

// source passes on the series of one or more texts.
type source struct {
	fetch  sources.TextFetcher
	labels labels.Labels // added to each series, unless the series has a label of the same name
	pool   *exposition.Pool
	texts  map[string]*text // text by the name of its file
	order  []*text          // the texts of the current tick

	up, modified *metric.Desc
}

// text is a file or the output of a command.
type text struct {
	cache    *exposition.Cache
	file     *metric.LabelSet // labels of the metrics about the file; nil if the text is not a file
	modified time.Time        // zero = unknown
	err      error            // why the text could not be read or parsed in the current tick
}

// Collect fetches the texts and parses each of them. A file that cannot be parsed has no series, and does not affect other files. For
// a text that is not a file, such as the output of a command, the tick fails.
func (s *source) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	s.pool.Begin(tick.Time.UnixMilli())
	s.order = s.order[:0]
	if err := s.fetch.FetchTexts(ctx, tick, s.read); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(s.order) == 0 {
		s.keep(nil)
	}
	return s.readings(), nil
}

// keep forgets all texts except those with these names, which are the texts of the tick. It is called before the texts of the tick are
// read, since one of them may have taken over series from a text that is gone.
func (s *source) keep(names []string) {
	for name, t := range s.texts {
		if name != "" && !slices.Contains(names, name) {
			s.pool.Remove(t.cache)
			delete(s.texts, name)
		}
	}
}

// read parses one text. It returns an error, which ends the tick, only if the text is not a file.
func (s *source) read(given sources.Text) error {
	if len(s.order) == 0 {
		s.keep(given.All)
	}
	t := s.texts[given.Name]
	if t == nil {
		t = &text{cache: s.pool.NewCache(s.labels)}
		if given.Name != "" {
			t.file = s.up.LabelSet([]string{given.Name})
		}
		s.texts[given.Name] = t
	}
	t.modified, t.err = given.Modified, given.Err
	s.order = append(s.order, t)
	reader := t.cache.Begin()
	if t.err != nil {
		reader.Discard()
	} else if err := reader.Finish(given.Body, exposition.ContentType(given.Body)); err != nil {
		t.err = fmt.Errorf("%s: %w", given.From, err)
	}
	if given.Name == "" {
		return t.err
	}
	return nil
}

// readings returns the series of all texts, and the metrics about files. It drops each series that has the name of one of the agent's own
// metrics or of a metric about files.
func (s *source) readings() metric.Readings {
	var caches []*exposition.Cache
	var problems []error
	up, modified := []metric.Series{}, []metric.Series{}
	for _, t := range s.order {
		caches = append(caches, t.cache)
		if t.err != nil {
			problems = append(problems, t.err)
		}
		if t.file == nil {
			continue
		}
		one := metric.Series{Labels: t.file}
		if t.err == nil {
			one.Value = 1
		}
		up = append(up, one)
		if !t.modified.IsZero() {
			modified = append(modified, metric.Series{Labels: t.file, Value: float64(t.modified.UnixMilli()) / 1000})
		}
	}
	all := s.pool.Readings(caches, targets.Summarize(problems))
	kept := all[:1]
	for _, m := range all[1:] {
		if strings.HasPrefix(m.Desc.Name, "cton_") || m.Desc.Name == upName || m.Desc.Name == modifiedName {
			kept[0].Drops = append(kept[0].Drops, metric.Drop{
				Reason: metric.Unnamed, Count: len(m.Series), First: m.Desc.Name + " is a name of the agent's own metrics",
			})
			continue
		}
		kept = append(kept, m)
	}
	if len(up) > 0 {
		kept = append(kept, metric.Measured{Desc: s.up, Series: up}, metric.Measured{Desc: s.modified, Series: modified})
	}
	return kept
}
