// Package sinks says what a sink is. Each folder below is one kind.
//
// A sink delivers batches. To write a kind, make a folder with a Config struct (its yaml tags are the settings), an
// example.yaml that names every setting at its default, and a Kind; then add one line to the catalogue.
package sinks

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
)

// Sink delivers one job's tick.
type Sink interface {
	// Write takes a batch; nil means that it was delivered, or that the sink answers for it from now on. The agent calls
	// it one batch at a time, and again after an error: see [Permanent] and [After]. A batch replaces the one before of
	// the same job: a series that is gone from it is gone. A batch without families ends all series of its job.
	Write(ctx context.Context, batch metric.Batch) error
}

// Runner is a sink with work between writes: a server to serve, a queue to drain.
type Runner interface {
	// Run blocks until ctx ends, then finishes what it holds within Env.Drain and returns. An error before ctx ends says
	// that the sink cannot work at all.
	Run(ctx context.Context) error
}

// Repeater is a sink whose receiver keeps the past, so that it loses samples if the agent is killed before they are delivered.
type Repeater interface {
	// Repeat takes the last batch of a job before a restart, with its own time, before the first Write. The receiver may have its
	// samples already: that it refuses them is no error and no loss. The series of the batch, those in Known included, have been
	// delivered before: those that the next batch of the job does not have are ended by it.
	Repeat(ctx context.Context, batch metric.Batch) error
}

// Checker is a sink that can tell, without sending metrics, whether it would work.
type Checker interface {
	Check(ctx context.Context) error
}

// Config is a kind's settings, and the only way to make its sink.
type Config interface {
	// Validate is pure: it reads no file and asks no network. It reports every problem, joined, each made by
	// setting.Bad and so naming its setting.
	Validate() error
	// New makes the sink. It may read secrets; it opens nothing that needs closing.
	New(env Env) (Sink, error)
}

// Claimer is a Config that names what only one sink can hold: an address to listen on, a group on a gateway.
type Claimer interface {
	Claims() []string
}

// Merger is a Config whose sink may show the series of all jobs side by side without the job's name, so that two jobs can
// collide.
type Merger interface {
	Merges() bool
}

// Spooler is a Config whose sink may queue on disk.
type Spooler interface {
	// SpoolDir is where, relative to the configuration's folder; "" = it queues in memory.
	SpoolDir() string
}

// Backfiller is a Config whose receiver keeps samples of the past.
type Backfiller interface {
	// ForBackfill is the settings for a run beside the agent's own: its sink waits in memory, since the agent holds the
	// spool, and ends no series that the agent goes on with.
	ForBackfill() Config
}

// Noter is a Config that has something to say to whoever checks it, though nothing is wrong.
type Noter interface {
	Notes() []string
}

// Kind is one entry of the catalogue.
type Kind struct {
	Name     string        // the key in the configuration file
	Defaults func() Config // fresh settings at each call, defaults filled in
	Example  string        // the folder's example.yaml
	Pull     bool          // it waits to be asked; a single run leaves it out
}

// Env is what the agent lends a sink.
type Env struct {
	Name     string
	Log      *slog.Logger
	Web      *httpclient.Host
	Stats    *Stats         // what the sink tells of its work
	External []metric.Label // external labels, sorted by name; a pushing sink adds those that a series lacks
	Instance string         // the value of the instance label where the external labels have none: the host's name
	Drain    time.Duration  // how long Run may go on after its context has ended
	Once     bool           // no process follows soon: Run also tries for as long as Drain what could be left on disk
	Out      io.Writer      // where a sink that shows its batches writes them
}

// Permanent marks an error that trying again cannot mend.
func Permanent(err error) error { return &permanent{err} }

// IsPermanent tells whether err was marked so.
func IsPermanent(err error) bool {
	_, ok := errors.AsType[*permanent](err)
	return ok
}

type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

// After marks an error that asks for a pause before the next try.
func After(err error, pause time.Duration) error { return &after{err, pause} }

// Pause is what the error asks for, 0 where it asks for nothing.
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
