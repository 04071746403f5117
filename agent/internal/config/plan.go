// Package config reads a configuration file into a checked plan. It finds all problems of the file at once, and shows each in
// words for the file's author, at the line of the file.
package config

import (
	"slices"
	"time"

	"github.com/collectington/collectington/agent/internal/auth"
	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// Catalogue has the kinds that a configuration file can use.
type Catalogue struct {
	Fetchers []sources.Kind[sources.Fetcher]
	Sources  []sources.Kind[sources.Source]
	Sinks    []sinks.Kind
}

// Plan is a checked configuration.
type Plan struct {
	External    map[string]string // external labels
	Concurrency int               // how many ticks may be active at once
	StateFile   string            // keeps the state of jobs over a restart; "" means that it is lost
	Auth        []Auth            // by name
	Sinks       []Sink            // by name
	Jobs        []Job             // by name
}

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

// Job is one entry of jobs.
type Job struct {
	Name      string
	Schedule  *schedule.Schedule
	Jitter    time.Duration
	Timeout   time.Duration
	Overlap   schedule.Overlap
	ValidFor  time.Duration     // 0 = two intervals
	Windows   *schedule.Windows // nil = a tick reads from the last one that succeeded on
	MaxSeries int
	Sinks     []string                        // the sinks that get its metrics; nil = all
	Fetcher   sources.Config[sources.Fetcher] // nil where the job has none
	Source    sources.Config[sources.Source]
	MetricsAt string // where the source's metrics are declared, below the job: metrics, script.metrics
	Key       string // equal for two jobs that are configured alike, the login that they name included
	Fetches   string // equal for two jobs that fetch the same thing
}

// Dated reports whether what the job measures depends on the tick's window.
func (j *Job) Dated() bool { return isDated(j.Source) || j.Fetcher != nil && isDated(j.Fetcher) }

func isDated(config any) bool {
	d, ok := config.(sources.Dated)
	return !ok || d.Dated()
}

// GoesTo reports whether the sink gets the job's metrics.
func (j *Job) GoesTo(sink string) bool { return j.Sinks == nil || slices.Contains(j.Sinks, sink) }
