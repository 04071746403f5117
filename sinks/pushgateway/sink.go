package pushgateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	client "github.com/prometheus/client_golang/prometheus/push"
	dto "github.com/prometheus/client_model/go"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// sink pushes batches with the push package of client_golang.
type sink struct {
	url          string
	place        string         // the URL without secrets, for messages
	group        []metric.Label // the labels of every group in addition to job
	deleteOnExit bool
	env          sinks.Env
	client       *httpclient.Client
	spool        *spool // nil = there is no queue on disk

	replayError string // the last error of replay that was logged

	pushing   sync.Mutex // held during a push, so that two pushes of a group stay in order; guards the fields below
	converter metric.Converter
	warned    bool // a warning that timestamps are not pushed was logged
	down      bool // the last push from the spool could not be delivered

	mu      sync.Mutex
	pushed  map[string]*push // groups that this sink has pushed, by name of the group's file
	deleted map[string]bool  // groups that this sink has deleted and not pushed since, by the same names
	old     *sink            // the sink that this one replaces, which can still push; nil = none
}

func newSink(c *Config, env sinks.Env, client *httpclient.Client) *sink {
	s := &sink{
		url: c.URL.String(), place: c.URL.Place(), group: c.group(&env), deleteOnExit: c.DeleteOnExit,
		env: env, client: client, pushed: map[string]*push{}, deleted: map[string]bool{},
	}
	if dir := cmp.Or(c.Spool.Dir, env.Spool); dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(env.Dir, dir)
		}
		s.spool = newSpool(dir, env.Log)
		env.Stats.TellPending(func() sinks.Pending { return sinks.Pending{Samples: s.spool.samples()} })
		env.Stats.TellSpool(s.spool.faulty)
	}
	reserved := append([]metric.Label{{Name: "job"}}, s.group...)
	s.converter.Untimed = true // a Pushgateway refuses samples with timestamps
	s.converter.Labels = func(into, own []metric.Label) []metric.Label { return append(into, rename(own, reserved)...) }
	return s
}

// rename renames each label whose name occurs in "reserved" to exported_NAME, as sinks.Attach does. It does not return the labels of the
// group, since the Pushgateway adds them.
func rename(own, reserved []metric.Label) []metric.Label {
	isReserved := func(l metric.Label) bool {
		return slices.ContainsFunc(reserved, func(r metric.Label) bool { return r.Name == l.Name })
	}
	if !slices.ContainsFunc(own, isReserved) {
		return own
	}
	return slices.DeleteFunc(sinks.Attach(nil, own, reserved, nil), isReserved)
}

// Write replaces the job's group. If the batch is partial, it only replaces the metrics of the batch in the group. A batch without
// series deletes the group, if this sink has pushed it, or if the batch is complete: an earlier process may then have pushed the group, such
// as an earlier cton once. If several processes push parts of a job's series, the label PartBy says
// which part a series belongs to: there is a group for each value of this label, and Write replaces the metrics of the batch in
// these groups. With a spool, the batch is first written to disk.
func (s *sink) Write(ctx context.Context, batch metric.Batch) error {
	s.pushing.Lock()
	defer s.pushing.Unlock()
	if batch.PartBy == "" {
		return s.write(ctx, batch, s.group)
	}
	batch.Partial = true
	var waits error
	for _, value := range values(&batch) {
		label := metric.Label{Name: batch.PartBy, Value: value}
		group := slices.DeleteFunc(slices.Clone(s.group), func(l metric.Label) bool { return l.Name == label.Name })
		err := s.write(ctx, only(batch, label), append(group, label))
		if err != nil && !sinks.IsSaved(err) {
			return err
		}
		waits = cmp.Or(waits, err) // continue, since the batches of the other groups must be saved too
	}
	return waits
}

// values returns the values of the label PartBy in a batch, sorted.
func values(batch *metric.Batch) []string {
	found := map[string]bool{}
	for _, f := range batch.Families {
		for _, series := range f.Series {
			found[series.Labels.Get(batch.PartBy)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// only returns a copy of the batch that has just the series with the given label and value. The label is removed from these series.
func only(batch metric.Batch, label metric.Label) metric.Batch {
	families := batch.Families
	batch.Families = nil
	for _, f := range families {
		all := f.Series
		f.Series = nil
		for _, series := range all {
			if series.Labels.Get(label.Name) != label.Value {
				continue
			}
			own := slices.DeleteFunc(slices.Collect(series.Labels.All()), func(l metric.Label) bool { return l.Name == label.Name })
			series.Labels = metric.NewLabelSet(own)
			f.Series = append(f.Series, series)
		}
		if len(f.Series) > 0 {
			batch.Families = append(batch.Families, f)
		}
	}
	return batch
}

// write pushes a batch to a group.
func (s *sink) write(ctx context.Context, batch metric.Batch, group []metric.Label) error {
	all := batch.Series()
	batch.Families = slices.DeleteFunc(slices.Clone(batch.Families), func(f metric.Family) bool {
		return f.Desc.Type == metric.GaugeHistogram // not all formats of the Pushgateway's page support it
	})
	p := &push{Job: batch.Job, Group: group, Partial: batch.Partial, Series: batch.Series()}
	if p.Series < all {
		s.env.Stats.Drop(sinks.Unsupported, all-p.Series)
	}
	if p.Series == 0 {
		return s.delete(ctx, p, batch.Complete)
	}
	s.warnOfTimestamps(&batch)
	s.converter.Reset()
	for i := range batch.Families {
		if len(batch.Families[i].Series) > 0 {
			p.families = append(p.families, s.converter.Family(&batch.Families[i]))
		}
	}
	if s.spool == nil {
		return s.send(ctx, p)
	}
	p, unsaved := s.spool.put(p)
	if unsaved != nil {
		s.env.Log.Error("the push is not on disk: it is lost if the Pushgateway cannot be reached", "error", unsaved)
		return s.send(ctx, p)
	}
	return s.sendSaved(ctx, p)
}

// sendSaved pushes p, which is in the spool, and then removes it from the spool. If the Pushgateway cannot be reached, p stays in
// the spool.
func (s *sink) sendSaved(ctx context.Context, p *push) error {
	err := s.send(ctx, p)
	if s.down = err != nil && !isRefusal(err); s.down {
		return sinks.Saved(err)
	}
	if failed := s.spool.done(p); failed != nil {
		s.env.Log.Error("a push stays in the spool, and is repeated", "error", failed)
	}
	return err
}

// isRefusal reports whether the Pushgateway has refused the content of a push. Any other response, such as 401, 404, a redirect or a web
// page, may come from a proxy and says nothing about the content, so the push is tried again.
func isRefusal(err error) bool {
	status, ok := errors.AsType[*httpclient.StatusError](err)
	return ok && slices.Contains([]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity}, status.Code)
}

// send pushes a group.
func (s *sink) send(ctx context.Context, p *push) error {
	gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return p.families, nil })
	pusher := s.pusher(ctx, p).Gatherer(gather)
	do := pusher.PushContext
	if p.Partial {
		do = pusher.AddContext
	}
	if err := do(ctx); err != nil {
		return s.wrap("push to", p.Job, err)
	}
	s.setPushed(p, true)
	s.env.Stats.Sent.Add(int64(p.Series))
	return nil
}

// warnOfTimestamps logs a warning, only once, that timestamps are not pushed.
func (s *sink) warnOfTimestamps(batch *metric.Batch) {
	for i := range batch.Families {
		f := &batch.Families[i]
		if !s.warned && slices.ContainsFunc(f.Series, func(x metric.Series) bool { return x.Time != 0 }) {
			s.warned = true
			s.env.Log.Warn("a Pushgateway does not accept timestamps: samples are pushed without them", "metric", f.Desc.Name)
		}
	}
}

// delete deletes a group, if this sink has pushed it. If the argument unknown is true, it also deletes a group of which this sink does not
// know whether it exists.
func (s *sink) delete(ctx context.Context, p *push, unknown bool) error {
	if s.spool != nil {
		if err := s.spool.drop(p); err != nil {
			return err
		}
	}
	pushed, deleted := s.state(p)
	if !pushed && (deleted || !unknown) {
		return nil
	}
	err := s.pusher(ctx, p).Delete()
	if status, ok := errors.AsType[*statusError](err); ok && !pushed && slices.Contains(cannotDelete(), status.code) {
		err = nil // receivers with the paths of a Pushgateway may have no groups, and then there is nothing to delete
	}
	if err != nil {
		return s.wrap("delete group at", p.Job, err)
	}
	s.setPushed(p, false)
	return nil
}

// cannotDelete returns the statuses of a receiver that does not have the method DELETE.
func cannotDelete() []int {
	return []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented}
}

// setPushed notes that a group was pushed, or deleted.
func (s *sink) setPushed(p *push, pushed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pushed {
		s.pushed[p.name()] = &push{Job: p.Job, Group: p.Group}
		delete(s.deleted, p.name())
	} else {
		delete(s.pushed, p.name())
		s.deleted[p.name()] = true
	}
}

// Succeed implements [sinks.Successor]. What old has pushed can be deleted by s.
func (s *sink) Succeed(old sinks.Sink) {
	before, ok := old.(*sink)
	if !ok {
		return
	}
	before.mu.Lock()
	defer before.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushed, s.deleted, s.old = maps.Clone(before.pushed), maps.Clone(before.deleted), before
	before.old = nil // it has ended, and its groups are known
}

// state returns what this sink, or the sink that it replaces, has done last with a group: pushed it, deleted it, or neither.
func (s *sink) state(p *push) (pushed, deleted bool) {
	s.mu.Lock()
	pushed, deleted, old := s.pushed[p.name()] != nil, s.deleted[p.name()], s.old
	s.mu.Unlock()
	if !pushed && !deleted && old != nil {
		return old.state(p)
	}
	return pushed, deleted
}

func (s *sink) pusher(ctx context.Context, p *push) *client.Pusher {
	pusher := client.New(s.url, p.Job).Client(&doer{ctx, s})
	for _, l := range p.Group {
		pusher = pusher.Grouping(l.Name, l.Value)
	}
	return pusher
}

// wrap adds to an error which action has failed. It also marks in the error whether a retry can help.
func (s *sink) wrap(act, job string, err error) error {
	status, ok := errors.AsType[*statusError](err)
	if !ok {
		if e, ok := errors.AsType[*httpclient.Error](err); ok {
			err = e.Err // without the URL, since it contains all labels of the group
		}
		return fmt.Errorf("%s %s: %w", act, s.place, err)
	}
	err = fmt.Errorf("%s %s: job %s: %w", act, s.place, job, status.error)
	if do := whatToDo(status.code); do != "" {
		err = fmt.Errorf("%w: %s", err, do)
	}
	switch {
	case isRefusal(err):
		return sinks.Permanent(err)
	case status.retryAfter > 0:
		return sinks.After(err, status.retryAfter)
	}
	return err
}

// whatToDo returns advice for a status whose cause is not the content of the push, such as wrong credentials. It returns "" if there is
// no advice for the status.
func whatToDo(code int) string {
	switch code {
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return "check basic_auth, authorization or oauth2"
	case http.StatusForbidden:
		return "these credentials may not push there: check their permissions"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "check the path of url: /metrics and the group are appended"
	}
	return ""
}

// Run implements [sinks.Runner]. It pushes the files that other processes have left in the spool. When ctx ends, it tries to push
// them once more. If delete_on_exit is set, it then deletes the groups that this sink has pushed.
func (s *sink) Run(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	s.replayRegularly(ctx)
	if !s.deleteOnExit {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.env.Drain)
	defer cancel()
	s.mu.Lock()
	groups := slices.Collect(maps.Values(s.pushed))
	s.mu.Unlock()
	for _, p := range groups {
		if err := s.delete(ctx, p, false); err != nil {
			s.env.Log.Error(err.Error())
		}
	}
	return nil
}

// The times of the replays.
const (
	firstReplay = time.Second // time from the start to the first replay, so that this process's own pushes come first
	replayEvery = 30 * time.Second
	lastTry     = 2 * time.Second // time limit of the final replay, if another process will follow
)

// replayRegularly replays the spool regularly until ctx ends, and then once more unless the most recent push has failed.
func (s *sink) replayRegularly(ctx context.Context) {
	if s.spool == nil {
		<-ctx.Done()
		return
	}
	for pause := firstReplay; ctx.Err() == nil; pause = replayEvery {
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			s.replay(ctx)
		}
	}
	s.pushing.Lock()
	down := s.down
	s.pushing.Unlock()
	if down {
		return
	}
	limit := s.env.Drain
	if !s.env.Once {
		limit = min(limit, lastTry)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	s.replay(last)
}

// replay pushes the files in the spool, one after the other, until a push fails.
func (s *sink) replay(ctx context.Context) {
	names, err := s.spool.list()
	var later error
	for i := 0; i < len(names) && err == nil && ctx.Err() == nil; i++ {
		if err = s.replayOne(ctx, names[i]); errors.Is(err, errLater) {
			later, err = err, nil
		}
	}
	if err == nil {
		err = later
	}
	switch {
	case ctx.Err() != nil:
	case err == nil:
		s.replayError = ""
	case err.Error() != s.replayError:
		s.env.Log.Warn("pushes of earlier processes wait in the spool", "error", err)
		s.replayError = err.Error()
	}
}

// replayOne pushes a file of the spool. If the Pushgateway refuses the push, the push is dropped.
func (s *sink) replayOne(ctx context.Context, name string) error {
	s.pushing.Lock()
	defer s.pushing.Unlock()
	p, err := s.spool.get(name)
	if err != nil || p == nil {
		return err
	}
	err = s.sendSaved(ctx, p)
	if err != nil && !sinks.IsSaved(err) {
		s.env.Stats.Drop(sinks.Refused, p.Series)
		s.env.Log.Error("dropped a push from the spool", "error", err)
		return nil
	}
	return err
}

// Check implements [sinks.Checker]. It asks the Pushgateway whether it is ready.
func (s *sink) Check(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/-/ready", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := s.client.DoAnyStatus(req)
	if err != nil {
		return err
	}
	defer resp.Close()
	if resp.StatusCode/100 == 2 || resp.StatusCode == http.StatusNotFound { // old versions do not have the path
		return resp.Wrap(notGateway(resp))
	}
	return resp.StatusError()
}

// maxAnswer is the maximum number of bytes that are read from a response.
const maxAnswer = 8 << 10

// notGateway returns an error if the response is a web page, such as a login page.
func notGateway(resp *httpclient.Response) error {
	page := resp.WebPage(resp.Excerpt(maxAnswer))
	if page == "" {
		return nil
	}
	return fmt.Errorf("%d %s: %s: this is not a Pushgateway: check url, and whether a login or a proxy answers in its place",
		resp.StatusCode, http.StatusText(resp.StatusCode), page)
}

// doer sends the requests of a pusher. It adds the context, which the pusher does not use when it deletes a group. A doer returns an error
// for each response that does not mean success.
type doer struct {
	ctx  context.Context
	sink *sink
}

// statusError is the error for a response that does not mean success.
type statusError struct {
	error
	code       int
	retryAfter time.Duration
}

// Do implements push.HTTPDoer.
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	req = req.WithContext(d.ctx)
	if err := fixSpaces(req, d.sink.url); err != nil {
		return nil, err
	}
	resp, err := d.sink.client.DoAnyStatus(req)
	if err != nil {
		return nil, err
	}
	defer resp.Close()
	switch code := resp.StatusCode; {
	case resp.Request.Method != req.Method || resp.Request.URL.Path != req.URL.Path:
		// A redirect with 301 or 302 turns a push into a GET (RFC 9110 section 15.4), and a redirect may change the path, which
		// names the group. A success of such a request does not mean that the group was pushed.
		to := resp.Request.URL
		return nil, &statusError{fmt.Errorf("redirected to %s://%s%s: set url to the address of the Pushgateway", to.Scheme, to.Host, to.Path), code, 0}
	case code/100 == 2:
		if err := notGateway(resp); err != nil {
			return nil, &statusError{err, code, 0}
		}
		// A Pushgateway answers 200 or 202. Other receivers with its paths answer 204 or 201, which the push package does not accept as
		// a success, and it does not accept 200 as a success of a deletion.
		return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody}, nil
	case code == http.StatusBadRequest || code == http.StatusUnprocessableEntity:
		if err := notGateway(resp); err != nil {
			return nil, &statusError{err, code, 0}
		}
	}
	status, _ := errors.AsType[*httpclient.StatusError](resp.StatusError())
	return nil, &statusError{status, status.Code, status.RetryAfter}
}

// fixSpaces replaces + by %20 in the part of the URL that client_golang has added. client_golang writes a space in a job name or
// label as +, but a Pushgateway reads + as a plus sign. A real plus sign is written as %2B.
func fixSpaces(req *http.Request, base string) error {
	base = strings.TrimSuffix(base, "/")
	path, found := strings.CutPrefix(req.URL.String(), base)
	if !found || !strings.Contains(path, "+") {
		return nil
	}
	fixed, err := url.Parse(base + strings.ReplaceAll(path, "+", "%20"))
	if err != nil {
		return fmt.Errorf("make the URL of a group: %w", err)
	}
	req.URL = fixed
	return nil
}
