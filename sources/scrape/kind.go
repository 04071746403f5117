// Package scrape reads the metrics of exporters and passes all of them on, as an agent-mode Prometheus on the host would.
//
//	targets ─▶ pages, fetched side by side ─▶ entries: what is known of each line's series, so that a line that was there
//	           before costs a comparison      ─▶ series, with histograms and summaries put together ─▶ families
//
// What a page shows is ready-made: absolute values, which the ledger passes on as they are.
package scrape

import (
	_ "embed" // the example
	"errors"
	"fmt"
	"path/filepath"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/relabel"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
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

// Config says whom to scrape and what to make of it. The names are those of Prometheus' scrape_config.
type Config struct {
	Targets []Address `yaml:"targets"`
	FileSD  FileSD    `yaml:"file_sd"`

	HonorLabels     bool          `yaml:"honor_labels"`
	HonorTimestamps bool          `yaml:"honor_timestamps"`
	MetricRelabel   relabel.Rules `yaml:"metric_relabel_configs"`

	NativeHistograms bool `yaml:"scrape_native_histograms"`
	ClassicToNHCB    bool `yaml:"convert_classic_histograms_to_nhcb"`

	// Limits of one target's scrape, which fails as a whole beyond them; 0 = none.
	SampleLimit           int           `yaml:"sample_limit"` // after relabelling
	LabelLimit            int           `yaml:"label_limit"`
	LabelNameLengthLimit  int           `yaml:"label_name_length_limit"`
	LabelValueLengthLimit int           `yaml:"label_value_length_limit"`
	BodySizeLimit         setting.Bytes `yaml:"body_size_limit"` // decompressed; never none

	httpclient.Settings `yaml:",inline"`
}

// FileSD names files that list targets.
type FileSD struct {
	Files []string `yaml:"files"`
}

// Validate names every problem by its setting.
func (c *Config) Validate() error {
	var errs []error
	bad := func(path, format string, args ...any) { errs = append(errs, setting.Bad(path, format, args...)) }
	if len(c.Targets)+len(c.FileSD.Files) == 0 {
		bad("targets", `is needed: what to scrape, such as ["localhost:9100"]; or file_sd: {files: [targets/*.yaml]}`)
	}
	at := map[string]int{}
	for i, a := range c.Targets {
		if first, twice := at[a.Host]; twice {
			bad(fmt.Sprintf("targets.%d", i), "has the instance %s of targets.%d: their series would be the same", a.Host, first)
		}
		at[a.Host] = i
	}
	for i, pattern := range c.FileSD.Files {
		if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" {
			bad(fmt.Sprintf("file_sd.files.%d", i), "want a file's name or a pattern such as targets/*.yaml")
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

// New makes the source; the job has to be without a fetcher, which nobody would ask.
func (c *Config) New(env sources.Env) (sources.Source, error) {
	if env.Fetch != nil {
		return nil, errors.New("scrape fetches by itself: take the job's other place to fetch from away, or give it a job of its own")
	}
	client, err := env.Web.Client(&c.Settings)
	if err != nil {
		return nil, err
	}
	rules, err := c.MetricRelabel.Compile("metric_relabel_configs")
	if err != nil {
		return nil, err
	}
	return newSource(c, env, client, rules), nil
}

// Dated tells that a target shows what is now.
func (c *Config) Dated() bool { return false }
