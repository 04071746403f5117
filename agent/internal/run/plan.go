// Package run is the running agent. It runs the jobs, delivers their batches to the sinks, reloads and shuts down.
//
//	            one goroutine per job                          one or two goroutines per sink
//	┌───────────────────────────────────────────┐           ┌─────────────────────────────────┐
//	│ wait ─▶ collect ─▶ apply ─▶ commit ─▶ deliver ─(queue)─▶│ Write, again after an error     │
//	└───────────────────────────────────────────┘     │     │ Run: serve, drain               │
//	┌───────────────────────────────────────────┐     │     └─────────────────────────────────┘
//	│ the agent's own metrics                   │─────┘
//	└───────────────────────────────────────────┘
//
// One run of a job is called a tick. All commands run a job by [Worker.Tick], including commands that run no agent.
//
// On shutdown, the jobs stop first and the sinks last, so that everything measured is delivered. Both have a time limit.
package run

import (
	"context"
	"log/slog"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/shard"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// Self is the job name of the agent's own metrics.
const Self = "cton"

// Plan is what an agent runs. All jobs and sinks in it are built, but not started.
type Plan struct {
	Concurrency int // how many ticks may run at the same time
	Jobs        []Job
	Sinks       []Sink
	Own         OwnMetrics
	Shard       shard.Shard // the shard whose jobs the plan has; the zero value = all jobs
	AllJobs     int         // number of jobs of the configuration, including those of other shards
	Held        Held        // nil = the jobs may run until they are stopped
	Again       bool        // the plan is of the same configuration as before; the only change is whether the jobs run here
}

// Held says how long the jobs of a plan may run. When this time is over, another process may run them. *lease.Term implements it.
type Held interface {
	Context() context.Context // ends when the jobs must stop at once
	Valid() bool              // reports whether a run may begin
}

// Job is a job of the configuration and its source. A reload keeps a job and its state if its Name and Key are unchanged. If
// its Key has changed but its Fetches has not, the new job continues from the state of the old one.
type Job struct {
	config.Job
	Delay    time.Duration // this host's delay within Jitter, added to every due time
	Source   sources.Source
	Requests *Requests
	Log      *slog.Logger
}

// Sink is a sink of the configuration. A reload keeps a sink and its queue if its Name and Key are unchanged.
type Sink struct {
	Name     string
	Kind     string
	Key      string
	Pull     bool // the sink waits to be scraped
	Sink     sinks.Sink
	Durable  bool // a batch is on disk when Write returns
	Stats    *sinks.Stats
	Requests *Requests
	Log      *slog.Logger
}
