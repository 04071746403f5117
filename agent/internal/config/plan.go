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

// Plan is a configuration that was checked.
type Plan struct {
	External    map[string]string // external labels, by name
	Concurrency int               // how many ticks may run at the same time
	StateFile   string            // file that keeps the state of jobs across restarts; "" = state is not kept
	Runtime     bool              // the agent's own metrics include those named go_* and process_*
	WatchConfig bool              // the configuration is loaded again when its files change
	Web         Web
	Own         OwnMetrics
	Auth        []Auth      // in the order of the file
	Sinks       []Sink      // in the order of the file
	Jobs        []Job       // in the order of the file
	Shard       shard.Shard // the shard whose jobs the plan has; the zero value = all jobs
	Elsewhere   []Elsewhere // the jobs of other shards
	Warnings    []Warning   // what is valid but probably not intended

	files *File
	root  *yaml.Node // the top-level node, with the jobs as they are written
}

// Web is where the status page is served, what it allows, and which series it always shows.
type Web struct {
	Listen        string     `yaml:"listen"`
	WebConfigFile string     `yaml:"web_config_file" setting:"path"`
	Actions       bool       `yaml:"actions"`
	Profiling     bool       `yaml:"profiling"`
	Watch         []Selector `yaml:"watch"`
}

// MaxWatched is the maximum number of series that [Web.Watch] selects. Web.Watch has no more entries than this.
const MaxWatched = 20

// OwnMetrics say when and where the agent's own metrics are delivered.
type OwnMetrics struct {
	Interval setting.Duration `yaml:"interval"`
	Sinks    []string         `yaml:"sinks"` // sinks that get all of these metrics; nil = see run.Agent.ownPart
}

// Elsewhere is a job that another shard runs. It has only a few of the job's settings. All settings of thousands of such jobs would take
// most of the memory.
type Elsewhere struct {
	Name  string
	Sinks []string // names of the sinks, as in Job
}

// Keep removes all jobs from the plan except those of a shard. It removes no sinks: a sink without jobs may still have a queue on disk, or
// be scraped.
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

// Origins returns the files and patterns from which the plan was read, with checksums of that time. It is empty for a plan that was
// parsed from a text.
func (p *Plan) Origins() []Origin { return p.files.origins }

// Auth is an entry of the section auth: a login with a name.
type Auth struct {
	Name     string
	Settings *auth.Settings
	Key      string // equal for two logins with equal settings
}

// Sink is an entry of the section sinks.
type Sink struct {
	Name   string
	Kind   sinks.Kind
	Config sinks.Config
	Key    string // equal for two sinks with equal settings, including those of the login that they name
}

// Job is an entry of the section jobs: its settings as written, and the values derived from them.
type Job struct {
	JobSettings

	Name          string
	Schedule      *schedule.Schedule
	Unscheduled   bool                            // the file has no schedule for the job: only the command "cton once" runs it, and Schedule is a guess
	Windows       *schedule.Windows               // nil = each run reads from the end of the last successful run
	FetcherConfig sources.Config[sources.Fetcher] // nil if the job has no fetcher
	SourceKind    sources.Kind[sources.Source]
	SourceConfig  sources.Config[sources.Source]
	MetricsAt     string // path of the setting that declares the metrics, such as metrics or script.metrics
	Key           string // equal for two jobs with equal settings, including those of the login that they name
	Fetches       string // equal for two jobs that fetch the same data
	Shown         string // its settings as YAML, with secrets replaced by <secret>

	at, node *yaml.Node // node of its name, and node of its settings including the defaults
}

// JobSettings are the settings that every job has.
type JobSettings struct {
	ScheduleText   string            `yaml:"schedule"`
	Timezone       string            `yaml:"timezone"`
	Jitter         setting.Duration  `yaml:"jitter"` // longest delay; each host has its own delay up to this
	Timeout        setting.Duration  `yaml:"timeout"`
	Overlap        schedule.Overlap  `yaml:"overlap"`
	ValidFor       setting.Duration  `yaml:"valid_for"` // how long values remain valid while runs fail; 0 = two intervals
	WindowSettings *WindowSettings   `yaml:"window"`    // nil = the job has no windows
	MaxSeries      int               `yaml:"max_series"`
	Labels         map[string]string `yaml:"labels"` // labels added to each series of the job, unless the metric has a label of this name
	Sinks          []string          `yaml:"sinks"`  // names of the sinks that get the job's metrics; nil = all sinks
}

// WindowSettings are the settings of a job's windows of time. A nil setting has its default value.
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
