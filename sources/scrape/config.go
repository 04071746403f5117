// Package scrape reads the metrics of exporters and passes all of them on, as a Prometheus in agent mode does.
//
// It finds the targets, fetches their pages side by side, and adds the metrics about each scrape, such as up. Package
// exposition reads the pages. Their values are absolute, and the ledger passes them on unchanged.
package scrape

import (
	_ "embed" // the example
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/relabel"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/scrape/exposition"
)

//go:embed example.yaml
var example string

// Kind is the catalogue's entry.
var Kind = sources.Kind[sources.Source]{
	Name: "scrape",
	Defaults: func() sources.Config[sources.Source] {
		return &Config{HonorTimestamps: true, SampleLimit: 100_000, BodySizeLimit: 64 << 20}
	},
	Example: example,
}

// Config is the settings of a scrape. Those that Prometheus' scrape_config has too have the same names.
type Config struct {
	Targets []Address `yaml:"targets"`
	FileSD  FileSD    `yaml:"file_sd"`

	HonorLabels     bool          `yaml:"honor_labels"`
	HonorTimestamps bool          `yaml:"honor_timestamps"`
	MetricRelabel   relabel.Rules `yaml:"metric_relabel_configs"`

	NativeHistograms bool `yaml:"scrape_native_histograms"`
	ClassicToNHCB    bool `yaml:"convert_classic_histograms_to_nhcb"`

	// Limits of one target's scrape, which fails beyond them; 0 = no limit.
	SampleLimit           int           `yaml:"sample_limit"` // after relabelling
	LabelLimit            int           `yaml:"label_limit"`
	LabelNameLengthLimit  int           `yaml:"label_name_length_limit"`
	LabelValueLengthLimit int           `yaml:"label_value_length_limit"`
	BodySizeLimit         setting.Bytes `yaml:"body_size_limit"` // decompressed; never 0

	httpclient.Settings `yaml:",inline"`
}

// FileSD names files that list targets.
type FileSD struct {
	Files []string `yaml:"files"`
}

// Address is the URL of a target's page, written in full or as host:port. The default path is /metrics.
type Address struct{ setting.URL }

// UnmarshalText parses either form.
func (a *Address) UnmarshalText(text []byte) error {
	if !strings.Contains(string(text), "://") {
		text = append([]byte("http://"), text...)
	}
	if err := a.URL.UnmarshalText(text); err != nil {
		return err
	}
	if a.Path == "" {
		a.Path = "/metrics"
	}
	return nil
}

// Validate implements [sources.Config].
func (c *Config) Validate() error {
	var errs []error
	bad := func(path, format string, args ...any) { errs = append(errs, setting.Bad(path, format, args...)) }
	if len(c.Targets)+len(c.FileSD.Files) == 0 {
		bad("targets", `is needed: what to scrape, such as ["localhost:9100"]; or file_sd: {files: [targets/*.yaml]}`)
	}
	hosts := map[string]int{}
	for i, a := range c.Targets {
		if first, twice := hosts[a.Host]; twice {
			bad(fmt.Sprintf("targets.%d", i), "has the same instance label (%s) as targets.%d: their series would be the same", a.Host, first)
		}
		hosts[a.Host] = i
	}
	for i, pattern := range c.FileSD.Files {
		if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" {
			bad(fmt.Sprintf("file_sd.files.%d", i), "want a file name or a pattern such as targets/*.yaml")
		}
	}
	if _, err := c.MetricRelabel.Compile("metric_relabel_configs"); err != nil {
		errs = append(errs, err)
	}
	for _, limit := range []struct {
		name string
		n    int
	}{
		{"sample_limit", c.SampleLimit},
		{"label_limit", c.LabelLimit},
		{"label_name_length_limit", c.LabelNameLengthLimit},
		{"label_value_length_limit", c.LabelValueLengthLimit},
	} {
		if limit.n < 0 {
			bad(limit.name, "want a number above 0, or 0 for no limit")
		}
	}
	if c.BodySizeLimit <= 0 {
		bad("body_size_limit", "want more than 0, such as 64MiB")
	}
	return errors.Join(append(errs, c.Settings.Validate())...)
}

// New implements [sources.Config]. It returns an error if the job has a fetcher, which would not be used.
func (c *Config) New(env sources.Env) (sources.Source, error) {
	if env.Fetch != nil {
		return nil, errors.New("scrape fetches its targets itself: remove the job's fetcher (such as http), or give scrape a job of its own")
	}
	client, err := env.Web.Client(&c.Settings)
	if err != nil {
		return nil, err
	}
	rules, err := c.MetricRelabel.Compile("metric_relabel_configs")
	if err != nil {
		return nil, err
	}
	return &source{
		config: c, env: env, client: client,
		files: files{dir: env.Dir, patterns: c.FileSD.Files},
		pool: exposition.NewPool(exposition.Options{
			HonorLabels: c.HonorLabels, HonorTimestamps: c.HonorTimestamps,
			NativeHistograms: c.NativeHistograms, ClassicToNHCB: c.ClassicToNHCB, MetricRelabel: rules,
			SampleLimit: c.SampleLimit, LabelLimit: c.LabelLimit,
			LabelNameLengthLimit: c.LabelNameLengthLimit, LabelValueLengthLimit: c.LabelValueLengthLimit,
			Gauges: gauges(), Redact: func(text string) string { return env.Web.Secrets.Scrub(text) }, Log: env.Log,
		}),
	}, nil
}

// Dated implements [sources.Dated]: a target shows what is now.
func (c *Config) Dated() bool { return false }
