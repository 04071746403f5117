package command

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// assembly makes what a plan describes.
type assembly struct {
	*App
	observe func(httpclient.Exchange)             // told of the jobs' exchanges too; nil = nobody
	fetcher func(sources.Fetcher) sources.Fetcher // put around each job's fetcher; nil = nothing
	show    func(section, line string)            // told what jobs show of themselves; nil = nobody
	answer  http.RoundTripper                     // answers every request; nil = the network does
	drain   time.Duration
	once    bool    // no later run follows soon
	unready unready // nil = a source whose files cannot be read is an error

	versions map[string]string // of sources, by the name and key of their jobs

	providers map[string]httpclient.Provider // the plan's logins
}

// build makes everything of a plan. Nothing of it has begun.
func (b *assembly) build(plan *config.Plan) (run.Plan, error) {
	out := run.Plan{Concurrency: plan.Concurrency}
	b.providers = b.logins.of(plan)
	for _, s := range plan.Sinks {
		sink, err := b.sink(plan, s)
		if err != nil {
			return out, fmt.Errorf("sinks.%s: %w", s.Name, err)
		}
		out.Sinks = append(out.Sinks, sink)
	}
	for _, j := range plan.Jobs {
		job, err := b.job(j)
		if err != nil {
			return out, fmt.Errorf("jobs.%s: %w", j.Name, err)
		}
		out.Jobs = append(out.Jobs, job)
	}
	return out, nil
}

func (b *assembly) job(j config.Job) (run.Job, error) {
	requests := &run.Requests{}
	env := sources.Env{Job: j.Name, Log: b.log.With("job", j.Name), Dir: b.vault.Dir, Show: b.show}
	env.Web = b.host(func(x httpclient.Exchange) {
		observe(requests, x)
		if b.observe != nil {
			b.observe(x)
		}
	})
	env.Web.Shared, env.Web.Unready = b.traffic, b.unready.of("jobs."+j.Name)
	if j.Fetcher != nil {
		fetch, err := j.Fetcher.New(env)
		if err != nil {
			return run.Job{}, err
		}
		if b.fetcher != nil {
			fetch = b.fetcher(fetch)
		}
		env.Fetch = fetch
	}
	source, err := b.source(j, env)
	if err != nil {
		return run.Job{}, err
	}
	return run.Job{
		Name: j.Name, Key: b.versioned(j.Name, j.Key, source), Fetches: j.Fetches, Schedule: j.Schedule, Jitter: schedule.Jitter(j.Jitter, j.Name, hostName()), Timeout: j.Timeout, Overlap: j.Overlap,
		ValidFor: j.ValidFor, Windows: j.Windows, MaxSeries: j.MaxSeries, Sinks: j.Sinks, Source: source, Requests: requests, Log: env.Log,
	}, nil
}

func (b *assembly) sink(plan *config.Plan, s config.Sink) (run.Sink, error) {
	requests := &run.Requests{}
	env := sinks.Env{
		Name: s.Name, Log: b.log.With("sink", s.Name), Stats: &sinks.Stats{}, Out: b.Out,
		External: external(plan), Instance: hostName(), Drain: b.drain, Once: b.once,
		Web: b.host(func(x httpclient.Exchange) { requests.Count(x.Host, x.Code) }),
	}
	env.Web.Unready = b.unready.of("sinks." + s.Name)
	sink, err := s.Config.New(env)
	if err != nil {
		return run.Sink{}, err
	}
	key := fmt.Sprint(s.Key, env.External, env.Instance)
	return run.Sink{Name: s.Name, Key: key, Sink: sink, Stats: env.Stats, Requests: requests, Log: env.Log}, nil
}

func (b *assembly) host(observe func(httpclient.Exchange)) *httpclient.Host {
	return &httpclient.Host{
		Secrets: b.vault, UserAgent: "cton/" + b.Version, Providers: b.providers, Dial: b.Dial, Transport: b.answer, Observe: observe,
	}
}

// observe counts what an exchange has cost.
func observe(requests *run.Requests, x httpclient.Exchange) {
	if !x.Unsent {
		requests.Count(x.Host, x.Code)
	}
	if x.Unsent && x.Err != nil {
		return // it cost nothing
	}
	var c run.Cost
	switch {
	case x.Unsent:
		c.Reused = 1
	case !x.Revalidated:
		c.Received = x.Bytes
	}
	if x.Quota != nil {
		c.Left = &x.Quota.Left
	}
	requests.Add(x.Host, c)
}

// external is the plan's external labels, sorted by name.
func external(plan *config.Plan) []metric.Label {
	labels := make([]metric.Label, 0, len(plan.External))
	for name, value := range plan.External {
		labels = append(labels, metric.Label{Name: name, Value: value})
	}
	slices.SortFunc(labels, func(a, b metric.Label) int { return cmp.Compare(a.Name, b.Name) })
	return labels
}

// hostName is what the instance label says where nothing else does.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}
