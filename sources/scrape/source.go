package scrape

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/discovery"
	"github.com/collectington/collectington/sources/scrape/exposition"
	"github.com/collectington/collectington/sources/targets"
)

const (
	windowSize  = 64 << 10 // bytes
	maxIdleBody = 64 << 10 // a worker's buffer of at most this size is kept even if the last page needed less
)

// source scrapes the targets of a job.
type source struct {
	config *Config
	env    sources.Env
	client *httpclient.Client
	made   *endpoints
	lists  *discovery.Lists
	pool   *exposition.Pool

	listed   []endpoint // endpoints of the last discovery
	problems []error    // problems with listed
	reads    int        // value of lists.Reads when the field "listed" was made; 0 = it was never made

	targets []*target
	caches  []*exposition.Cache // the caches of targets
	buffers []buffers           // one for each worker
}

// buffers holds a worker's memory for a page.
type buffers struct {
	window []byte // for reading the page in parts
	body   []byte // the lines of the page that are not known
}

// Collect scrapes every target once. If a target fails, that is reported as a problem of the metric named up, and does not affect
// the other targets.
func (s *source) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	s.pool.Begin(tick.Time.UnixMilli())
	discovery := s.discover(ctx, tick)
	s.scrapeAll(ctx, tick)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var problems []error
	for _, t := range s.targets {
		if t.err != nil {
			problems = append(problems, t.err)
		}
		t.report()
	}
	return s.pool.Readings(s.caches, targets.Summarize(append(problems, discovery...))), nil
}

// discover updates the targets. Targets that are still listed keep their caches.
func (s *source) discover(ctx context.Context, tick sources.Tick) (problems []error) {
	groups, problems := s.lists.Refresh(ctx, tick.Interval)
	if reads := s.lists.Reads(); s.reads != reads {
		s.reads = reads
		s.listed, s.problems = s.endpoints(groups)
		s.problems = append(s.problems, s.replaceTargets()...)
	}
	return append(problems, s.problems...)
}

// replaceTargets makes targets from the listed endpoints. It returns the reasons why some cannot be scraped.
func (s *source) replaceTargets() (problems []error) {
	old := map[string]*target{}
	for _, t := range s.targets {
		old[t.key()] = t
	}
	s.targets, s.caches = s.targets[:0], s.caches[:0]
	for _, e := range s.listed {
		t := old[e.key()]
		if t == nil {
			client, err := s.clientOf(&e)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s is not scraped: %w", httpclient.SocketScheme+e.socket, err))
				continue
			}
			t = &target{endpoint: e, client: client, cache: s.pool.NewCache(e.labels)}
		}
		delete(old, e.key())
		s.targets, s.caches = append(s.targets, t), append(s.caches, t.cache)
	}
	s.leave(old)
	for _, t := range old {
		s.pool.Remove(t.cache)
		if t.client != s.client {
			t.client.CloseIdleConnections()
		}
	}
	return problems
}

// leave ends the sessions at the servers of targets that are not in the list any more.
func (s *source) leave(gone map[string]*target) {
	servers := func(list iter.Seq[*target]) (all []targets.Server) {
		for t := range list {
			all = append(all, targets.Server{Client: t.client, URL: &t.url})
		}
		return all
	}
	targets.Leave(s.env.Log, servers(maps.Values(gone)), servers(slices.Values(s.targets)))
}

// clientOf returns the HTTP client for an endpoint: the client for all targets, or a new client for its unix socket.
func (s *source) clientOf(e *endpoint) (*httpclient.Client, error) {
	if e.socket == "" {
		return s.client, nil
	}
	return s.env.Web.OverSocket(e.socket).Client(&s.config.Settings)
}

// endpoints returns the endpoints of the settings and of the groups, each once.
func (s *source) endpoints(groups []discovery.Group) (all []endpoint, problems []error) {
	taken := map[string]bool{}
	add := func(a *Address, g *discovery.Group) {
		e, keep, err := s.made.of(a, g)
		switch place := cmp.Or(setting.Place(&e.url), a.Place()); {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s is not scraped: %w", a.Place(), err))
		case !keep, taken[e.key()]:
		case taken[e.labels.String()]:
			problems = append(problems, fmt.Errorf("%s is not scraped: another target has the same labels %s", place, e.labels))
		case len(all) == discovery.MaxTargets:
			problems = append(problems, fmt.Errorf("%s is not scraped: a job can have at most %d targets", place, discovery.MaxTargets))
		default:
			taken[e.key()], taken[e.labels.String()] = true, true
			all = append(all, e)
		}
	}
	for i := range s.config.Targets {
		add(&s.config.Targets[i], &discovery.Group{Labels: s.config.Labels})
	}
	for i := range groups {
		for _, text := range groups[i].Targets {
			var a Address
			if err := a.UnmarshalText([]byte(text)); err == nil { // CheckGroups has checked it
				add(&a, &groups[i])
			}
		}
	}
	return all, problems
}

// scrapeAll scrapes the targets concurrently.
func (s *source) scrapeAll(ctx context.Context, tick sources.Tick) {
	ctx, cancel := targets.WithDeadline(ctx, tick)
	defer cancel()
	workers := min(targets.MaxWorkers, len(s.targets))
	for len(s.buffers) < workers {
		s.buffers = append(s.buffers, buffers{window: make([]byte, windowSize)})
	}
	targets.Each(workers, len(s.targets), func(worker, i int) { s.scrape(ctx, s.targets[i], &s.buffers[worker]) })
}

// scrape scrapes one target and sets its error and duration.
func (s *source) scrape(ctx context.Context, t *target, b *buffers) {
	begin, known := time.Now(), t.cache.IsKnown()
	reader := t.cache.Begin()
	contentType, err := s.fetch(ctx, t, reader, b)
	if err != nil {
		reader.Discard()
	} else if err = reader.Finish(b.body, contentType); err != nil {
		err = t.wrap(err)
	}
	t.err, t.duration = err, time.Since(begin)
	if cap(b.body) > maxIdleBody && (!known || cap(b.body) > 4*len(b.body)) {
		b.body = nil // the next page will mostly consist of known lines, which only need the window
	}
}
