// Package scrape reads the metrics of exporters and passes all of them on, like a Prometheus in agent mode.
//
// It finds the targets, scrapes them concurrently, and adds the metrics about each scrape, such as the metric named up. Package
// exposition parses the pages. The values are absolute, so the ledger passes them on unchanged.
package scrape

import (
	_ "embed" // the example
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/relabel"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/discovery"
	"github.com/collectington/collectington/sources/scrape/exposition"
)

//go:embed example.yaml
var example string

// Kind is the entry in the catalogue.
var Kind = sources.Kind[sources.Source]{
	Name: "scrape",
	Defaults: func() sources.Config[sources.Source] {
		return &Config{
			HTTPSD: discovery.HTTPSD{RefreshInterval: setting.Duration(time.Minute)},
			Scheme: "http", MetricsPath: "/metrics",
			HonorTimestamps: true, SampleLimit: 100_000, BodySizeLimit: 64 << 20,
		}
	},
	Example: example,
}

// Config holds the settings of a scrape. Settings that Prometheus' scrape_config also has have the same names.
type Config struct {
	Targets []Address         `yaml:"targets"`
	Labels  map[string]string `yaml:"labels"` // labels that Targets get
	FileSD  discovery.FileSD  `yaml:"file_sd"`
	HTTPSD  discovery.HTTPSD  `yaml:"http_sd"`

	// Settings for all targets. The address or a label of a target can override them.
	Scheme      string                    `yaml:"scheme"`
	MetricsPath string                    `yaml:"metrics_path"`
	Params      map[string][]setting.Text `yaml:"params"`

	Relabel relabel.Rules `yaml:"relabel_configs"` // rules for targets

	HonorLabels     bool          `yaml:"honor_labels"`
	HonorTimestamps bool          `yaml:"honor_timestamps"`
	MetricRelabel   relabel.Rules `yaml:"metric_relabel_configs"`

	NativeHistograms bool `yaml:"scrape_native_histograms"`
	AlwaysClassic    bool `yaml:"always_scrape_classic_histograms"`
	ClassicToNHCB    bool `yaml:"convert_classic_histograms_to_nhcb"`

	FallbackProtocol string `yaml:"fallback_scrape_protocol"` // "" = none

	// Limits for the scrape of one target. If a limit is exceeded, the scrape fails. 0 = no limit.
	SampleLimit           int           `yaml:"sample_limit"` // number of samples after relabelling
	LabelLimit            int           `yaml:"label_limit"`
	LabelNameLengthLimit  int           `yaml:"label_name_length_limit"`
	LabelValueLengthLimit int           `yaml:"label_value_length_limit"`
	BodySizeLimit         setting.Bytes `yaml:"body_size_limit"` // size after decompression; never 0

	httpclient.Settings `yaml:",inline"`

	jobLabels map[string]string // labels of the job, added to all targets
}

// AddLabels implements [sources.Labeler]. A label is not added to a target that has a label with the same name.
func (c *Config) AddLabels(labels map[string]string) { c.jobLabels = labels }

// Validate implements [sources.Config].
func (c *Config) Validate() error {
	var errs []error
	bad := func(path, format string, args ...any) { errs = append(errs, setting.Errorf(path, format, args...)) }
	if len(c.Targets)+len(c.FileSD.Files) == 0 && !c.HTTPSD.IsSet() {
		bad("targets", `is required: what to scrape, such as ["localhost:9100"]; or file_sd: {files: [targets/*.yaml]}; or http_sd: {url: …}`)
	}
	if c.Scheme != "http" && c.Scheme != "https" {
		bad("scheme", "want http or https")
	}
	if !strings.HasPrefix(c.MetricsPath, "/") {
		bad("metrics_path", "want a path that begins with /; a query belongs into params")
	}
	if c.FallbackProtocol != "" && protocols()[c.FallbackProtocol] == "" {
		bad("fallback_scrape_protocol", "want one of %s", strings.Join(slices.Sorted(maps.Keys(protocols())), ", "))
	}
	if _, err := c.MetricRelabel.Compile("metric_relabel_configs"); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, c.validateTargets(), c.validateLimits(), setting.Under("file_sd", c.FileSD.Validate()), setting.Under("http_sd", c.HTTPSD.Validate()))
	return errors.Join(append(errs, c.Settings.Validate())...)
}

// validateTargets checks the targets in the settings, by making endpoints from them.
func (c *Config) validateTargets() error {
	var errs []error
	for name := range c.Labels {
		if !model.UTF8Validation.IsValidLabelName(name) {
			errs = append(errs, setting.Errorf("labels", "%.80q is not a valid label name", name))
		}
	}
	made, err := newEndpoints(c, "JOB") // the name of the job is not known yet
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	first := map[string]int{}
	for i := range c.Targets {
		path := fmt.Sprintf("targets.%d", i)
		e, keep, err := made.of(&c.Targets[i], &discovery.Group{Labels: c.Labels})
		if err != nil {
			errs = append(errs, setting.Errorf(path, "%v", err))
		}
		if !keep {
			continue
		}
		if other, twice := first[e.labels.String()]; twice {
			errs = append(errs, setting.Errorf(path, "has the same labels (instance=%q) as targets.%d: their series would be the same", e.labels.Get(model.InstanceLabel), other))
		} else {
			first[e.labels.String()] = i
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validateLimits() error {
	var errs []error
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
			errs = append(errs, setting.Errorf(limit.name, "want a number above 0, or 0 for no limit"))
		}
	}
	if c.BodySizeLimit <= 0 {
		errs = append(errs, setting.Errorf("body_size_limit", "want more than 0, such as 64MiB"))
	}
	return errors.Join(errs...)
}

// protocols returns the media type of each protocol, by its name in Prometheus' settings.
func protocols() map[string]string {
	const text, openMetrics, protobuf = "text/plain", "application/openmetrics-text", "application/vnd.google.protobuf"
	return map[string]string{
		"PrometheusProto": protobuf, "PrometheusText0.0.4": text, "PrometheusText1.0.0": text,
		"OpenMetricsText0.0.1": openMetrics, "OpenMetricsText1.0.0": openMetrics,
	}
}

// New implements [sources.Config]. It returns an error if the job has a fetcher, since that would not be used.
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
	made, err := newEndpoints(c, env.Job)
	if err != nil {
		return nil, err
	}
	lists, err := discovery.New(env, &c.FileSD, &c.HTTPSD, checkTarget)
	if err != nil {
		return nil, err
	}
	return &source{
		config: c, env: env, client: client, made: made,
		lists: lists,
		pool: exposition.NewPool(exposition.Options{
			HonorLabels: c.HonorLabels, HonorTimestamps: c.HonorTimestamps,
			NativeHistograms: c.NativeHistograms, ClassicToNHCB: c.ClassicToNHCB, MetricRelabel: rules,
			AlwaysClassic: c.AlwaysClassic, Fallback: protocols()[c.FallbackProtocol],
			SampleLimit: c.SampleLimit, LabelLimit: c.LabelLimit,
			LabelNameLengthLimit: c.LabelNameLengthLimit, LabelValueLengthLimit: c.LabelValueLengthLimit,
			Gauges: gauges(), Redact: func(text string) string { return env.Web.Secrets.Scrub(text) }, Log: env.Log,
		}),
	}, nil
}

// Dated implements [sources.Dated]. It returns false, since a target only shows current values.
func (c *Config) Dated() bool { return false }
