// Package pushgateway pushes the series of each job to a Pushgateway. Each job has its own group, and each push replaces the group.
package pushgateway

import (
	_ "embed" // the example
	"errors"
	"fmt"
	"maps"
	"path/filepath"
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

// Kind is the entry in the catalogue.
var Kind = sinks.Kind{Name: "pushgateway", Defaults: func() sinks.Config { return &Config{} }, Example: example}

// Config holds the settings of one Pushgateway.
type Config struct {
	URL          setting.URL       `yaml:"url"`
	Grouping     map[string]string `yaml:"grouping"`
	DeleteOnExit bool              `yaml:"delete_on_exit"`
	Spool        Spool             `yaml:"spool"`

	Web httpclient.Settings `yaml:",inline"`
}

// Spool holds the settings of the queue on disk.
type Spool struct {
	Dir string `yaml:"dir" setting:"path"` // "" = there is no queue on disk
}

// Validate implements [sinks.Config].
func (c *Config) Validate() error {
	var errs []error
	path := strings.TrimRight(c.URL.Path, "/")
	switch {
	case c.URL.IsZero():
		errs = append(errs, setting.Errorf("url", "is required: the address of the Pushgateway, such as http://pushgateway.example.com:9091"))
	case c.URL.RawQuery != "" || c.URL.Fragment != "":
		errs = append(errs, setting.Errorf("url", "want an address without ? and #: the path of each job's group is appended to it"))
	case strings.HasSuffix(path, "/metrics") || strings.Contains(path, "/metrics/job"):
		errs = append(errs, setting.Errorf("url", "remove /metrics and what follows: the path of each job's group is appended"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Grouping)) {
		switch {
		case name == "job":
			errs = append(errs, setting.Errorf("grouping.job", "cannot be set: it is the job's name"))
		case !model.LegacyValidation.IsValidLabelName(name) || strings.HasPrefix(name, "__"):
			errs = append(errs, setting.Errorf("grouping."+name, "%q is not a label name that a Pushgateway accepts: use letters, digits and _", name))
		}
	}
	return errors.Join(append(errs, c.Web.Validate())...)
}

// Claims implements [sinks.Claimer]: two sinks with the same groups would overwrite each other's metrics.
func (c *Config) Claims() []string {
	var grouping []string
	for _, name := range slices.Sorted(maps.Keys(c.Grouping)) {
		grouping = append(grouping, name+"="+c.Grouping[name])
	}
	claim := "the group of each job at " + c.URL.Place()
	if len(grouping) > 0 {
		claim += " with " + strings.Join(grouping, ", ")
	}
	claims := []string{claim}
	if c.Spool.Dir != "" {
		claims = append(claims, "the spool "+filepath.Clean(c.Spool.Dir))
	}
	return claims
}

// New implements [sinks.Config].
func (c *Config) New(env sinks.Env) (sinks.Sink, error) {
	client, err := env.Web.Client(&c.Web)
	if err != nil {
		return nil, fmt.Errorf("set up pushes to %s: %w", c.URL.Place(), err)
	}
	return newSink(c, env, client), nil
}

// group returns the labels of every group in addition to job, sorted by name. They are the instance and the external labels, so that two
// hosts do not overwrite each other's groups, and the labels of the setting "grouping". For a single run in a pod, the namespace of the pod
// is used in place of instance. The instance would be the pod's name, which is different for each run, so no run would replace the group of
// an earlier run.
func (c *Config) group(env *sinks.Env) []metric.Label {
	all := map[string]string{}
	target := env.Target("")
	if env.Pod != nil {
		target = slices.DeleteFunc(target, func(l metric.Label) bool { return l.Name == "instance" })
		if env.Pod.Namespace != "" {
			all["namespace"] = env.Pod.Namespace
		}
	}
	for _, l := range sinks.Attach(nil, nil, target, env.External) {
		if !strings.HasPrefix(l.Name, "__") { // a Pushgateway refuses these names; __replica__ is only for receivers of remote-write
			all[l.Name] = l.Value
		}
	}
	maps.Copy(all, c.Grouping)
	delete(all, "job")
	var group []metric.Label
	for _, name := range slices.Sorted(maps.Keys(all)) {
		group = append(group, metric.Label{Name: name, Value: all[name]})
	}
	return group
}

// AuthName returns the name of the login that the setting "auth" refers to, or "".
func (c *Config) AuthName() string { return c.Web.AuthName() }
