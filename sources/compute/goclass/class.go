// Package goclass lets a program of your own compute metrics in Go: a set of methods, one for each metric, under the name by
// which jobs choose them. It is what a class was in the Python framework of the same name.
//
//	func main() {
//		os.Exit(agent.Main(class.Kind("Shop", class.Methods{
//			"orders":        {Measure: orders, Delta: true},
//			"delivery_time": {Measure: deliveryTime, Once: true},
//		})))
//	}
//
//	func orders(ctx context.Context, t *class.Tick) ([]class.Reading, error) {
//		doc, err := t.Document(ctx)
//		if err != nil {
//			return nil, err
//		}
//		return class.One(doc.Get("total"))
//	}
//
// The configuration says where the data comes from and what each metric is; see example.yaml:
//
//	jobs:
//	  shop:
//	    schedule: "@every 60s"
//	    http: {url: "https://shop.example.com/orders"}
//	    Shop:
//	      metrics:
//	        orders_total: {type: counter, help: Orders ever placed.}
//	        delivery_time: {type: histogram, labels: [country]}
//
// A method returns what it has measured in this tick and keeps nothing: what has to be remembered from tick to tick is the
// agent's business. An error or a panic costs that one metric this one tick, and its last value stays for as long as it is
// valid. Where the job's own document cannot be fetched, the whole tick fails.
package goclass

import (
	"context"
	_ "embed" // the example
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

//go:embed example.yaml
var example string

// Methods are a class's methods by the metric that each measures. A counter's _total may be left out.
type Methods map[string]Method

// Method is how one metric is measured.
type Method struct {
	// Measure returns what was measured. The methods of a job are called one after another, once a tick.
	Measure func(ctx context.Context, t *Tick) ([]Reading, error)

	// Delta says that Measure returns the API's running total, of which the change counts: of a counter as from: total, of
	// a gauge as delta: true.
	Delta bool

	// Once says that each reading carries the id of an event, which counts once however often the API shows it. It is as
	// once_by in the configuration.
	Once bool
}

// Reading is one value that was measured.
type Reading struct {
	Value  float64
	Labels map[string]string // of each label that the configuration names, its value
	Event  string            // with Once: the event's id
	Time   time.Time         // of a gauge or a counter's total: when it was so; zero = in this tick
}

// One is the reading of a metric without labels.
func One(number document.Value) ([]Reading, error) {
	value, ok := number.Number()
	if !ok {
		return nil, fmt.Errorf("want a number, got %s", number.Kind())
	}
	return []Reading{{Value: value}}, nil
}

// Kind is a kind of source for agent.Main. The name is the key in the configuration file.
func Kind(name string, methods Methods) sources.Kind[sources.Source] {
	return sources.Kind[sources.Source]{
		Name:     name,
		Defaults: func() sources.Config[sources.Source] { return &Config{class: name, methods: methods} },
		Example:  example,
	}
}

// Config says what a class measures, and what its methods need to know for it.
type Config struct {
	Settings map[string]any            `yaml:"settings"`
	Secrets  map[string]setting.Secret `yaml:"secrets"`
	Metrics  sources.Metrics           `yaml:"metrics"`

	class   string
	methods Methods
}

// Validate checks the metrics, and that methods and metrics belong together.
func (c *Config) Validate() error {
	errs := []error{c.Metrics.Validate()}
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.Metrics)) {
		method, ok := c.find(name)
		if !ok {
			errs = append(errs, setting.Bad("metrics."+name, "%s has no method for it; it has %s", c.class, list(slices.Sorted(maps.Keys(c.methods)))))
			continue
		}
		used[method] = true
		if m := c.Metrics[name]; m != nil {
			if err := c.methods[method].declare(m.Desc(name)); err != nil {
				errs = append(errs, setting.Bad("metrics."+name, "%s.%s: %v", c.class, method, err))
			}
		}
	}
	for _, method := range slices.Sorted(maps.Keys(c.methods)) {
		if !used[method] {
			errs = append(errs, setting.Bad("metrics", "%s measures %s too: declare it here", c.class, method))
		}
	}
	return errors.Join(errs...)
}

// find is the name of a metric's method.
func (c *Config) find(metric string) (string, bool) {
	for _, name := range []string{metric, strings.TrimSuffix(metric, "_total")} {
		if _, ok := c.methods[name]; ok {
			return name, true
		}
	}
	return "", false
}

// declare puts what the method says of its readings into what the configuration says of its metric.
func (m Method) declare(d *metric.Desc) error {
	if m.Measure == nil {
		return errors.New("the method has no Measure")
	}
	if m.Once {
		if err := sources.EnableOnce(d); err != nil {
			return fmt.Errorf("its Once goes with %w", err)
		}
	}
	if m.Delta {
		if err := sources.EnableDelta(d); err != nil {
			return fmt.Errorf("its Delta goes with %w", err)
		}
	}
	return nil
}

// Declares lists the metrics.
func (c *Config) Declares() []*metric.Desc {
	descs := c.Metrics.Descs()
	for _, d := range descs {
		if method, ok := c.find(d.Name); ok {
			_ = c.methods[method].declare(d)           // Validate tells
			d.How = "method " + c.class + "." + method // as in script: another class' totals are not its own
		}
	}
	return descs
}

// New binds each metric to its method.
func (c *Config) New(env sources.Env) (sources.Source, error) {
	s := &source{Config: c, env: env}
	for _, d := range c.Declares() {
		method, _ := c.find(d.Name)
		s.names = append(s.names, method)
		s.measured = append(s.measured, metric.Measured{Desc: d})
	}
	return s, nil
}
