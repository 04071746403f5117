package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/discovery"
	run "github.com/collectington/collectington/sources/targets"
)

// Target is one of several servers to which the same request is sent.
type Target struct {
	URL    Address           `yaml:"url"` // a URL without a path gets the path and query of Config.URL
	Labels map[string]string `yaml:"labels"`
}

// HasTargets implements sources.Targeter.
func (c *Config) HasTargets() bool {
	return len(c.Targets)+len(c.FileSD.Files) > 0 || c.HTTPSD.IsSet()
}

// AddLabels implements sources.Labeler.
func (c *Config) AddLabels(labels map[string]string) { c.jobLabels = labels }

// validateTargets checks the targets of the settings. If there are targets, the setting "url" can only be a path. If there are none, it
// must name a server.
func (c *Config) validateTargets() error {
	var errs []error
	bad := func(path, format string, args ...any) { errs = append(errs, setting.Errorf(path, format, args...)) }
	if !c.HasTargets() {
		if c.URL.IsPath {
			bad("url", "want a URL that starts with http:// or https://: a path alone is for a job with targets")
		}
		if len(c.Relabel) > 0 {
			bad("relabel_configs", "are only for a job with targets: set targets, file_sd or http_sd")
		}
		return errors.Join(append(errs, setting.Under("http_sd", c.HTTPSD.Validate()))...)
	}
	if !c.URL.IsZero() && !c.URL.IsPath {
		bad("url", "targets are set too: want only the path and query that all of them have, such as /api/status, or no url")
	}
	maker, err := c.maker("JOB") // the name of the job is not known yet
	if err != nil {
		errs = append(errs, err)
	}
	first := map[string]int{}
	for i := range c.Targets {
		path := fmt.Sprintf("targets.%d", i)
		if c.Targets[i].URL.IsZero() {
			bad(path+".url", "is required: the URL of the target, such as http://10.0.0.1")
			continue
		}
		t, keep, err := c.endpoint(maker, c.Targets[i].URL, &discovery.Group{Labels: c.Targets[i].Labels})
		if err != nil {
			bad(path, "%v", err)
		}
		if !keep {
			continue
		}
		if other, twice := first[t.key]; twice {
			bad(path, "has the same labels (instance=%q) as targets.%d: give one of them another label, such as labels: {instance: NAME}", t.labels.Get("instance"), other)
			continue
		}
		first[t.key] = i
	}
	return errors.Join(append(errs, setting.Under("file_sd", c.FileSD.Validate()), setting.Under("http_sd", c.HTTPSD.Validate()))...)
}

// endpoint is the address of a target's requests, and the labels of its series.
type endpoint struct {
	address Address
	labels  metric.Labels
	key     string // labels as one text; equal labels have equal keys
}

// name returns the name of a target for messages: its address as it was given, unless relabel_configs have changed it.
func (e *endpoint) name(given *Address) string {
	if e.address.Host != given.Host || e.address.Scheme != given.Scheme || e.address.socket != given.socket {
		given = &e.address
	}
	return given.Place()
}

// maker returns the Maker that makes the endpoints of a job.
func (c *Config) maker(job string) (*discovery.Maker, error) {
	rules, err := c.Relabel.Compile("relabel_configs")
	return &discovery.Maker{Job: job, JobLabels: c.jobLabels, Rules: rules}, err
}

// endpoint returns the endpoint of a target, with the labels of its group. The result "keep" is false if relabel_configs drop the target.
func (c *Config) endpoint(maker *discovery.Maker, a Address, g *discovery.Group) (e endpoint, keep bool, err error) {
	if a.IsPath {
		return e, false, errors.New("want a URL with a server, such as http://10.0.0.1")
	}
	from := discovery.Address{URL: a.URL.URL, Socket: a.socket}
	if strings.Trim(a.Path, "/") == "" {
		from.URL.Path, from.URL.RawPath = "", ""
	}
	if a.socket != "" {
		from.Instance = a.String()
	}
	made, keep, err := maker.Endpoint(&from, g)
	if err != nil || !keep {
		return e, false, err
	}
	if from.URL.Path == made.URL.Path { // as it is written, since a path can be escaped in several ways
		made.URL.RawPath = from.URL.RawPath
	}
	if strings.Contains(made.URL.String()+made.URL.Path+a.Path, "{{") {
		return e, false, errors.New("a target cannot contain a template: write it in url, the path that all targets have")
	}
	e.address.socket = made.Socket
	if e.address.socket != "" && c.RequestPolicy != (httpclient.RequestPolicy{}) {
		return e, false, errors.New("a unix socket has no rate_limit and no cache_for: leave them out")
	}
	e.address.URL.URL = made.URL
	switch {
	case made.URL.Path == "" && c.URL.IsPath:
		whole := c.URL.URL
		whole.Scheme, whole.Host, whole.RawQuery = made.URL.Scheme, made.URL.Host, joinQueries(whole.RawQuery, made.URL.RawQuery)
		e.address.URL = whole
	case made.URL.Path == "":
		e.address.Path = a.Path
	}
	made.Labels.Range(func(l labels.Label) {
		switch {
		case err != nil:
		case strings.Contains(l.Name, ":"):
			err = fmt.Errorf("%.80q is not a valid label name", l.Name)
		case l.Name == model.BucketLabel || l.Name == model.QuantileLabel:
			err = fmt.Errorf("the label %s is reserved: give it another name", l.Name)
		}
		e.labels = append(e.labels, metric.Label{Name: l.Name, Value: l.Value})
	})
	e.key = metric.PackLabels(e.labels)
	return e, err == nil, err
}

// joinQueries returns a query with the parameters that all targets have and the target's own parameters. An own parameter replaces the
// parameter with the same name in "all".
func joinQueries(all, own string) string {
	set, _ := url.ParseQuery(own)
	var kept []string
	for pair := range strings.SplitSeq(all, "&") { // as it is written, since it can contain templates
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err != nil || !set.Has(plain) {
			kept = append(kept, pair)
		}
	}
	return strings.Trim(strings.Join(append(kept, own), "&"), "&")
}

// NewTargets implements sources.Targeter.
func (c *Config) NewTargets(env sources.Env) (sources.Targets, error) {
	t := &targets{config: c, env: env, found: newFoundMembers(&env)}
	var err error
	if t.maker, err = c.maker(env.Job); err != nil {
		return nil, err
	}
	if t.lists, err = discovery.New(env, &c.FileSD, &c.HTTPSD, checkListed); err != nil {
		return nil, err
	}
	t.host = env.Web.WithPolicy(env.Job, &url.URL{}, &c.RequestPolicy)
	if t.client, err = c.client(t.host); err != nil {
		return nil, err
	}
	t.replace(t.lists.Files()) // the first tick does it again and reports the problems
	return t, nil
}

// targets are the targets of a job. They share a client, except the targets on unix sockets.
type targets struct {
	config *Config
	env    sources.Env
	host   *httpclient.Host // with the policy of the settings
	client *httpclient.Client
	maker  *discovery.Maker
	lists  *discovery.Lists
	found  *foundMembers // of all targets
	reads  int           // lists.Reads when list was made; 0 = no tick has made it

	list     []*sources.Target
	problems []error
}

// target is what the fetcher needs to fetch from one target.
type target struct {
	key     string // the URL and the field "key" of the endpoint, as one text
	builder *requestBuilder
	client  *httpclient.Client
	limit   func() // sets the rate limit of the target's server
}

// server returns a text that identifies the server of the target. Targets on the same server have equal texts.
func (t *target) server() string { return t.client.Server(&t.builder.set.URL.URL.URL) }

// Discover implements sources.Targets.
func (t *targets) Discover(ctx context.Context, tick sources.Tick) ([]*sources.Target, []error) {
	groups, problems := t.lists.Refresh(ctx, tick.Interval)
	if reads := t.lists.Reads(); t.reads != reads {
		t.reads = reads
		t.replace(groups)
	}
	return t.list, append(problems, t.problems...)
}

// replace makes the list of targets from the settings and from groups. It keeps the *sources.Target of a target that was already in the
// list.
func (t *targets) replace(groups []discovery.Group) {
	before := map[string]*sources.Target{}
	for _, known := range t.list {
		before[known.Of.(*target).key] = known
	}
	t.list, t.problems = nil, nil
	taken := map[string]bool{}
	add := func(a Address, g *discovery.Group) {
		e, keep, err := t.config.endpoint(t.maker, a, g)
		switch {
		case err != nil, !keep:
		case taken[e.key]:
			err = fmt.Errorf("another target has the same labels %s", e.labels)
		case len(t.list) == discovery.MaxTargets:
			err = fmt.Errorf("a job can have at most %d targets", discovery.MaxTargets)
		default:
			taken[e.key] = true
			key := e.address.String() + " " + e.key
			known := before[key]
			if known == nil {
				known, err = t.open(&e, e.name(&a), key)
			}
			if err == nil {
				delete(before, key)
				t.list = append(t.list, known)
			}
		}
		if err != nil {
			t.problems = append(t.problems, fmt.Errorf("%s is left out: %w", a.Place(), err))
		}
	}
	for i := range t.config.Targets {
		add(t.config.Targets[i].URL, &discovery.Group{Labels: t.config.Targets[i].Labels})
	}
	for i := range groups {
		g := &groups[i]
		for _, text := range g.Targets {
			a, err := listed(text, g.Labels[model.SchemeLabel])
			if err != nil { // for example, the scheme is wrong; other errors were found when the list was read
				t.problems = append(t.problems, fmt.Errorf("a target of a list is left out: %w", err))
				continue
			}
			add(a, g)
		}
	}
	t.leave(before)
}

// leave is called with the targets that are no longer in the list. It ends the logins and the rate limits that the job has at their
// servers, and closes the idle connections.
func (t *targets) leave(gone map[string]*sources.Target) {
	servers := func(list iter.Seq[*sources.Target]) (all []run.Server) {
		for known := range list {
			to := known.Of.(*target)
			all = append(all, run.Server{Client: to.client, URL: &to.builder.set.URL.URL.URL})
		}
		return all
	}
	run.Leave(t.env.Log, servers(maps.Values(gone)), servers(slices.Values(t.list)))
	limited := map[string]bool{}
	for _, known := range t.list {
		limited[known.Of.(*target).server()] = true
	}
	for _, left := range gone {
		if to := left.Of.(*target); !limited[to.server()] {
			t.host.NoLongerAt(t.env.Job, &to.builder.set.URL.URL.URL)
		}
		if client := left.Of.(*target).client; client != t.client {
			client.CloseIdleConnections()
		}
	}
}

// open creates a target, with its requests and its client.
func (t *targets) open(e *endpoint, name, key string) (*sources.Target, error) {
	own := *t.config
	own.URL, own.Targets, own.FileSD, own.HTTPSD, own.Relabel = e.address, nil, discovery.FileSD{}, discovery.HTTPSD{}, nil
	templates, err := own.templates()
	if err != nil {
		return nil, err
	}
	client := t.client
	if e.address.socket != "" {
		if client, err = own.client(t.env.Web.OverSocket(e.address.socket)); err != nil {
			return nil, err
		}
	}
	// The host is the same for all targets, so that a fetcher can keep its client for other origins.
	builder := &requestBuilder{set: &own, host: t.host, templates: templates, literals: own.literals(), found: t.found}
	limit := func() { t.host.AlsoAt(t.env.Job, &own.URL.URL.URL) }
	return &sources.Target{Name: name, Labels: e.labels, Of: &target{key, builder, client, limit}}, nil
}

// NewFetcher implements sources.Targets.
func (t *targets) NewFetcher() sources.TargetFetcher {
	c := t.config
	return &targetFetcher{fetcher{decoder: c.Decoding.Decoder(t.env.Web.Secrets), valid: c.ValidStatusCodes, document: c.Document}}
}

// targetFetcher fetches from the target of the newest call of Use.
type targetFetcher struct{ fetcher }

// Use implements sources.TargetFetcher.
func (f *targetFetcher) Use(t *sources.Target) {
	to := t.Of.(*target)
	to.limit() // a reload may have removed it
	f.use(to.builder, to.client)
}

// use sets the requests and the client of the fetcher, its lister and its workers.
func (f *fetcher) use(b *requestBuilder, client *httpclient.Client) {
	f.requestBuilder, f.client = b, client
	if f.lister != nil {
		f.lister.use(b, client)
	}
	for _, worker := range f.workers {
		worker.use(b, client)
	}
}

// checkListed returns nil if a target of a list is valid, and otherwise the reason why it is not.
func checkListed(text string) error {
	_, err := listed(text, "")
	return err
}

// listed parses the address of a target of a list: a URL, or host:port as in lists for Prometheus. The argument "scheme" is used for
// host:port; "" = http.
func listed(text, scheme string) (a Address, err error) {
	if !strings.Contains(text, "://") {
		text = cmp.Or(scheme, "http") + "://" + text
	}
	err = a.UnmarshalText([]byte(text))
	return a, err
}
