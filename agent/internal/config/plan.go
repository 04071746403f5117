// Package config reads a configuration file into a checked plan. It reports all problems at once, each with its line.
package config

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/auth"
	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/internal/shard"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/targets"
)

// Plan is a checked configuration.
type Plan struct {
	External    map[string]string // external labels
	Concurrency int               // how many ticks may be active at once
	StateFile   string            // keeps the state of jobs over a restart; "" means that it is lost
	Runtime     bool              // the agent's own metrics include go_* and process_*
	WatchConfig bool              // the configuration is loaded again when its files change
	Web         Web
	Own         OwnMetrics
	Auth        []Auth      // by name
	Sinks       []Sink      // by name
	Jobs        []Job       // by name
	Shard       shard.Shard // which of all jobs the plan has; the zero value = all
	Elsewhere   []Elsewhere // those of the other shards
	Warnings    []Warning   // what is valid and probably not meant

	files *File
	root  *yaml.Node // the top level, with the jobs as they are written
}

// Web is where the status page is served, what it allows, and which series it always shows.
type Web struct {
	Listen        string     `yaml:"listen"`
	WebConfigFile string     `yaml:"web_config_file" setting:"path"`
	Actions       bool       `yaml:"actions"`
	Profiling     bool       `yaml:"profiling"`
	Watch         []Selector `yaml:"watch"`
}

// MaxWatched is how many series of [Web.Watch] are watched at most, and so how many entries it has.
const MaxWatched = 20

// OwnMetrics say when and where the agent's own metrics are delivered.
type OwnMetrics struct {
	Interval setting.Duration `yaml:"interval"`
	Sinks    []string         `yaml:"sinks"` // the sinks that get all of them; nil = each sink gets those that concern it
}

// Elsewhere is what is kept of a job that another shard runs: with thousands of them, their settings would take most of the memory.
type Elsewhere struct {
	Name  string
	Sinks []string // as those of a job
}

// Keep leaves the jobs of a shard in the plan. The sinks stay: one without jobs may have a queue on disk, or be scraped.
func (p *Plan) Keep(s shard.Shard) {
	all := p.Jobs
	p.Shard, p.Jobs, p.Elsewhere = s, nil, nil
	for _, j := range all {
		if s.Has(j.Name) {
			p.Jobs = append(p.Jobs, j)
		} else {
			p.Elsewhere = append(p.Elsewhere, Elsewhere{j.Name, j.Sinks})
		}
	}
}

// Files returns the names of the files that the plan was read from.
func (p *Plan) Files() []string { return p.files.Names() }

// Origins returns what the plan was read from, as it was then. It is empty for a plan of a text.
func (p *Plan) Origins() []Origin { return p.files.origins }

// Auth is an entry of auth: a named login.
type Auth struct {
	Name     string
	Settings *auth.Settings
	Key      string // equal for two logins with the same settings
}

// Sink is an entry of sinks.
type Sink struct {
	Name   string
	Kind   sinks.Kind
	Config sinks.Config
	Key    string // equal for two sinks with the same settings, those of their login included
}

// Job is one entry of jobs: its settings as written, and what the check has made of them.
type Job struct {
	JobSettings

	Name          string
	Schedule      *schedule.Schedule
	Windows       *schedule.Windows               // nil = each run reads from where the last successful one ended
	FetcherConfig sources.Config[sources.Fetcher] // nil if the job has no fetcher
	SourceKind    sources.Kind[sources.Source]
	SourceConfig  sources.Config[sources.Source]
	MetricsAt     string // the setting that declares the metrics: metrics, script.metrics
	Key           string // equal for two jobs with equal settings, including those of the login that they name
	Fetches       string // equal for two jobs that fetch the same thing
	Shown         string // its settings as YAML, secrets starred

	at, node *yaml.Node // its name, and its settings with the defaults
}

// JobSettings are the settings that every job has.
type JobSettings struct {
	ScheduleText   string            `yaml:"schedule"`
	Timezone       string            `yaml:"timezone"`
	Jitter         setting.Duration  `yaml:"jitter"` // the largest delay; each host delays by its own share of it
	Timeout        setting.Duration  `yaml:"timeout"`
	Overlap        schedule.Overlap  `yaml:"overlap"`
	ValidFor       setting.Duration  `yaml:"valid_for"` // 0 = two intervals
	WindowSettings *WindowSettings   `yaml:"window"`    // nil = Job.Windows is nil
	MaxSeries      int               `yaml:"max_series"`
	Labels         map[string]string `yaml:"labels"` // that each of its series has, unless the metric has labels of these names
	Sinks          []string          `yaml:"sinks"`  // the sinks that get the job's metrics; nil = all
}

// WindowSettings say which closed windows of time a job reads. A nil setting has its default.
type WindowSettings struct {
	Length     setting.Duration  `yaml:"length"`
	Settle     *setting.Duration `yaml:"settle"`
	Overlap    setting.Duration  `yaml:"overlap"`
	MaxCatchUp *setting.Duration `yaml:"max_catch_up"`
}

// Targeter returns the settings of the job's fetcher if they name targets, else nil.
func (j *Job) Targeter() sources.Targeter {
	if t, ok := j.FetcherConfig.(sources.Targeter); ok && t.HasTargets() {
		return t
	}
	return nil
}

// Declares returns the metrics of the job, false if they are not known before they are measured.
func (j *Job) Declares() (all []*metric.Desc, known bool) {
	d, known := j.SourceConfig.(sources.Declarer)
	if !known {
		return nil, false
	}
	all = d.Declares()
	if j.Targeter() != nil {
		for i := range all {
			all[i] = targets.Describe(all[i])
		}
	}
	return all, true
}

// Dated reports whether what the job measures depends on the tick's window.
func (j *Job) Dated() bool {
	return isDated(j.SourceConfig) || j.FetcherConfig != nil && isDated(j.FetcherConfig)
}

func isDated(config any) bool {
	d, ok := config.(sources.Dated)
	return !ok || d.Dated()
}

// GoesTo reports whether the sink gets the job's metrics.
func (j *Job) GoesTo(sink string) bool { return j.Sinks == nil || slices.Contains(j.Sinks, sink) }
