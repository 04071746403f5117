package sinks

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
)

// Sink delivers batches.
type Sink interface {
	// Write takes a batch. nil means that it was delivered, or that the sink will deliver it. The agent calls it with one batch
	// at a time, and again after an error: see [Permanent] and [After]. A batch replaces the previous one of its job: a series
	// that is not in it has ended. A batch without families ends all series of its job. Write does not change the batch, and
	// does not keep it after it returns.
	Write(ctx context.Context, batch metric.Batch) error
}

// Runner is an optional interface of a Sink that works between writes: a server, or a queue.
type Runner interface {
	// Run returns after ctx ends. It first finishes what the sink holds, within Env.Drain. An error before the end of ctx means
	// that the sink cannot work.
	Run(ctx context.Context) error
}

// Checker is an optional interface of a Sink. Check reports whether the sink would work. It sends no metrics.
type Checker interface {
	Check(ctx context.Context) error
}

// Readier is an optional interface of a Sink that others reach, such as a server. Ready returns nil once they can, else why not.
type Readier interface {
	Ready() error
}

// Describer is an optional interface of a Sink. Describe returns what the status page shows of it, such as the protocol that the
// receiver has chosen. It does not wait for the network.
type Describer interface {
	Describe() []Fact
}

// Fact is a line of the status page.
type Fact struct{ Name, Text string }

// Repeater is an optional interface of a Sink whose receiver keeps the past. Without it, a sink loses the samples that it had not
// delivered when the agent was killed.
type Repeater interface {
	// Repeat takes the last batch of a job before a restart, with its own time, before the first Write. The receiver may have its
	// samples already: that it refuses them is neither an error nor a loss. The series of the batch, including those in Known,
	// were delivered before: the next batch of the job ends those that it does not have.
	Repeat(ctx context.Context, batch metric.Batch) error
}

// Forwarder is an optional interface of a Sink that passes on samples that others have made.
type Forwarder interface {
	// Forward takes a stream. nil means that it was delivered, or that the sink will deliver it, also after the process was killed if
	// the sink has a directory for that. After an error, the sink may have taken a part of it. It is safe for concurrent use with Write.
	Forward(ctx context.Context, stream metric.Stream) error
}

// Kind is an entry of the catalogue. Functions that are nil are not called. They get the settings that Defaults has returned,
// after the configuration file was read into them.
type Kind struct {
	Name     string        // the key in the configuration file
	Defaults func() Config // returns new settings with the defaults set
	Example  string        // the example.yaml of the folder
	Pull     bool          // the sink waits for requests; a single run leaves it out
	Forwards bool          // the sink is a Forwarder

	// Merges reports whether series of two jobs can be the same for the sink, because the name of the job is not among
	// their labels. The check then compares the metrics of jobs.
	Merges func(c Config) bool
	// Notes returns what to tell the user about valid settings.
	Notes func(c Config) []string
	// SpoolDir returns the directory of the sink's queue, relative to that of the configuration. "" = the queue is in memory.
	SpoolDir func(c Config) string
	// ForBackfill returns the settings for a backfill while the agent runs: the queue is in memory, since the agent has locked
	// the spool, and no series ends. Only a kind whose receiver accepts samples of the past has it.
	ForBackfill func(c Config) Config
}

// KindName returns the name of the kind. With it, a Kind can be given to agent.Main.
func (k Kind) KindName() string { return k.Name }

// Config holds the settings of a kind, and makes the sink that they describe.
type Config interface {
	// Validate reads no files and sends no requests. It returns every problem, joined with errors.Join, each made by
	// setting.Bad, which names the setting.
	Validate() error
	// New makes the sink. It may read secrets. It opens nothing that needs closing.
	New(env Env) (Sink, error)
}

// Claimer is an optional interface of a Config. Claims returns what only one sink can use: an address to listen on, a group of a
// gateway.
type Claimer interface {
	Claims() []string
}

// Server is an optional interface of a Config whose sink serves HTTP. Serves returns the address that it listens on, and its web
// config file, "" if it has none.
type Server interface {
	Serves() (listen, webConfigFile string)
}

// Env is what the agent provides to a sink.
type Env struct {
	Name     string
	Log      *slog.Logger
	Web      *httpclient.Host // makes HTTP clients and resolves secrets
	Clock    *clock.Clock     // nil = this machine's
	Stats    *Stats           // counts what the sink sends and drops
	External []metric.Label   // external labels, sorted by name; a pushing sink adds those that a series lacks
	Instance string           // the value of the instance label if the external labels have none: the name of the host
	Pod      *Pod             // set for a single run in a pod of Kubernetes, after which its Instance is never seen again
	Drain    time.Duration    // how long Run may continue after its context ends
	Once     bool             // no process follows soon: Run also tries for as long as Drain what could be left on disk
	Spool    string           // where the sink's queue is if its settings name no directory; "" = in memory
	Dir      string           // the folder of the configuration, to which paths are relative; see package setting
	Out      io.Writer        // for a sink that shows its batches
	Memory   Memory           // what the sink knows from before a restart; nil = nothing is kept

	// Status returns the handler of the agent's status page, for a sink that serves HTTP. What it shows to a request depends on
	// who can reach the server then. nil = there is no page.
	Status func(reach func() Reach) http.Handler
}

// Pod is a pod of Kubernetes. A sink whose receiver keeps for ever what it has of an instance uses Namespace, as the label of that name,
// in place of Instance.
type Pod struct {
	Namespace string // "" = unknown
}

// Memory keeps a few bytes of a sink over restarts. It is usable from the first Write or Run on, not in New.
type Memory interface {
	Load() []byte      // what was stored last, or nil
	Store(data []byte) // soon on disk; for what costs a request to find out again
}

// Permanent marks an error after which the agent does not try again.
func Permanent(err error) error { return &permanent{err} }

// IsPermanent reports whether err was marked by [Permanent].
func IsPermanent(err error) bool {
	_, ok := errors.AsType[*permanent](err)
	return ok
}

type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

// Saved marks an error after which the batch is on disk: the sink delivers it later, also in another process.
func Saved(err error) error { return &saved{err} }

// IsSaved reports whether err was marked by [Saved].
func IsSaved(err error) bool {
	_, ok := errors.AsType[*saved](err)
	return ok
}

type saved struct{ error }

func (s *saved) Unwrap() error { return s.error }

// After marks an error after which the agent waits for a pause before it tries again.
func After(err error, pause time.Duration) error { return &after{err, pause} }

// Pause returns the pause of an error marked by [After], or 0.
func Pause(err error) time.Duration {
	if a, ok := errors.AsType[*after](err); ok {
		return a.pause
	}
	return 0
}

type after struct {
	error
	pause time.Duration
}

func (a *after) Unwrap() error { return a.error }
