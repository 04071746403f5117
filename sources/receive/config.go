// Package receive receives the metrics that other programs push, and passes them on. It works like a Pushgateway whose groups are
// sent to the sinks.
//
//	push ─▶ handler ─▶ groups.Store: checked, on disk ─▶ response
//	tick ─▶ Collect: all groups, as absolute values   ─▶ sinks
//
// As in a Pushgateway, a group is kept until it is deleted. It can also expire.
package receive

import (
	_ "embed" // the example
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/webserver"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/receive/groups"
)

//go:embed example.yaml
var example string

// Kind is the entry in the catalogue.
var Kind = sources.Kind[sources.Source]{
	Name:     "receive",
	Defaults: func() sources.Config[sources.Source] { return defaults() },
	Example:  example,
	Schedule: "@every 15s",
	Check: func(c sources.Config[sources.Source], env sources.Env) error {
		return webserver.CheckFile(webserver.File(env.Dir, c.(*Config).WebConfigFile))
	},
	Forwards: func(c sources.Config[sources.Source]) bool { return c.(*Config).RemoteWrite },
}

// Config holds the settings.
type Config struct {
	Listen        string `yaml:"listen"`
	WebConfigFile string `yaml:"web_config_file" setting:"path"`
	Dir           string `yaml:"dir" setting:"path"`

	RemoteWrite bool `yaml:"remote_write"`

	AddUp      bool             `yaml:"add_up"`
	TTL        setting.Duration `yaml:"ttl"`
	DropLabels []string         `yaml:"drop_labels"`
	UTF8Names  bool             `yaml:"utf8_names"`
	Native     bool             `yaml:"native_histograms"`
	AdminAPI   bool             `yaml:"admin_api"`

	MaxBody   setting.Bytes `yaml:"max_body"`
	MaxGroups int           `yaml:"max_groups"`
	MaxBytes  setting.Bytes `yaml:"max_bytes"`

	labels map[string]string // labels of the job
}

// AddLabels implements [sources.Labeler]. A label is not added to a series that already has a label of the same name.
func (c *Config) AddLabels(labels map[string]string) { c.labels = labels }

func defaults() *Config {
	return &Config{Listen: ":9091", MaxBody: 16 << 20, MaxGroups: 10_000, MaxBytes: 256 << 20}
}

// Validate implements [sources.Config].
func (c *Config) Validate() error {
	var all []error
	bad := func(path, format string, args ...any) { all = append(all, setting.Errorf(path, format, args...)) }
	if webserver.CheckListen(c.Listen) != nil {
		bad("listen", "want host:port, such as :9091 or 127.0.0.1:9091")
	}
	for i, name := range c.DropLabels {
		path := fmt.Sprintf("drop_labels.%d", i)
		switch {
		case !model.UTF8Validation.IsValidLabelName(name):
			bad(path, "%.80q is not a valid label name", name)
		case name == model.JobLabel:
			bad(path, "every group needs the label job")
		case slices.Contains(c.DropLabels[:i], name):
			bad(path, "%q is listed twice", name)
		}
	}
	if c.TTL > 0 && time.Duration(c.TTL) < time.Second {
		bad("ttl", "want at least 1s, or 0s for never")
	}
	if c.MaxBody < 1 || c.MaxBody > 1<<30 {
		bad("max_body", "want 1B to 1GiB, such as 16MiB")
	}
	if c.MaxGroups < 1 {
		bad("max_groups", "want at least 1")
	}
	if c.MaxBytes < 1 {
		bad("max_bytes", "want more than 0, such as 256MiB")
	}
	return errors.Join(all...)
}

// New implements [sources.Config]. It returns an error if the job has a fetcher, since that would not be used.
func (c *Config) New(env sources.Env) (sources.Source, error) {
	if env.Fetch != nil {
		return nil, errors.New("receive gets its metrics by pushes: remove the job's fetcher (such as http), or give receive a job of its own")
	}
	return newSource(c, env), nil
}

// storeOptions returns the options of the store.
func (c *Config) storeOptions(env *sources.Env) groups.Options {
	o := groups.Options{
		AddUp: c.AddUp, TTL: time.Duration(c.TTL), DropLabels: c.DropLabels, Scheme: c.scheme(),
		MaxGroups: c.MaxGroups, MaxSeries: env.MaxSeries, MaxBytes: int64(c.MaxBytes), Log: env.Log,
	}
	if path := c.dir(env); path != "" {
		o.Dir, o.Place = durable.NewDir(path), path
	}
	return o
}

func (c *Config) dir(env *sources.Env) string {
	if c.Dir == "" || filepath.IsAbs(c.Dir) {
		return c.Dir
	}
	return filepath.Join(env.Dir, c.Dir)
}

func (c *Config) scheme() model.ValidationScheme {
	if c.UTF8Names {
		return model.UTF8Validation
	}
	return model.LegacyValidation
}

// Claims implements [sources.Claimer]: two jobs cannot use the same address or directory.
func (c *Config) Claims() []string {
	var all []string
	if claim := webserver.Claim(c.Listen); claim != "" {
		all = append(all, claim)
	}
	if c.Dir != "" {
		all = append(all, "the directory "+filepath.Clean(c.Dir))
	}
	return all
}

// Dated implements [sources.Dated]. It returns false, since a group only has current values.
func (c *Config) Dated() bool { return false }
