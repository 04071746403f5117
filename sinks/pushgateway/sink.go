package pushgateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	dto "github.com/prometheus/client_model/go"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

type sink struct {
	url     string
	place   string
	group   []metric.Label
	tidy    bool
	env     sinks.Env
	client  *httpclient.Client
	convert metric.Converter
	warned  bool // that times of their own are left out

	mu     sync.Mutex
	pushed map[string]bool // the jobs whose groups are there by our doing
}

func newSink(c *Config, env sinks.Env, client *httpclient.Client) *sink {
	s := &sink{
		url: c.URL.String(), place: c.URL.Place(), group: c.group(&env), tidy: c.DeleteOnExit,
		env: env, client: client, pushed: map[string]bool{},
	}
	taken := append([]metric.Label{{Name: "job"}}, s.group...)
	s.convert.Untimed = true // a gateway refuses samples with times
	s.convert.Labels = func(into, own []metric.Label) []metric.Label { return append(into, rename(own, taken)...) }
	return s
}

// rename gives the labels that the group has too another name, as sinks.Attach does, and leaves the group's own out: the
// gateway adds them.
func rename(own, taken []metric.Label) []metric.Label {
	clash := func(l metric.Label) bool {
		return slices.ContainsFunc(taken, func(t metric.Label) bool { return t.Name == l.Name })
	}
	if !slices.ContainsFunc(own, clash) {
		return own
	}
	return slices.DeleteFunc(sinks.Attach(nil, own, taken, nil), clash)
}

// Write replaces the job's group. A batch without series deletes it, if it is there by our doing.
func (s *sink) Write(ctx context.Context, batch metric.Batch) error {
	all := batch.Series()
	batch.Families = slices.DeleteFunc(slices.Clone(batch.Families), func(f metric.Family) bool {
		return f.Desc.Type == metric.GaugeHistogram // a page of the gateway cannot show it in all its forms
	})
	n := batch.Series()
	if n < all {
		s.env.Stats.Drop(sinks.Unsupported, all-n)
	}
	if n == 0 {
		return s.delete(ctx, batch.Job)
	}
	s.warn(&batch)
	gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		s.convert.Reset()
		families := make([]*dto.MetricFamily, 0, len(batch.Families))
		for i := range batch.Families {
			if len(batch.Families[i].Series) > 0 {
				families = append(families, s.convert.Family(&batch.Families[i]))
			}
		}
		return families, nil
	})
	if err := s.pusher(ctx, batch.Job).Gatherer(gather).PushContext(ctx); err != nil {
		return s.explain("push to", batch.Job, err)
	}
	s.note(batch.Job, true)
	s.env.Stats.Sent.Add(int64(n))
	return nil
}

func (s *sink) note(job string, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there {
		s.pushed[job] = true
	} else {
		delete(s.pushed, job)
	}
}

func (s *sink) has(job string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pushed[job]
}

func (s *sink) delete(ctx context.Context, job string) error {
	if !s.has(job) {
		return nil
	}
	if err := s.pusher(ctx, job).Delete(); err != nil {
		return s.explain("delete group at", job, err)
	}
	s.note(job, false)
	return nil
}

func (s *sink) pusher(ctx context.Context, job string) *push.Pusher {
	p := push.New(s.url, job).Client(&doer{ctx, s})
	for _, l := range s.group {
		p = p.Grouping(l.Name, l.Value)
	}
	return p
}

// warn says once that samples lose the times of their own.
func (s *sink) warn(batch *metric.Batch) {
	for i := range batch.Families {
		f := &batch.Families[i]
		if !s.warned && slices.ContainsFunc(f.Series, func(x metric.Series) bool { return x.Time != 0 }) {
			s.warned = true
			s.env.Log.Warn("a Pushgateway takes no samples with times: they are pushed without", "metric", f.Desc.Name)
		}
	}
}

// explain says what failed, and whether trying again can help.
func (s *sink) explain(act, job string, err error) error {
	refused, ok := errors.AsType[*refusal](err)
	if !ok {
		if e, ok := errors.AsType[*httpclient.Error](err); ok {
			err = e.Err // its URL names the group, and is long
		}
		return fmt.Errorf("%s %s: %w", act, s.place, err)
	}
	err = fmt.Errorf("%s %s: job %s: %w", act, s.place, job, refused.error)
	switch {
	case refused.pause > 0:
		return sinks.After(err, refused.pause)
	case refused.code == http.StatusMovedPermanently:
		return sinks.Permanent(err)
	case refused.code/100 == 4 && refused.code != http.StatusTooManyRequests && refused.code != http.StatusRequestTimeout:
		return sinks.Permanent(err)
	}
	return err
}

// refusal is an answer that is not a success.
type refusal struct {
	error
	code  int
	pause time.Duration
}

// Run waits for the end, and then takes away what has been pushed, if that is asked for.
func (s *sink) Run(ctx context.Context) error {
	<-ctx.Done()
	defer s.client.CloseIdleConnections()
	if !s.tidy {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.env.Drain)
	defer cancel()
	s.mu.Lock()
	jobs := slices.Sorted(maps.Keys(s.pushed))
	s.mu.Unlock()
	for _, job := range jobs {
		if err := s.delete(ctx, job); err != nil {
			s.env.Log.Error(err.Error())
		}
	}
	return nil
}

// Check asks the gateway whether it is there.
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
	if resp.StatusCode/100 == 2 || resp.StatusCode == http.StatusNotFound { // old gateways have no such page
		return nil
	}
	return resp.StatusError()
}
