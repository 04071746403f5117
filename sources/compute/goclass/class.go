// Package goclass lets a user's program compute metrics in Go. A class is a set of methods, one for each metric. Jobs select a class by its
// name, which is a key in their configuration. Package goclass replaces the class of the same name in the Python framework.
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
// The configuration says where the data comes from, and declares each metric: see example.yaml.
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
// A method returns the readings of one tick and keeps no state: the agent keeps totals, last values and the IDs of events. If a method
// returns an error or panics, its metric fails in that tick, and keeps its last value for as long as that value is valid. If the job's own
// document cannot be fetched, the whole tick fails.
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

// Methods holds the methods of a class. The key is the name of the metric that a method measures. The name of a counter may omit _total.
type Methods map[string]Method

// Method measures one metric.
type Method struct {
	// Measure returns the readings of a tick. In each tick, the methods of a job are called once, one after another.
	Measure func(ctx context.Context, t *Tick) ([]Reading, error)

	// Delta says that Measure returns a running total of the API, and the metric measures the change of the total. In the
	// configuration, this is "from: total" of a counter, and "delta: true" of a gauge (its value is the change) and of a histogram or
	// summary (it observes the change).
	Delta bool

	// Increment says that Measure returns changes, which are added up. In the configuration of a counter or a gauge, this is
	// "from: increment".
	Increment bool

	// Once says that each reading has the ID of an event, and that an event is counted only once, even if the API returns it in
	// several ticks. In the configuration, this is "once_by".
	Once bool
}

// Reading is one measured value.
type Reading struct {
	Value  float64
	Labels map[string]string // the value of each label that the configuration declares for the metric
	Event  string            // the event ID, if Once is set
	Time   time.Time         // the timestamp, only for a gauge or a counter of totals; zero = the time of the tick
}

// One returns one reading for a metric without labels. It returns an error if the value is not a number.
func One(number document.Value) ([]Reading, error) {
	value, ok := number.Number()
	if !ok {
		return nil, fmt.Errorf("want a number, got %s", number.Kind())
	}
	return []Reading{{Value: value}}, nil
}

// Kind returns the kind of source to pass to agent.Main. The argument "name" is the key in the configuration file.
func Kind(name string, methods Methods) sources.Kind[sources.Source] {
	return sources.Kind[sources.Source]{
		Name:     name,
		Defaults: func() sources.Config[sources.Source] { return &Config{class: name, methods: methods} },
		Example:  example,
		Notes: func(c sources.Config[sources.Source], _ sources.Env) ([]string, error) {
			return c.(*Config).notes(), nil
		},
	}
}

// Config holds the settings: the metrics, and the settings and secrets that the methods may read.
type Config struct {
	Settings map[string]any            `yaml:"settings"`
	Secrets  map[string]setting.Secret `yaml:"secrets"`
	Metrics  sources.Metrics           `yaml:"metrics"`

	class   string
	methods Methods
}

// Validate checks the metrics, and that every metric has a method.
func (c *Config) Validate() error {
	errs := []error{c.Metrics.Validate()}
	for _, name := range slices.Sorted(maps.Keys(c.Metrics)) {
		method, ok := c.find(name)
		if !ok {
			errs = append(errs, setting.Errorf("metrics."+name, "class %s has no method for this metric; its methods: %s", c.class, list(slices.Sorted(maps.Keys(c.methods)))))
			continue
		}
		if m := c.Metrics[name]; m != nil {
			if err := c.methods[method].declare(m.Desc(name)); err != nil {
				errs = append(errs, setting.Errorf("metrics."+name, "%s.%s: %v", c.class, method, err))
			}
		}
	}
	return errors.Join(errs...)
}

// notes returns the methods that no metric uses.
func (c *Config) notes() []string {
	used := map[string]bool{}
	for name := range c.Metrics {
		if method, ok := c.find(name); ok {
			used[method] = true
		}
	}
	var all []string
	for _, method := range slices.Sorted(maps.Keys(c.methods)) {
		if !used[method] {
			all = append(all, fmt.Sprintf("class %s measures %s, which metrics does not declare: it is not computed", c.class, method))
		}
	}
	return all
}

// find returns the name of the method for a metric.
func (c *Config) find(metric string) (string, bool) {
	for _, name := range []string{metric, strings.TrimSuffix(metric, "_total")} {
		if _, ok := c.methods[name]; ok {
			return name, true
		}
	}
	return "", false
}

// declare applies Once, Delta and Increment to the description of the metric.
func (m Method) declare(d *metric.Desc) error {
	if m.Measure == nil {
		return errors.New("the method has no Measure")
	}
	if m.Once {
		if err := sources.EnableOnce(d); err != nil {
			return fmt.Errorf("the setting Once is only valid for %w", err)
		}
	}
	if m.Delta {
		if err := sources.EnableDelta(d); err != nil {
			return fmt.Errorf("the setting Delta is only valid for %w", err)
		}
	}
	if m.Increment {
		if err := sources.EnableIncrement(d); err != nil {
			return fmt.Errorf("the setting Increment is only valid for %w", err)
		}
	}
	return nil
}

// Declares returns the descriptions of the metrics.
func (c *Config) Declares() []*metric.Desc {
	descs := c.Metrics.Descs()
	for _, d := range descs {
		if method, ok := c.find(d.Name); ok {
			_ = c.methods[method].declare(d)           // Validate reports the error
			d.How = "method " + c.class + "." + method // so that the totals of another method are not continued
		}
	}
	return descs
}

// AddLabels implements [sources.Labeler].
func (c *Config) AddLabels(labels map[string]string) { c.Metrics.AddLabels(labels) }

// New makes the source.
func (c *Config) New(env sources.Env) (sources.Source, error) {
	s := &source{Config: c, env: env}
	for _, d := range c.Declares() {
		method, _ := c.find(d.Name)
		s.names = append(s.names, method)
		s.measured = append(s.measured, metric.Measured{Desc: d})
	}
	return s, nil
}
