// Package run is the agent at work. It runs the jobs, delivers their batches to the sinks, reloads and shuts down.
//
//	            one goroutine per job                          one or two goroutines per sink
//	┌───────────────────────────────────────────┐           ┌─────────────────────────────────┐
//	│ wait ─▶ collect ─▶ apply ─▶ commit ─▶ deliver ─(queue)─▶│ Write, again after an error     │
//	└───────────────────────────────────────────┘     │     │ Run: serve, drain               │
//	┌───────────────────────────────────────────┐     │     └─────────────────────────────────┘
//	│ the agent's own metrics                   │─────┘
//	└───────────────────────────────────────────┘
//
// [Worker.Tick] is the one way to run a job. Every command uses it, also those that run no agent.
//
// On shutdown the jobs stop first and the sinks last, so that everything measured is delivered. Both have a time limit.
package run

import (
	"log/slog"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/shard"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// Self is the name of the job of the agent's own metrics.
const Self = "cton"

// Plan is what an agent runs. Everything in it is built, and nothing has started.
type Plan struct {
	Concurrency int // how many ticks may run at once
	Jobs        []Job
	Sinks       []Sink
	Own         OwnMetrics
	Shard       shard.Shard // which jobs of the configuration these are; the zero value = all
	AllJobs     int         // of the configuration, those of other shards included
}

// Job is a job of the configuration with its source. A reload keeps a job whose Name and Key are unchanged, with its
// state. A changed job whose Fetches is unchanged continues from the state of the old one.
type Job struct {
	config.Job
	Delay    time.Duration // this host's share of Jitter, added to every due time
	Source   sources.Source
	Requests *Requests
	Log      *slog.Logger
}

// Sink is a sink of the configuration. A reload keeps a sink whose Name and Key are unchanged, with its queue.
type Sink struct {
	Name     string
	Kind     string
	Key      string
	Pull     bool // waits to be scraped
	Sink     sinks.Sink
	Durable  bool // what Write has taken is on disk
	Stats    *sinks.Stats
	Requests *Requests
	Log      *slog.Logger
}
