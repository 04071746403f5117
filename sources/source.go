// Package sources says what a source is. Each folder below is one kind.
//
// A job has a source, which turns one tick into readings, and may have a fetcher, which gets the documents that the source
// computes from:
//
//	jobs:
//	  oncall:
//	    http: {url: …}          # a fetcher: where data comes from
//	    metrics: {…}            # a source: how readings are computed from it
//
// To write a kind, make a folder with a Config struct (its yaml tags are the settings), an example.yaml that names every
// setting at its default, and a Kind; then add one line to the catalogue, and have package sourcetest test it. The agent
// does the rest: retries, time-outs, panics, logging and the metrics about the job are its business and no source's.
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

// Fetcher gets documents.
type Fetcher interface {
	// Fetch gets one document. It is valid until the next call.
	Fetch(ctx context.Context, tick Tick) (*Document, error)
}

// Tick is one run of a job.
type Tick struct {
	Time  time.Time // when it began; its samples carry this time
	Start time.Time // its window is [Start, End): from the last tick that succeeded …
	End   time.Time // … to this one, or where the job sets window a closed one, with its overlap

	Zone *time.Location // of dates, where windows are whole days; nil = UTC

	Interval time.Duration // how long after it the next one is due
}

// Config is a kind's settings, and the only way to make what they describe.
type Config[T any] interface {
	// Validate is pure: it reads no file and asks no network. It reports every problem, joined, each made by
	// setting.Bad and so naming its setting.
	Validate() error
	// New makes the thing. It may read secrets; it opens nothing that needs closing. If it cannot read a file, its error wraps
	// the *fs.PathError: then the job's runs fail, each of which calls New again, and all other jobs work.
	New(env Env) (T, error)
}

// Declarer is a source's Config that knows beforehand which metrics it will measure. The check uses it to find metrics
// of two jobs that would collide.
type Declarer interface {
	Declares() []*metric.Desc
}

// Identifier is a fetcher's Config that can tell what it fetches apart from how: a job whose header or time-out changes
// still measures the same thing, and keeps its totals over a reload.
type Identifier interface {
	Identity() string
}

// Checker is a source's Config whose settings name files. The check reads them, which Validate may not.
type Checker interface {
	Check(env Env) error // env has neither Web nor Fetch
}

// Explainer is a source's Config of jq expressions, which can tell how each of them runs.
type Explainer interface {
	Explain() []Expression
}

// Expression is one jq expression of a configuration.
type Expression struct {
	Setting string // where it stands, below the source
	Text    string
	Needs   string // the part of it for which the document is converted and jq is run; "" = it runs straight on the document
}

// Dated is a Config that can tell whether what it makes can speak of the past: it asks for a tick's window, or its readings
// have times of their own. Where neither a job's fetcher nor its source does, each window of a backfill would get today's
// numbers. A Config that does not tell may well do so.
type Dated interface{ Dated() bool }

// Versioned is a source that is made of more than its settings, such as a file. A reload replaces it when its version
// differs, even where the settings are the same.
type Versioned interface{ Version() string }

// Kind is one entry of the catalogue.
type Kind[T any] struct {
	Name     string           // the key in the configuration file
	Defaults func() Config[T] // fresh settings at each call, defaults filled in
	Example  string           // the folder's example.yaml
}

// Env is what the agent lends a source or fetcher.
type Env struct {
	Job   string
	Log   *slog.Logger
	Web   *httpclient.Host // makes HTTP clients and resolves secrets
	Fetch Fetcher          // for a source: the job's fetcher, nil where it has none
	Dir   string           // the folder of the configuration file, from which relative paths are taken

	// Show is told of what people who try a job want to see: a section's name and a line for it. Nil = nobody looks.
	Show func(section, line string)
}
