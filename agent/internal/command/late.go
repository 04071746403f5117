package command

import (
	"context"
	"errors"
	"io/fs"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/targets"
)

// unready is called if a job or a sink cannot work before a file that its settings name can be read and used. The place is
// that in the configuration, such as jobs.api.
type unready func(place string, err error)

// of returns the function for one place, nil if u is nil.
func (u unready) of(place string) func(error) {
	if u == nil {
		return nil
	}
	return func(err error) { u(place, err) }
}

// logUnready logs why a job or a sink cannot work yet. Its runs or deliveries fail with the same error, but possibly much later.
func (a *App) logUnready(place string, err error) {
	a.log.Error("a file cannot be used, and all that needs it fails until it can", "setting", place, "error", err)
}

// source makes the source of a job, with its fetcher. If a file cannot be read, such as the job's script, the job's runs fail until
// it can. Without unready this is an error.
func (b *assembly) source(j config.Job, env sources.Env) (sources.Source, error) {
	build := func() (sources.Source, error) { return b.buildSource(j, env) }
	source, err := build()
	if _, unreadable := errors.AsType[*fs.PathError](err); !unreadable || b.unready == nil {
		return source, err
	}
	b.unready("jobs."+j.Name, err)
	return &lateSource{build: build}, nil
}

func (b *assembly) buildSource(j config.Job, env sources.Env) (sources.Source, error) {
	if j.FetcherConfig == nil {
		return j.SourceConfig.New(env)
	}
	over := func(fetch sources.Fetcher) (sources.Source, error) {
		if b.fetcher != nil {
			fetch = b.fetcher(fetch)
		}
		if b.history != nil {
			fetch = b.history.Fetcher(j.Name, fetch)
		}
		with := env
		with.Fetch = fetch
		return j.SourceConfig.New(with)
	}
	if t := j.Targeter(); t != nil {
		all, err := t.NewTargets(env)
		if err != nil {
			return nil, err
		}
		workers := targets.MaxWorkers
		if b.fetcher != nil {
			workers = 1 // what is shown of one target follows that of another
		}
		return targets.New(all, workers, env.Log, over)
	}
	fetch, err := j.FetcherConfig.New(env)
	if err != nil {
		return nil, err
	}
	return over(fetch)
}

// versioned returns the key of a job with the version of its source. While the source cannot be read it is the version of the
// last plan, so that a reload leaves the job as it is.
func (b *assembly) versioned(j *config.Job, source sources.Source) string {
	if _, late := source.(*lateSource); late {
		return j.Key + b.versions[j.Name+" "+j.Key]
	}
	if j.SourceKind.Version == nil {
		return j.Key
	}
	if t, ok := source.(*targets.Source); ok {
		source = t.First()
	}
	if b.versions == nil {
		b.versions = map[string]string{}
	}
	version := " " + j.SourceKind.Version(source)
	b.versions[j.Name+" "+j.Key] = version
	return j.Key + version
}

// lateSource is a source that could not be made because a file could not be read. Each tick tries again until it is made.
type lateSource struct {
	build func() (sources.Source, error)
	built sources.Source
}

// Collect implements sources.Source.
func (l *lateSource) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	if l.built == nil {
		built, err := l.build()
		if err != nil {
			return nil, err
		}
		l.built = built
	}
	return l.built.Collect(ctx, tick)
}
