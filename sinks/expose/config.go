// Package expose serves the series of all jobs on a page that Prometheus scrapes.
//
//	Write ─▶ familyStore: the newest families of each job, without conflicts
//	      ─▶ rendering, one for each format that is requested: the encoded families and the page
//	scrape ─▶ the current page
//
// Write renders the families of the batch's job and updates the page. A scrape only sends bytes that are already rendered.
package expose

import (
	_ "embed"
	"errors"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/webserver"
	"github.com/collectington/collectington/sinks"
)

//go:embed example.yaml
var example string

// Kind is the entry in the catalogue. Two jobs can have the same series only if job_label is not set.
var Kind = sinks.Kind{
	Name:     "expose",
	Defaults: func() sinks.Config { return defaults() },
	Example:  example,
	Pull:     true,
	Merges:   func(c sinks.Config) bool { return c.(*Config).JobLabel == "" },
}

// Config holds the settings of one page.
type Config struct {
	Listen        string `yaml:"listen"`
	Path          string `yaml:"path"`
	JobLabel      string `yaml:"job_label"`
	CreatedSeries bool   `yaml:"created_series"`
	WebConfigFile string `yaml:"web_config_file" setting:"path"`
}

func defaults() *Config { return &Config{Listen: ":8000", Path: "/metrics"} }

// healthPath is the path of the health check.
const healthPath = "/-/healthy"

// Validate implements [sinks.Config].
func (c *Config) Validate() error {
	var all []error
	if webserver.CheckListen(c.Listen) != nil {
		all = append(all, setting.Errorf("listen", "want host:port, such as :8000 or 127.0.0.1:8000"))
	}
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "?#") || c.Path == healthPath {
		all = append(all, setting.Errorf("path", "want a path such as /metrics, other than %s", healthPath))
	}
	switch {
	case c.JobLabel == "":
	case c.JobLabel == "true" || c.JobLabel == "false", !model.LegacyValidation.IsValidLabelName(c.JobLabel), strings.HasPrefix(c.JobLabel, "__"):
		all = append(all, setting.Errorf("job_label", "want a label name such as job_name: letters, digits and _"))
	case c.JobLabel == model.BucketLabel || c.JobLabel == model.QuantileLabel:
		all = append(all, setting.Errorf("job_label", "histograms and summaries need the label %s: want another name", c.JobLabel))
	}
	return errors.Join(all...)
}

// Claims implements [sinks.Claimer]: two sinks cannot listen on the same address. Port 0 means any free port, so it is not claimed.
func (c *Config) Claims() []string {
	if claim := webserver.Claim(c.Listen); claim != "" {
		return []string{claim}
	}
	return nil
}

// Serves implements [sinks.Server].
func (c *Config) Serves() (listen, webConfigFile string) { return c.Listen, c.WebConfigFile }

// New implements [sinks.Config].
func (c *Config) New(env sinks.Env) (sinks.Sink, error) { return newSink(c, env), nil }
