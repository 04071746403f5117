package command

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/lease"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/runtimemetrics"
	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/internal/selfmetrics"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/internal/statuspage"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// assembly builds the jobs, sinks and logins that a plan describes. Functions that are nil are not called.
type assembly struct {
	*App
	observe  func(httpclient.Exchange)                 // is called with each HTTP exchange of a job
	fetcher  func(sources.Fetcher) sources.Fetcher     // wraps each job's fetcher
	stage    *stage                                    // wraps the fetchers of targets; nil = the function in the field fetcher wraps them
	show     func(section, line string)                // is called with what sources show of their work
	answer   http.RoundTripper                         // if not nil, responds to all requests in place of the network
	tap      func(http.RoundTripper) http.RoundTripper // wraps the transport of the jobs' requests, see httpclient.Host.Tap
	drain    time.Duration                             // how long a sink may continue to deliver at the end
	waits    bool                                      // wait for a state file that cannot be read
	once     bool                                      // the process ends after one run of each job
	instance *string                                   // the value of the label instance; nil = the name of the host
	spool    func(config.Sink) string                  // directory of the queue of a sink whose settings name none; nil = in memory
	history  *statuspage.History                       // records events for the status page; nil = none
	page     *statuspage.Page                          // not nil if history is not nil; is set before anything starts
	lease    *lease.Lease                              // nil = the jobs run without a lease
	unready  unready                                   // is called if a file of a job or sink cannot be read; nil = that is an error

	versions map[string]string // last known versions of sources, by the name and key of their jobs

	providers map[string]httpclient.Provider                 // the plan's logins, by name
	current   atomic.Pointer[map[string]httpclient.Provider] // copy of providers for the status page, which runs concurrently
	state     *state.File                                    // nil if the plan has no state file, and before it is opened
	agent     *run.Agent                                     // nil before start has made it
}

// start builds a plan, opens its state file and returns an agent for the plan. closeState releases the state file.
func (b *assembly) start(ctx context.Context, plan *config.Plan) (agent *run.Agent, built run.Plan, closeState func(), err error) {
	if built, err = b.build(plan); err != nil {
		return nil, built, nil, err
	}
	file, err := b.openState(ctx, plan, b.waits, b.once || plan.Shard.Count > 0 || b.lease != nil)
	if err != nil {
		return nil, built, nil, err
	}
	b.state = file
	closeState = func() {}
	if file != nil {
		closeState = func() { file.Close() }
		if b.lease == nil { // otherwise a term begins with it
			run.ForgetServers(file, state.Condition{})
		}
	}
	options := run.Options{Log: b.log, State: file, Clock: b.clock}
	others := selfmetrics.Others{Shard: plan.Shard}
	if b.lease != nil {
		others.Replica, options.Lease = b.lease.Host, b.lease.Status
	}
	self := selfmetrics.New(b.Version, others).Readings
	if plan.Runtime {
		own, process := self, runtimemetrics.New(others.Labels())
		self = func(s run.State) metric.Readings { return append(slices.Clone(own(s)), process.Readings()...) }
	}
	options.Self, options.Label = self, others.Labels()
	if b.history != nil {
		options.Observer = b.history
	}
	b.agent = run.New(options)
	return b.agent, built, closeState, nil
}

// build builds the jobs and sinks of a plan. It starts nothing.
func (b *assembly) build(plan *config.Plan) (run.Plan, error) {
	out := run.Plan{
		Concurrency: plan.Concurrency, Own: run.OwnMetrics{Interval: time.Duration(plan.Own.Interval), Sinks: plan.Own.Sinks},
		Shard: plan.Shard, AllJobs: len(plan.Jobs) + len(plan.Elsewhere),
	}
	for _, s := range plan.Sinks {
		if slices.ContainsFunc(plan.Elsewhere, func(j config.Elsewhere) bool { return j.Sinks != nil && !slices.Contains(j.Sinks, s.Name) }) {
			out.Own.Partial = append(out.Own.Partial, s.Name)
		}
	}
	providers := b.logins.of(plan, b.memory(plan))
	b.providers = providers
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
	b.current.Store(&providers)
	return out, nil
}

// buildJob builds the only job of a plan, without the plan's sinks.
func (b *assembly) buildJob(plan *config.Plan) (*run.Worker, error) {
	built, err := b.build(&config.Plan{Concurrency: 1, StateFile: plan.StateFile, Auth: plan.Auth, Jobs: plan.Jobs[:1]})
	if err != nil {
		return nil, err
	}
	return run.NewWorker(built.Jobs[0]), nil
}

func (b *assembly) job(j config.Job) (run.Job, error) {
	requests := &run.Requests{}
	env := sources.Env{Job: j.Name, Log: b.log.With("job", j.Name), Dir: b.vault.Dir, MaxSeries: j.MaxSeries, Show: b.show}
	env.Web = b.host(func(x httpclient.Exchange) {
		observe(requests, x)
		if b.observe != nil {
			b.observe(x)
		}
		if b.history != nil {
			b.history.JobRequested(j.Name, x)
		}
	})
	env.Web.Shared, env.Web.Unready = b.traffic, b.unready.of("jobs."+j.Name)
	env.Forward = func(ctx context.Context, stream metric.Stream) error { return b.agent.Forward(ctx, j.Name, stream) }
	source, err := b.source(j, env)
	if err != nil {
		return run.Job{}, err
	}
	j.Key = b.versioned(&j, source)
	delay := schedule.Jitter(time.Duration(j.Jitter), j.Name, hostName())
	return run.Job{Job: j, Delay: delay, Source: source, Requests: requests, Log: env.Log}, nil
}

func (b *assembly) sink(plan *config.Plan, s config.Sink) (run.Sink, error) {
	requests := &run.Requests{}
	env := sinks.Env{
		Name: s.Name, Log: b.log.With("sink", s.Name), Stats: &sinks.Stats{}, Out: b.Out, Clock: b.clock,
		External: external(plan), Instance: hostName(), Drain: b.drain, Once: b.once, Dir: b.vault.Dir,
		Memory: run.SinkMemory{Sink: s.Name, File: func() *state.File { return b.state }},
		Web: b.host(func(x httpclient.Exchange) {
			requests.Count(x.Host, x.Code)
			if b.history != nil {
				b.history.SinkRequested(s.Name, x)
			}
		}),
	}
	if b.history != nil {
		env.Status = func(reach func() sinks.Reach) http.Handler { return b.page.Handler(reach) }
	}
	if b.once {
		env.Pod = podOf()
	}
	env.Web.Unready = b.unready.of("sinks." + s.Name)
	if b.instance != nil {
		env.Instance = *b.instance
	}
	if b.spool != nil {
		env.Spool = b.spool(s)
	}
	sink, err := s.Config.New(env)
	if err != nil {
		return run.Sink{}, err
	}
	key := fmt.Sprint(s.Key, env.External, env.Instance)
	durable := s.Kind.SpoolDir != nil && s.Kind.SpoolDir(s.Config) != ""
	return run.Sink{
		Name: s.Name, Kind: s.Kind.Name, Key: key, Pull: s.Kind.Pull, Sink: sink, Durable: durable, Stats: env.Stats, Requests: requests, Log: env.Log,
	}, nil
}

func (b *assembly) host(observe func(httpclient.Exchange)) *httpclient.Host {
	return &httpclient.Host{
		Secrets: b.vault, UserAgent: "cton/" + b.Version, Providers: b.providers, Dial: b.Dial, Transport: b.answer, Tap: b.tap, Observe: observe,
	}
}

// observe counts a request and its cost: bytes received, responses from the cache, quota left.
func observe(requests *run.Requests, x httpclient.Exchange) {
	if !x.Unsent {
		requests.Count(x.Host, x.Code)
	}
	if x.Unsent && x.Err != nil {
		return // the request was not sent, so it has no cost
	}
	var c run.Cost
	switch {
	case x.Unsent:
		c.Cached = 1
	case !x.Revalidated:
		c.Received = x.Bytes
	}
	if x.Quota != nil {
		c.Left = &x.Quota.Left
	}
	requests.Add(x.Host, c)
}

// external returns the plan's external labels, sorted by name.
func external(plan *config.Plan) []metric.Label {
	labels := make([]metric.Label, 0, len(plan.External))
	for name, value := range plan.External {
		labels = append(labels, metric.Label{Name: name, Value: value})
	}
	slices.SortFunc(labels, func(a, b metric.Label) int { return cmp.Compare(a.Name, b.Name) })
	return labels
}

// hostName returns the name of this host. It is the value of the label instance, unless the external labels contain that
// label.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// namespaceFile contains the namespace of this pod. It does not exist if the pod has no token of a service account.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// podOf returns the Kubernetes pod in which this process runs, nil if it does not run in a pod.
func podOf() *sinks.Pod {
	if os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		return nil
	}
	namespace, _ := os.ReadFile(namespaceFile) // "" = unknown
	return &sinks.Pod{Namespace: strings.TrimSpace(string(namespace))}
}

// logins contains every login that the process has used, by name and settings. So a reload that does not change a login keeps
// the login's token. The same is true of a reload that restores an earlier configuration.
type logins map[string]httpclient.Provider

// memory returns a function. For a login, this function returns the place where the login stores its token: the state file. A command that
// has not opened the state file only reads tokens from it.
func (b *assembly) memory(plan *config.Plan) func(login, settings string) *run.LoginMemory {
	var saved func() map[string]state.Section
	if path := b.stateFile(plan); path != "" && b.answer == nil {
		saved = func() map[string]state.Section {
			sections, _, err := state.Read(path)
			if err != nil {
				b.log.Warn("the tokens of logins in the state file cannot be used", "error", err)
			}
			return sections
		}
	}
	return func(login, settings string) *run.LoginMemory {
		return &run.LoginMemory{Login: login, Settings: settings, File: func() *state.File { return b.state }, Saved: saved}
	}
}

// of is called with a plan, and returns the logins of the plan, keyed by name. Each login keeps its tokens in the LoginMemory that the
// argument "memory", a function, returns for this login.
func (l logins) of(plan *config.Plan, memory func(login, settings string) *run.LoginMemory) map[string]httpclient.Provider {
	providers := make(map[string]httpclient.Provider, len(plan.Auth))
	for _, a := range plan.Auth {
		key := a.Name + " " + a.Key
		if l[key] == nil {
			l[key] = a.Settings.Provider(func(what string) httpclient.TokenMemory {
				return memory(a.Name+"/"+what, a.Key)
			})
		}
		providers[a.Name] = l[key]
	}
	return providers
}

// logoutTimeout is the maximum time for all logouts at the end of the process.
const logoutTimeout = 5 * time.Second

// logout ends the sessions of the logins whose tokens are not kept for the next start. It logs errors.
func (a *App) logout(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutTimeout)
	defer cancel()
	for _, key := range slices.Sorted(maps.Keys(a.logins)) {
		p, ok := a.logins[key].(httpclient.LogoutProvider)
		if !ok {
			continue
		}
		if err := p.Logout(ctx); err != nil {
			name, _, _ := strings.Cut(key, " ")
			a.log.Warn("logout failed: the session stays open until it expires", "auth", name, "error", err)
		}
	}
}
