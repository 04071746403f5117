// Package pushgateway pushes each job's series to a Pushgateway, as one group that replaces the one before.
package pushgateway

import (
	_ "embed" // the example
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
)

//go:embed example.yaml
var example string

// Kind is the catalogue's entry.
var Kind = sinks.Kind{Name: "pushgateway", Defaults: func() sinks.Config { return &Config{} }, Example: example}

// Config pushes to one Pushgateway.
type Config struct {
	URL          setting.URL       `yaml:"url"`
	Grouping     map[string]string `yaml:"grouping"`
	DeleteOnExit bool              `yaml:"delete_on_exit"`

	Web httpclient.Settings `yaml:",inline"`
}

// Validate implements sinks.Config.
func (c *Config) Validate() error {
	var errs []error
	path := strings.TrimRight(c.URL.Path, "/")
	switch {
	case c.URL.IsZero():
		errs = append(errs, setting.Bad("url", "is needed: the gateway's address, such as http://pushgateway.example.com:9091"))
	case c.URL.RawQuery != "" || c.URL.Fragment != "":
		errs = append(errs, setting.Bad("url", "want an address without ? and #: each job's group is added to it"))
	case strings.HasSuffix(path, "/metrics") || strings.Contains(path, "/metrics/job"):
		errs = append(errs, setting.Bad("url", "leave out what begins with /metrics: each job's group is added to it"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Grouping)) {
		switch {
		case name == "job":
			errs = append(errs, setting.Bad("grouping.job", "is the job's name already"))
		case !model.LegacyValidation.IsValidLabelName(name) || strings.HasPrefix(name, "__"):
			errs = append(errs, setting.Bad("grouping."+name, "%q is no label name that a gateway takes", name))
		}
	}
	return errors.Join(append(errs, c.Web.Validate())...)
}

// Claims names the groups: two sinks that push the same ones would take turns in replacing them.
func (c *Config) Claims() []string {
	var grouping []string
	for _, name := range slices.Sorted(maps.Keys(c.Grouping)) {
		grouping = append(grouping, name+"="+c.Grouping[name])
	}
	claim := "the group of each job at " + c.URL.Place()
	if len(grouping) > 0 {
		claim += " with " + strings.Join(grouping, ", ")
	}
	return []string{claim}
}

// New implements sinks.Config.
func (c *Config) New(env sinks.Env) (sinks.Sink, error) {
	client, err := env.Web.Client(&c.Web)
	if err != nil {
		return nil, fmt.Errorf("set up pushes to %s: %w", c.URL.Place(), err)
	}
	return newSink(c, env, client), nil
}

// group is the labels of a job's group beside the job, sorted by name: who pushes, so that two hosts do not replace each
// other's group, and what the configuration adds.
func (c *Config) group(env *sinks.Env) []metric.Label {
	all := map[string]string{}
	for _, l := range sinks.Attach(nil, nil, env.Target(""), env.External) {
		all[l.Name] = l.Value
	}
	maps.Copy(all, c.Grouping)
	delete(all, "job")
	var group []metric.Label
	for _, name := range slices.Sorted(maps.Keys(all)) {
		group = append(group, metric.Label{Name: name, Value: all[name]})
	}
	return group
}

// AuthName is the login that the settings name, "" where they name none.
func (c *Config) AuthName() string { return c.Web.AuthName() }
