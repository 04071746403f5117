package scrape

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources/scrape/exposition"
)

// endpoint is the URL of a target and the labels of its series.
type endpoint struct {
	url    url.URL
	labels labels.Labels // job, instance, and those of the group
}

// newEndpoint returns the endpoint of an address in a group with these labels, as in Prometheus: __metrics_path__,
// __scheme__ and __param_NAME change the URL, other labels that begin with __ are ignored, and the rest are on every series,
// also job and instance.
func newEndpoint(a *Address, job string, group map[string]string) endpoint {
	e := endpoint{url: a.URL.URL}
	query, changed := e.url.Query(), false
	b := labels.NewBuilder(labels.FromStrings(model.JobLabel, job, model.InstanceLabel, a.Host))
	for _, name := range slices.Sorted(maps.Keys(group)) {
		value := group[name]
		parameter, isParameter := strings.CutPrefix(name, model.ParamLabelPrefix)
		switch {
		case name == model.MetricsPathLabel:
			e.url.Path = value
		case name == model.SchemeLabel:
			e.url.Scheme = value
		case isParameter:
			query.Set(parameter, value)
			changed = true
		case !strings.HasPrefix(name, model.ReservedLabelPrefix):
			b.Set(name, value)
		}
	}
	if changed {
		e.url.RawQuery = query.Encode()
	}
	e.labels = b.Labels()
	return e
}

// key identifies the endpoint.
func (e *endpoint) key() string { return e.url.String() + " " + e.labels.String() }

// target is an endpoint and the result of its last scrape.
type target struct {
	endpoint
	cache    *exposition.Cache
	err      error
	duration time.Duration
}

// gauges returns the metrics about each scrape, which are those of Prometheus. [target.report] sets them in this order.
func gauges() []exposition.Gauge {
	return []exposition.Gauge{
		{Name: "up", Help: "1 if the scrape succeeded, 0 if it failed."},
		{Name: "scrape_duration_seconds", Help: "Duration of the scrape."},
		{Name: "scrape_samples_scraped", Help: "Samples that the target exposed."},
		{Name: "scrape_samples_post_metric_relabeling", Help: "Samples that remained after relabelling."},
		{Name: "scrape_series_added", Help: "Series that are new in this scrape."},
	}
}

// report sets the gauges about the last scrape.
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
