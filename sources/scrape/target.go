package scrape

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

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

// endpoints makes endpoints from addresses, in the same way as Prometheus makes targets.
type endpoints struct {
	config  *Config
	job     string
	rules   []*relabel.Config
	builder *labels.Builder
}

func newEndpoints(c *Config, job string) (*endpoints, error) {
	rules, err := c.Relabel.Compile("relabel_configs")
	return &endpoints{config: c, job: job, rules: rules, builder: labels.NewBuilder(labels.EmptyLabels())}, err
}

// of returns the endpoint for an address in a group. keep is false if relabel_configs drop it.
//
// The labels __address__, __scheme__, __metrics_path__ and __param_NAME make the URL. Other labels that begin with __ are for
// the rules only.
func (x *endpoints) of(a *Address, g *discovery.Group) (e endpoint, keep bool, err error) {
	if g.IsRemote && namesSocket(a, g) {
		return endpoint{}, false, errRemoteSocket
	}
	params := x.discovered(a, g)
	b := x.builder
	if !relabel.ProcessBuilder(b, x.rules...) {
		return endpoint{}, false, nil
	}
	e.socket = b.Get(socketLabel)
	address := b.Get(model.AddressLabel)
	if address == "" {
		return endpoint{}, false, errors.New("relabel_configs leave no __address__: to drop a target use action: drop")
	}
	e.url = url.URL{Scheme: b.Get(model.SchemeLabel), Host: address, Path: b.Get(model.MetricsPathLabel), RawQuery: a.RawQuery}
	if err := checkEndpoint(&e.url); err != nil {
		return endpoint{}, false, err
	}
	b.Range(func(l labels.Label) {
		if name, ok := strings.CutPrefix(l.Name, model.ParamLabelPrefix); ok {
			if len(params[name]) == 0 {
				params[name] = []string{""}
			}
			params[name][0] = l.Value
		}
	})
	if !maps.EqualFunc(params, a.Query(), slices.Equal) { // otherwise the query is not changed
		e.url.RawQuery = params.Encode()
	}
	if b.Get(model.InstanceLabel) == "" {
		if a.socket != "" {
			address = a.String() // otherwise all sockets would have the same instance
		}
		b.Set(model.InstanceLabel, address)
	}
	b.Range(func(l labels.Label) {
		if strings.HasPrefix(l.Name, model.ReservedLabelPrefix) {
			b.Del(l.Name)
		}
	})
	e.labels = b.Labels()
	err = e.labels.Validate(func(l labels.Label) error {
		if !model.UTF8Validation.IsValidLabelName(l.Name) || !model.LabelValue(l.Value).IsValid() {
			return fmt.Errorf("the label %.80q is not valid UTF-8", l.Name)
		}
		return nil
	})
	return e, err == nil, err
}

// discovered puts the labels that the rules are applied to into the builder. It returns the parameters of the URL, of which
// the first value of each name is a label.
func (x *endpoints) discovered(a *Address, g *discovery.Group) url.Values {
	b, c := x.builder, x.config
	b.Reset(labels.EmptyLabels())
	set := func(name, value string) {
		if b.Get(name) == "" {
			b.Set(name, value)
		}
	}
	b.Set(model.AddressLabel, a.Host)
	for name, value := range g.Labels {
		set(name, value)
	}
	for name, value := range c.jobLabels {
		set(name, value)
	}
	if g.Meta.Name != "" {
		b.Set(g.Meta.Name, g.Meta.Value)
	}
	a.setSocket(b)
	set(model.JobLabel, x.job)
	set(model.SchemeLabel, a.Scheme)
	set(model.SchemeLabel, c.Scheme)
	set(model.MetricsPathLabel, a.Path)
	set(model.MetricsPathLabel, c.MetricsPath)
	params := url.Values{}
	for name, values := range c.Params {
		for _, v := range values {
			params.Add(name, string(v))
		}
	}
	maps.Copy(params, a.Query())
	for name, values := range params {
		set(model.ParamLabelPrefix+name, values[0])
	}
	return params
}

// checkEndpoint checks a URL that was made from labels.
func checkEndpoint(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("the scheme %.20q is not http or https", u.Scheme)
	}
	var a setting.URL
	if err := a.UnmarshalText([]byte("http://" + u.Host)); err != nil || a.Host != u.Host || a.Path != "" || a.RawQuery != "" || a.Fragment != "" {
		return fmt.Errorf("%.80q is not host:port, such as localhost:9100", u.Host)
	}
	return nil
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
