package pushgateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	dto "github.com/prometheus/client_model/go"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// sink pushes batches through the push package of client_golang.
type sink struct {
	url          string
	place        string         // url without secrets
	group        []metric.Label // of every group, besides job
	deleteOnExit bool
	env          sinks.Env
	client       *httpclient.Client
	converter    metric.Converter
	warned       bool // that timestamps are not pushed

	mu     sync.Mutex
	pushed map[part]bool // groups that this sink has pushed
}

func newSink(c *Config, env sinks.Env, client *httpclient.Client) *sink {
	s := &sink{
		url: c.URL.String(), place: c.URL.Place(), group: c.group(&env), deleteOnExit: c.DeleteOnExit,
		env: env, client: client, pushed: map[part]bool{},
	}
	reserved := append([]metric.Label{{Name: "job"}}, s.group...)
	s.converter.Untimed = true // a Pushgateway refuses samples with timestamps
	s.converter.Labels = func(into, own []metric.Label) []metric.Label { return append(into, rename(own, reserved)...) }
	return s
}

// rename renames the labels that the group has too to exported_NAME, as sinks.Attach does. The labels of the group itself are
// left out, since the Pushgateway adds them.
func rename(own, reserved []metric.Label) []metric.Label {
	isReserved := func(l metric.Label) bool {
		return slices.ContainsFunc(reserved, func(r metric.Label) bool { return r.Name == l.Name })
	}
	if !slices.ContainsFunc(own, isReserved) {
		return own
	}
	return slices.DeleteFunc(sinks.Attach(nil, own, reserved, nil), isReserved)
}

// Write replaces the job's group. A batch without series deletes the group, if this sink has pushed it. A batch that is part of what
// several processes push has a group for each value of the label that tells the parts apart, and replaces the families in it.
func (s *sink) Write(ctx context.Context, batch metric.Batch) error {
	if batch.PartBy == "" {
		return s.write(ctx, batch, part{job: batch.Job})
	}
	for _, value := range values(&batch) {
		p := part{job: batch.Job, label: metric.Label{Name: batch.PartBy, Value: value}}
		if err := s.write(ctx, only(batch, p.label), p); err != nil {
			return err
		}
	}
	return nil
}

// part is a group: that of a job, or that of a job and a label.
type part struct {
	job   string
	label metric.Label
}

// values returns the values of the label that tells the parts of a batch apart, in order.
func values(batch *metric.Batch) []string {
	found := map[string]bool{}
	for _, f := range batch.Families {
		for _, series := range f.Series {
			found[valueOf(&series, batch.PartBy)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func valueOf(series *metric.Series, name string) string {
	for l := range series.Labels.All() {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// only returns a batch with the series that have a label, without that label.
func only(batch metric.Batch, label metric.Label) metric.Batch {
	families := batch.Families
	batch.Families = nil
	for _, f := range families {
		all := f.Series
		f.Series = nil
		for _, series := range all {
			if valueOf(&series, label.Name) != label.Value {
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

// write pushes a batch to its group.
func (s *sink) write(ctx context.Context, batch metric.Batch, p part) error {
	all := batch.Series()
	batch.Families = slices.DeleteFunc(slices.Clone(batch.Families), func(f metric.Family) bool {
		return f.Desc.Type == metric.GaugeHistogram // the Pushgateway cannot show it in every format
	})
	n := batch.Series()
	if n < all {
		s.env.Stats.Drop(sinks.Unsupported, all-n)
	}
	if n == 0 {
		return s.delete(ctx, p)
	}
	s.warnOfTimestamps(&batch)
	gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		s.converter.Reset()
		families := make([]*dto.MetricFamily, 0, len(batch.Families))
		for i := range batch.Families {
			if len(batch.Families[i].Series) > 0 {
				families = append(families, s.converter.Family(&batch.Families[i]))
			}
		}
		return families, nil
	})
	push := s.pusher(ctx, p).Gatherer(gather)
	do := push.PushContext
	if p.label.Name != "" {
		do = push.AddContext
	}
	if err := do(ctx); err != nil {
		return s.wrap("push to", batch.Job, err)
	}
	s.setPushed(p, true)
	s.env.Stats.Sent.Add(int64(n))
	return nil
}

// warnOfTimestamps warns once that timestamps are not pushed.
func (s *sink) warnOfTimestamps(batch *metric.Batch) {
	for i := range batch.Families {
		f := &batch.Families[i]
		if !s.warned && slices.ContainsFunc(f.Series, func(x metric.Series) bool { return x.Time != 0 }) {
			s.warned = true
			s.env.Log.Warn("a Pushgateway does not accept timestamps: samples are pushed without them", "metric", f.Desc.Name)
		}
	}
}

// delete deletes a group, if this sink has pushed it.
func (s *sink) delete(ctx context.Context, p part) error {
	if !s.hasPushed(p) {
		return nil
	}
	if err := s.pusher(ctx, p).Delete(); err != nil {
		return s.wrap("delete group at", p.job, err)
	}
	s.setPushed(p, false)
	return nil
}

func (s *sink) setPushed(p part, pushed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pushed {
		s.pushed[p] = true
	} else {
		delete(s.pushed, p)
	}
}

func (s *sink) hasPushed(p part) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pushed[p]
}

func (s *sink) pusher(ctx context.Context, p part) *push.Pusher {
	pusher := push.New(s.url, p.job).Client(&doer{ctx, s})
	for _, l := range s.group {
		if l.Name != p.label.Name {
			pusher = pusher.Grouping(l.Name, l.Value)
		}
	}
	if p.label.Name != "" {
		pusher = pusher.Grouping(p.label.Name, p.label.Value)
	}
	return pusher
}

// wrap adds what failed to an error, and whether a retry can help.
func (s *sink) wrap(act, job string, err error) error {
	status, ok := errors.AsType[*statusError](err)
	if !ok {
		if e, ok := errors.AsType[*httpclient.Error](err); ok {
			err = e.Err // without the URL, which has all labels of the group
		}
		return fmt.Errorf("%s %s: %w", act, s.place, err)
	}
	err = fmt.Errorf("%s %s: job %s: %w", act, s.place, job, status.error)
	switch {
	case status.retryAfter > 0:
		return sinks.After(err, status.retryAfter)
	case status.code == http.StatusMovedPermanently:
		return sinks.Permanent(err)
	case status.code/100 == 4 && status.code != http.StatusTooManyRequests && status.code != http.StatusRequestTimeout:
		return sinks.Permanent(err)
	}
	return err
}

// Run implements [sinks.Runner]. When ctx ends, it deletes the groups that this sink has pushed, if delete_on_exit is set.
func (s *sink) Run(ctx context.Context) error {
	<-ctx.Done()
	defer s.client.CloseIdleConnections()
	if !s.deleteOnExit {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.env.Drain)
	defer cancel()
	s.mu.Lock()
	groups := slices.SortedFunc(maps.Keys(s.pushed), func(a, b part) int { return cmp.Compare(a.job+a.label.Value, b.job+b.label.Value) })
	s.mu.Unlock()
	for _, p := range groups {
		if err := s.delete(ctx, p); err != nil {
			s.env.Log.Error(err.Error())
		}
	}
	return nil
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

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 8 << 10

// notGateway returns an error if a web page has answered, such as that of a login.
func notGateway(resp *httpclient.Response) error {
	page := resp.WebPage(resp.Excerpt(maxAnswer))
	if page == "" {
		return nil
	}
	return fmt.Errorf("%d %s: %s: this is not a Pushgateway: check url, and whether a login or a proxy answers in its place",
		resp.StatusCode, http.StatusText(resp.StatusCode), page)
}

// doer sends the requests of a pusher. It adds the context, which the pusher does not pass on when it deletes, and returns
// an error for every response that is not a success.
type doer struct {
	ctx  context.Context
	sink *sink
}

// statusError is a response that is not a success.
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
		// A 301 or 302 turns a push into a GET (RFC 9110 section 15.4), and the path is the group. The success of such a request
		// does not mean that the group was pushed.
		to := resp.Request.URL
		return nil, &statusError{fmt.Errorf("redirected to %s://%s%s: set url to the address of the Pushgateway", to.Scheme, to.Host, to.Path), http.StatusMovedPermanently, 0}
	case code == http.StatusOK || code == http.StatusAccepted:
		if err := notGateway(resp); err != nil {
			return nil, &statusError{err, code, 0}
		}
		// The push package does not accept 200 for a deletion.
		return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody}, nil
	}
	status, _ := errors.AsType[*httpclient.StatusError](resp.StatusError())
	return nil, &statusError{status, status.Code, status.RetryAfter}
}

// fixSpaces replaces + by %20 in what client_golang adds to the URL. It writes a space in a job name or a label as +, which a
// Pushgateway takes for a plus sign. A plus sign is written as %2B.
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
