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
	// Write takes a batch. It returns nil if the batch was delivered, or if the sink will deliver it. The agent calls Write with one batch at
	// a time, and calls it again after an error: see [Permanent] and [After]. A batch replaces the previous batch of its job: a series that is
	// not in the new batch has ended. A batch without families ends all series of its job. Write does not change the batch, and does not use
	// it after Write has returned.
	Write(ctx context.Context, batch metric.Batch) error
}

// Runner is an optional interface of a Sink that works between writes: a server, or a queue.
type Runner interface {
	// Run returns after ctx ends. It first delivers what the sink has queued, within Env.Drain. If Run returns an error before ctx ends,
	// the sink cannot work.
	Run(ctx context.Context) error
}

// Checker is an optional interface of a Sink. Check finds out whether the sink can work, and returns an error if it cannot. It sends no
// metrics.
type Checker interface {
	Check(ctx context.Context) error
}

// Readier is an optional interface of a Sink that clients connect to, such as a server. Ready returns nil if they can connect, and
// otherwise the reason why not.
type Readier interface {
	Ready() error
}

// Describer is an optional interface of a Sink. Describe returns what the status page shows about the sink, such as the protocol that the
// receiver accepts. Describe does not wait for the network.
type Describer interface {
	Describe() []Fact
}

// Fact is a line of the status page.
type Fact struct{ Name, Text string }

// Repeater is an optional interface of a Sink whose receiver accepts samples of the past. A sink that is not a Repeater loses the samples
// that it had not delivered when the agent was killed.
type Repeater interface {
	// Repeat takes the newest batch that a job had before a restart, with the time of that batch. The agent calls Repeat before the first
	// Write. The receiver may already have the samples: if it refuses them, that is neither an error nor a loss. The series of the batch,
	// including those in Known, were delivered before the restart: the next batch of the job ends those series that are not in the next batch.
	Repeat(ctx context.Context, batch metric.Batch) error
}

// Successor is an optional interface of a Sink with a queue, or of one that remembers what it has delivered. Succeed is called when a reload replaces the sink old by this one, which has the
// same name and kind. Run of old ends soon after, and then Run of this sink starts. What old has queued and cannot deliver at once goes to
// this sink, in its order and before anything else.
type Successor interface {
	Succeed(old Sink)
}

// Forwarder is an optional interface of a Sink that passes on samples that another program has made.
type Forwarder interface {
	// Forward takes a stream. It returns nil if the stream was delivered, or if the sink will deliver it. If the sink has a directory for
	// its queue, it delivers the stream even if the process is killed. After an error, the sink may have taken a part of the stream.
	// Forward is safe for concurrent use with Write.
	Forward(ctx context.Context, stream metric.Stream) error
}

// Kind is an entry of the catalogue. A function that is nil is not called. The other functions get the settings that Defaults has returned,
// after the configuration file was read into them.
type Kind struct {
	Name     string        // the key in the configuration file
	Defaults func() Config // returns new settings with the defaults set
	Example  string        // the text of example.yaml in the kind's folder
	Pull     bool          // the sink waits for requests; a single run leaves it out
	Forwards bool          // the sink is a Forwarder

	// Merges reports whether the sink can mistake series of two jobs for the same series, because the name of the job is not among their
	// labels. If so, the check of the configuration compares the metrics of jobs.
	Merges func(c Config) bool
	// Notes returns remarks for the user about valid settings.
	Notes func(c Config) []string
	// SpoolDir returns the directory of the sink's queue, relative to the configuration's folder. "" = the queue is in memory.
	SpoolDir func(c Config) string
	// ForBackfill returns the settings for a backfill while the agent runs. With these settings, the queue is in memory, since the agent has
	// locked the spool, and the sink ends no series. ForBackfill is nil for a kind whose receiver does not accept samples of the past.
	ForBackfill func(c Config) Config
}

// KindName returns the name of the kind. With it, a Kind can be given to agent.Main.
func (k Kind) KindName() string { return k.Name }

// Config holds the settings of a kind, and makes the sink that they describe.
type Config interface {
	// Validate returns every problem of the settings, joined with errors.Join. Each problem is made by setting.Errorf, which names the
	// setting. Validate reads no files and sends no requests.
	Validate() error
	// New makes the sink. It may read secrets. It opens nothing that must be closed.
	New(env Env) (Sink, error)
}

// Claimer is an optional interface of a Config. Claims returns what only one sink at a time can use, such as an address to listen on, or a
// group of a Pushgateway.
type Claimer interface {
	Claims() []string
}

// Server is an optional interface of a Config whose sink serves HTTP. Serves returns the address that the sink listens on, and its web
// config file; "" = none.
type Server interface {
	Serves() (listen, webConfigFile string)
}

// Env is what the agent provides to a sink.
type Env struct {
	Name     string
	Log      *slog.Logger
	Web      *httpclient.Host // makes HTTP clients and resolves secrets
	Clock    *clock.Clock     // nil = the clock of this machine
	Stats    *Stats           // counts what the sink sends and drops
	External []metric.Label   // external labels, sorted by name; a pushing sink adds them to each series, see [Attach]
	Instance string           // the host name, which is the value of the instance label if the external labels have none
	Pod      *Pod             // nil except for a single run in a pod of Kubernetes, where each run has another Instance
	Drain    time.Duration    // how long Run may continue after its context ends
	Once     bool             // no other process starts soon, so Run uses all of Drain to send even what is safe on disk
	Spool    string           // the directory of the sink's queue if its settings name none; "" = in memory
	Dir      string           // the folder of the configuration, to which paths are relative; see package setting
	Out      io.Writer        // the output of a sink that prints its batches
	Memory   Memory           // what the sink has stored before a restart; nil = the sink stores nothing

	// Status returns the handler of the agent's status page, for a sink that serves HTTP. What the page shows depends on who can reach the
	// server at the time of the request. nil = there is no page.
	Status func(reach func() Reach) http.Handler
}

// Pod is a pod of Kubernetes. Each run in a pod has a new instance name. A sink whose receiver keeps the data of an instance for ever
// therefore uses the label "namespace", whose value is the field Namespace, in place of the instance label.
type Pod struct {
	Namespace string // "" = unknown
}

// Memory keeps a few bytes of a sink over restarts. The sink can use it from its first Write or Run on, not in New.
type Memory interface {
	Load() []byte      // returns the data of the newest call of Store, or nil
	Store(data []byte) // writes data to disk within seconds; meant for facts that the sink would otherwise request from its receiver
}

// Permanent marks an error after which the agent does not try the batch again.
func Permanent(err error) error { return &permanent{err} }

// IsPermanent reports whether err was marked by [Permanent].
func IsPermanent(err error) bool {
	_, ok := errors.AsType[*permanent](err)
	return ok
}

type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

// Saved marks an error after which the batch is on disk: the sink delivers it later, possibly in another process.
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
