package sources

import (
	"context"
	"log/slog"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
)

// Source computes the readings of a job.
type Source interface {
	// Collect is called once per tick. Calls for the same job do not overlap. It returns the readings of the whole tick or an
	// error. After an error, the source must behave as if the tick had not been tried. Collect returns soon after ctx has ended.
	// The readings are valid until the next call.
	//
	// If one metric fails, Collect reports that in the metric's entry (metric.Measured), so that the other metrics are not
	// affected.
	Collect(ctx context.Context, tick Tick) (metric.Readings, error)
}

// Runner is an optional interface of a Source that works between ticks, such as a server to which others push.
type Runner interface {
	// Run works while the job runs, concurrently with Collect. It returns after ctx ends. If it returns an error before that, it is
	// called again later. When a job ends, Collect is called once more after Run has returned, so that data from after the last
	// tick is delivered. A single run of a job, such as by cton once, does not call Run.
	Run(ctx context.Context) error
}

// Fetcher fetches documents.
type Fetcher interface {
	// Fetch fetches the document of a request. The zero Request is the request in the settings. A fetcher that accepts no other
	// requests returns [ErrFixedRequest] for them. Fetch returns soon after ctx ends. After an error, the fetcher behaves as if
	// Fetch had not been called. The document is valid until the next call.
	//
	// The credentials and headers of the settings are only sent to the origin (RFC 6454) of the address in the settings.
	Fetch(ctx context.Context, tick Tick, r Request) (*Document, error)
}

// Tick describes one run of a job.
type Tick struct {
	Time time.Time // when the tick began; its samples have this time

	// The tick reads [Start, End). If the job has the setting "window", this is a window that has ended, and Start is earlier by the duration
	// in the setting "overlap". Otherwise, [Start, End) is the time from the previous successful tick until this tick. If no tick was
	// successful before, this time is one interval.
	Start, End time.Time

	Zone *time.Location // time zone of dates, if windows are whole days; nil = UTC

	Interval time.Duration // time until the next tick

	Timeout  time.Duration // the timeout of the job
	Deadline time.Time     // when Timeout ends; zero = no deadline. The context of an Overrunner ends later
}

// Kind is an entry of the catalogue. T is Fetcher or Source. A function that is nil is not called. The other functions get the
// settings that Defaults has returned, after the configuration file was read into them.
type Kind[T any] struct {
	Name     string           // the key in the configuration file
	Defaults func() Config[T] // returns new settings with the defaults set
	Example  string           // the text of example.yaml in the kind's folder
	Schedule string           // schedule of a job that sets none; "" = cton run needs a job that sets one

	// Check reads the files that the settings name, for cton check. Validate must not read files. The fields Web and Fetch of env are nil.
	Check func(c Config[T], env Env) error
	// Notes returns facts about valid settings that a user should know. cton check shows them. Notes is called after Check, with the same
	// env.
	Notes func(c Config[T], env Env) ([]string, error)
	// Expressions returns the jq expressions of the settings and how each of them runs.
	Expressions func(c Config[T]) []Expression
	// Forwards reports whether the source calls Env.Forward. If so, the job needs sinks that accept streams.
	Forwards func(c Config[T]) bool
	// Some sources and fetchers are made from other data than their settings, such as a script. Version returns the version of these data. A
	// reload makes a new source or fetcher if the version has changed.
	Version func(made T) string
}

// KindName returns the name of the kind. With it, a Kind can be given to agent.Main.
func (k Kind[T]) KindName() string { return k.Name }

// Config holds the settings of a kind, and makes the fetcher or source.
type Config[T any] interface {
	// Validate returns every problem of the settings, joined with errors.Join. Each problem is made by setting.Errorf, which names the
	// setting. Validate reads no files and sends no requests.
	Validate() error
	// New makes the fetcher or source. It may read secrets. It opens nothing that must be closed. If New cannot read a file, the error of New
	// wraps the *fs.PathError. Then only the runs of this job fail, and each run calls New again; other jobs are not affected.
	New(env Env) (T, error)
}

// Declarer is an optional interface of a source's Config whose metrics are known before the first tick. With it, the check of a
// configuration finds metrics of two jobs that conflict.
type Declarer interface {
	Declares() []*metric.Desc
}

// Labeler is an optional interface of a source's Config. With it, the job can have labels. AddLabels adds them to every metric that
// has no label of the same name. It is called after Validate and before New.
type Labeler interface {
	AddLabels(labels map[string]string)
}

// Targeter is an optional interface of a fetcher's Config. With it, a job can fetch from several targets and compute the same metrics
// for each of them.
type Targeter interface {
	// HasTargets reports whether the settings name targets. If they do, NewTargets is called instead of New.
	HasTargets() bool
	NewTargets(env Env) (Targets, error)
	Labeler // adds labels to the targets; a label is not added to a target that has a label with the same name
}

// Targets are the targets of a job.
type Targets interface {
	// Discover returns the current targets, and the reasons why targets are left out. No two targets have the same labels. It returns the
	// same slice as long as the targets do not change.
	Discover(ctx context.Context, tick Tick) (targets []*Target, problems []error)
	// NewFetcher returns a fetcher. Several fetchers work at the same time, each of them for one target at a time.
	NewFetcher() TargetFetcher
}

// TargetFetcher is a Fetcher that fetches from the target of the newest call of Use.
type TargetFetcher interface {
	Fetcher
	Use(t *Target)
}

// Target is one of the places that a job fetches from.
type Target struct {
	Name   string        // URL of the target, for messages
	Labels metric.Labels // labels of all series of the target, including job and instance, sorted by name
	Of     any           // data of the implementation of Targets
}

// Identifier is an optional interface of a fetcher's Config: it returns what is fetched, but not how it is fetched. A job whose header or
// timeout changes still measures the same thing, and keeps its totals over a reload.
type Identifier interface {
	Identity() string
}

// Dated is an optional interface of a Config. Its method reports whether the data depends on the tick's window, or has its own times. If
// neither is the case, the job can have no windows and no backfill, since every window would get the current data. A Config without this
// interface is treated as if its data depended on the window.
type Dated interface{ Dated() bool }

// Mixer is an optional interface of a fetcher's Config. Mixes returns the setting that lets one document have parts of an earlier answer beside
// new ones; "" = the settings do not.
type Mixer interface{ Mixes() string }

// Overrunner is an optional interface of a Config. Overtime returns how long after Tick.Deadline the fetcher or source may continue, so
// that it can properly end something that it has started, such as a command, and return the result. The context ends that much later.
type Overrunner interface{ Overtime() time.Duration }

// Claimer is an optional interface of a source's Config. Claims returns texts for everything that only one job or sink can use,
// such as an address to listen on, or a directory.
type Claimer interface{ Claims() []string }

// Expression is a jq expression in a configuration.
type Expression struct {
	Setting string // path of the setting, relative to the source's settings
	Text    string
	Needs   string // the part that can only be evaluated by gojq on a converted document; "" = the expression is evaluated without gojq
}

// Env is what the agent provides to a source or fetcher.
type Env struct {
	Job   string
	Log   *slog.Logger
	Web   *httpclient.Host // makes HTTP clients and resolves secrets
	Fetch Fetcher          // the job's fetcher, or nil; only for a source
	Dir   string           // the folder of the configuration, to which paths are relative; see package setting

	MaxSeries int // limit of the job: a tick with more series fails

	// Forward passes a stream to all sinks of the job. It returns nil if all of them have taken the stream: see sinks.Forwarder.
	// Only the Run method of a source may call it.
	Forward func(ctx context.Context, stream metric.Stream) error

	// Show is called with what cton try shows: the name of a section and a line. nil = nothing is shown.
	Show func(section, line string)
}
