package sources

import (
	"context"
	"log/slog"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
)

// Source computes a job's readings.
type Source interface {
	// Collect runs once per tick, never twice at once for a job. It returns a whole tick's readings, or an error, and
	// after an error it behaves as if the tick had never been tried. It returns soon after ctx has ended. The readings
	// are valid until the next call.
	//
	// What goes wrong for one metric is reported in that metric's readings and costs the others nothing.
	Collect(ctx context.Context, tick Tick) (metric.Readings, error)
}

// Runner is an optional interface of a Source that works between ticks, such as a server that others push to.
type Runner interface {
	// Run works while the job runs, at the same time as Collect. It returns after ctx ends. After an error before that, it is
	// called again later. When a job ends, Collect is called once more after Run has returned, so that what came since the last
	// tick is delivered. A single run of a job, such as that of cton once, does not call Run.
	Run(ctx context.Context) error
}

// Fetcher fetches documents.
type Fetcher interface {
	// Fetch fetches the document of a request; the zero Request is the one of the settings. A fetcher that accepts no other
	// returns [ErrFixedRequest] for it. Fetch returns soon after ctx ends, and after an error it behaves as if it had not been
	// called. The document is valid until the next call.
	//
	// The credentials and headers of the settings go only to the origin (RFC 6454) of the settings' address.
	Fetch(ctx context.Context, tick Tick, r Request) (*Document, error)
}

// Tick is one run of a job.
type Tick struct {
	Time  time.Time // when it began; its samples carry this time
	Start time.Time // its window is [Start, End): from the last tick that succeeded …
	End   time.Time // … to this one, or where the job sets window a closed one, with its overlap

	Zone *time.Location // of dates, where windows are whole days; nil = UTC

	Interval time.Duration // how long after it the next one is due

	Timeout  time.Duration // of the job
	Deadline time.Time     // when it ends; zero = there is none. The context of an Overrunner ends later
}

// Kind is an entry of the catalogue. T is Fetcher or Source. Functions that are nil are not called. They get the settings that
// Defaults has returned, after the configuration file was read into them.
type Kind[T any] struct {
	Name     string           // the key in the configuration file
	Defaults func() Config[T] // returns new settings with the defaults set
	Example  string           // the example.yaml of the folder
	Schedule string           // of a job that sets none; "" = the job must set one

	// Check reads the files that the settings name, for cton check: Validate must not. Env has neither Web nor Fetch.
	Check func(c Config[T], env Env) error
	// Notes returns what somebody who checks the settings ought to know although it is right, for cton check. Env is that of Check,
	// which was called before.
	Notes func(c Config[T], env Env) ([]string, error)
	// Expressions returns the jq expressions of the settings and how each of them runs.
	Expressions func(c Config[T]) []Expression
	// Forwards reports whether the source gives streams to Env.Forward. The job then needs sinks that take them.
	Forwards func(c Config[T]) bool
	// Version returns the version of what the thing is made of besides its settings, such as a script. A reload replaces the
	// thing if its version differs.
	Version func(made T) string
}

// KindName returns the name of the kind. With it, a Kind can be given to agent.Main.
func (k Kind[T]) KindName() string { return k.Name }

// Config holds the settings of a kind, and makes what they describe.
type Config[T any] interface {
	// Validate reads no files and sends no requests. It returns every problem, joined with errors.Join, each made by
	// setting.Bad, which names the setting.
	Validate() error
	// New makes the fetcher or source. It may read secrets. It opens nothing that needs closing. If it cannot read a file, its
	// error wraps the *fs.PathError: then the job's runs fail, each of which calls New again, and all other jobs work.
	New(env Env) (T, error)
}

// Declarer is an optional interface of a source's Config: the metrics are known before the first tick. The check of a
// configuration then finds metrics of two jobs that collide.
type Declarer interface {
	Declares() []*metric.Desc
}

// Labeler is an optional interface of a source's Config: the job can have labels. AddLabels adds them to every metric that has no label
// of the same name. It is called after Validate and before New.
type Labeler interface {
	AddLabels(labels map[string]string)
}

// Targeter is an optional interface of a fetcher's Config: a job can fetch from several targets, and computes the same metrics for
// each.
type Targeter interface {
	// HasTargets reports whether the settings name targets. Then NewTargets is called instead of New.
	HasTargets() bool
	NewTargets(env Env) (Targets, error)
	Labeler // of the targets, unless they have labels of these names
}

// Targets are the targets of a job.
type Targets interface {
	// Discover returns the targets as of now, whose labels differ, and why some are left out. It returns the same slice while they
	// stay the same.
	Discover() (targets []*Target, problems []error)
	// NewFetcher returns a fetcher. Several of them work at the same time, each for one target at a time.
	NewFetcher() TargetFetcher
}

// TargetFetcher is a Fetcher that fetches from the target that was given to Use last.
type TargetFetcher interface {
	Fetcher
	Use(t *Target)
}

// Target is one of the places that a job fetches from.
type Target struct {
	Name   string        // for messages: its URL
	Labels metric.Labels // of all its series, job and instance among them; sorted by name
	Of     any           // what its Targets know of it
}

// Identifier is an optional interface of a fetcher's Config: it returns what is fetched, without how. A job whose header or
// timeout changes still measures the same thing, and keeps its totals over a reload.
type Identifier interface {
	Identity() string
}

// Dated is an optional interface of a Config. It reports whether what is fetched or computed depends on the tick's window, or has
// times of its own. A job for which it is false can be neither backfilled nor given windows: each window would get today's
// numbers. Without the interface it is true.
type Dated interface{ Dated() bool }

// Overrunner is an optional interface of a Config. It returns how long after Tick.Deadline the fetcher or source may still be at
// work, to end in order what it has started, such as a command, and to return what came of it. The context ends that much later.
type Overrunner interface{ Overtime() time.Duration }

// Claimer is an optional interface of a source's Config. Claims returns what only one job or sink can use, in words: an address to
// listen on, a directory.
type Claimer interface{ Claims() []string }

// Expression is a jq expression of a configuration.
type Expression struct {
	Setting string // its path below the source's settings
	Text    string
	Needs   string // the part that needs jq and a converted document; "" = it runs directly on the document
}

// Env is what the agent provides to a source or fetcher.
type Env struct {
	Job   string
	Log   *slog.Logger
	Web   *httpclient.Host // makes HTTP clients and resolves secrets
	Fetch Fetcher          // for a source: the job's fetcher, or nil
	Dir   string           // the folder of the configuration, to which paths are relative; see package setting

	MaxSeries int // of the job: a tick with more fails

	// Forward passes a stream to all sinks of the job. nil means that all of them have taken it: see sinks.Forwarder. Only the Run
	// of a source can call it.
	Forward func(ctx context.Context, stream metric.Stream) error

	// Show gets what cton try shows: the name of a section and a line. nil = nothing is shown.
	Show func(section, line string)
}
