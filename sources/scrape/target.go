package scrape

import (
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources/discovery"
	"github.com/collectington/collectington/sources/scrape/exposition"
	"github.com/collectington/collectington/sources/targets"
)

// endpoint is the URL of a target with the labels of its series.
type endpoint struct {
	url    url.URL
	socket string        // path of the unix socket; "" = none
	labels labels.Labels // without labels whose names begin with __
}

// key returns a text that identifies the endpoint.
func (e *endpoint) key() string { return e.url.String() + " " + e.socket + " " + e.labels.String() }

// endpoints makes endpoints from addresses.
type endpoints struct{ discovery.Maker }

func newEndpoints(c *Config, job string) (*endpoints, error) {
	rules, err := c.Relabel.Compile("relabel_configs")
	params := url.Values{}
	for name, values := range c.Params {
		for _, v := range values {
			params.Add(name, string(v))
		}
	}
	return &endpoints{discovery.Maker{Job: job, JobLabels: c.jobLabels, Scheme: c.Scheme, Path: c.MetricsPath, Params: params, Rules: rules}}, err
}

// of returns the endpoint for an address in a group. The result "keep" is false if relabel_configs drop the target.
func (x *endpoints) of(a *Address, g *discovery.Group) (e endpoint, keep bool, err error) {
	from := discovery.Address{URL: a.URL.URL, Socket: a.socket}
	if a.socket != "" {
		from.Instance = a.String() // otherwise all sockets would have the same instance
	}
	made, keep, err := x.Endpoint(&from, g)
	return endpoint{made.URL, made.Socket, made.Labels}, keep, err
}

// target is an endpoint with the result of its last scrape.
type target struct {
	endpoint
	client   *httpclient.Client
	cache    *exposition.Cache
	err      error
	duration time.Duration
}

// gauges returns the metrics about each scrape, which are the same as in Prometheus. [target.report] sets their values in this
// order.
func gauges() []exposition.Gauge {
	return []exposition.Gauge{
		{Name: targets.Up, Help: targets.UpHelp},
		{Name: targets.Duration, Help: targets.DurationHelp},
		{Name: "scrape_samples_scraped", Help: "Samples that the target exposed."},
		{Name: "scrape_samples_post_metric_relabeling", Help: "Samples that remained after relabelling."},
		{Name: "scrape_series_added", Help: "Series that are new in this scrape."},
	}
}

// report sets the values of the metrics about the last scrape.
func (t *target) report() {
	n := t.cache.Counts
	up, added := 1.0, n.Added
	if t.err != nil {
		up, added = 0, 0
	}
	t.cache.SetGauges(up, t.duration.Seconds(), float64(n.Scraped), float64(n.Kept), float64(added))
}

// wrap adds the method and the URL to an error.
func (t *target) wrap(err error) error { return fmt.Errorf("GET %s: %w", setting.Place(&t.url), err) }
