// Package run is the agent at work: it ticks the jobs, delivers their batches, shuts down and reloads.
//
//	        one goroutine a job                          one or two goroutines a sink
//	┌──────────────────────────────────┐           ┌─────────────────────────────────┐
//	│ wait ▶ collect ▶ ledger ▶ batch  │──(queue)─▶│ Write, again after an error     │
//	└──────────────────────────────────┘     │     │ Run: serve, drain               │
//	┌──────────────────────────────────┐     │     └─────────────────────────────────┘
//	│ the agent's own metrics          │─────┘
//	└──────────────────────────────────┘
//
// Jobs stop first and sinks last, so that everything measured is delivered; each has a bounded time for it.
package run

import (
	"log/slog"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// Self is the name of the job that the agent's own metrics come from.
const Self = "cton"

// Plan is what is to run. It is complete: everything in it is built, nothing of it has begun.
type Plan struct {
	Concurrency int // how many ticks may be under way at once
	Jobs        []Job
	Sinks       []Sink
}

// Job is one job and its source.
type Job struct {
	Name      string
	Key       string // a reload keeps a job whose name and key are the same, with its state
	Fetches   string // a job that has changed goes on from the state of one that fetches the same
	Schedule  *schedule.Schedule
	Jitter    time.Duration // added to every due time
	Timeout   time.Duration
	Overlap   schedule.Overlap
	ValidFor  time.Duration     // 0 = two intervals
	Windows   *schedule.Windows // nil = a tick reads from the last one that succeeded on
	MaxSeries int
	Sinks     []string // the sinks that get its batches; nil = all
	Source    sources.Source
	Requests  *Requests
	Log       *slog.Logger

	left chan struct{} // closed when a source that was left behind has ended; nil where none was
}

func (j *Job) goesTo(sink string) bool { return j.Sinks == nil || slices.Contains(j.Sinks, sink) }

// Sink is one sink.
type Sink struct {
	Name     string
	Key      string // a reload keeps a sink whose name and key are the same, with its queue
	Sink     sinks.Sink
	Stats    *sinks.Stats
	Requests *Requests
	Log      *slog.Logger
}
