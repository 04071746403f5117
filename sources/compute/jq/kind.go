// Package jq computes readings from a document by jq expressions: the `metrics:` of a job.
package jq

import (
	_ "embed" // the example
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

//go:embed example.yaml
var example string

// Kind is the catalogue's entry.
var Kind = sources.Kind[sources.Source]{
	Name:     "metrics",
	Defaults: func() sources.Config[sources.Source] { return &Config{} },
	Example:  example,
}

// Config is the metrics by name.
type Config map[string]*Metric

// Metric says what one metric is and how its readings are computed. Expressions are jq.
type Metric struct {
	sources.Declaration `yaml:",inline"`

	Items   *Expr            `yaml:"items"`
	Value   *Expr            `yaml:"value"`
	Labels  map[string]*Expr `yaml:"labels"`
	OnceBy  *Expr            `yaml:"once_by"`
	Map     map[string]Float `yaml:"map"`
	Default *Default         `yaml:"default"`
	Missing Missing          `yaml:"missing"`

	Time       *Expr      `yaml:"time"`
	TimeFormat TimeFormat `yaml:"time_format"`
	TimeZone   Zone       `yaml:"time_zone"`
}

// Float is a number of a map.
type Float float64

// UnmarshalText reads a finite number.
func (f *Float) UnmarshalText(text []byte) error {
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || n-n != 0 {
		return errors.New("want a number")
	}
	*f = Float(n)
	return nil
}

// Default is what a text that the map does not know becomes: a number, or nothing.
type Default struct {
	Value Float
	Drop  bool
}

// UnmarshalText reads a number or the word drop.
func (d *Default) UnmarshalText(text []byte) error {
	if string(text) == "drop" {
		d.Drop = true
		return nil
	}
	if d.Value.UnmarshalText(text) != nil {
		return errors.New("want a number, or drop")
	}
	return nil
}

// Missing says what becomes of a field that is null or not there.
type Missing uint8

// A missing field drops its reading, is its metric's error, or counts as zero or as an absent label.
const (
	Drop Missing = iota
	Error
	Zero
)

// UnmarshalText reads drop, error or zero.
func (m *Missing) UnmarshalText(text []byte) error {
	i := slices.Index([]string{"drop", "error", "zero"}, string(text))
	if i < 0 {
		return errors.New("want drop, error or zero")
	}
	*m = Missing(i)
	return nil
}

// Validate checks every metric.
func (c *Config) Validate() error {
	if len(*c) == 0 {
		return setting.Bad("", "names no metric")
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(*c)) {
		m := (*c)[name]
		if m == nil {
			errs = append(errs, setting.Bad(name, "needs at least a type and a value"))
			continue
		}
		if err := m.validate(name); err != nil {
			errs = append(errs, setting.Under(name, err))
		}
	}
	return errors.Join(errs...)
}

func (m *Metric) validate(name string) error {
	var errs []error
	if m.Value == nil && (m.Type != metric.Counter || m.OnceBy == nil && m.From != metric.Events) {
		errs = append(errs, setting.Bad("value", "is needed: a jq expression such as .total"))
	}
	if m.Map != nil && m.Default == nil {
		errs = append(errs, setting.Bad("map", "needs a default beside it for texts that it does not name: a number, or drop"))
	}
	if m.Map == nil && m.Default != nil {
		errs = append(errs, setting.Bad("default", "goes with map; for fields that are missing there is missing"))
	}
	for label, expr := range m.Labels {
		if expr == nil {
			errs = append(errs, setting.Bad("labels."+label, "is needed: a jq expression such as .team"))
		}
	}
	errs = append(errs, m.validateTime())
	return errors.Join(append(errs, m.Declaration.Validate(name, m.labelNames(), m.OnceBy != nil))...)
}

func (m *Metric) labelNames() []string { return slices.Sorted(maps.Keys(m.Labels)) }

func (m *Metric) desc(name string) *metric.Desc {
	d := m.Desc(name, m.labelNames(), m.OnceBy != nil)
	d.How = m.how()
	return d
}

// how is what the metric's readings are computed by.
func (m *Metric) how() string {
	how := fmt.Sprint(m.Items, m.Value, m.OnceBy)
	for _, label := range m.labelNames() {
		how += fmt.Sprint(" ", m.Labels[label])
	}
	if m.Time != nil {
		how += fmt.Sprintf(" at %s %q %v", m.Time, m.TimeFormat, m.TimeZone)
	}
	return how
}

// Declares lists the metrics.
func (c *Config) Declares() []*metric.Desc {
	var all []*metric.Desc
	for _, name := range slices.Sorted(maps.Keys(*c)) {
		if m := (*c)[name]; m != nil {
			all = append(all, m.desc(name))
		}
	}
	return all
}

// New makes the source; the job has to have a fetcher.
func (c *Config) New(env sources.Env) (sources.Source, error) {
	if env.Fetch == nil {
		return nil, fmt.Errorf("metrics need a document: the job has none to fetch")
	}
	return newSource(*c, env.Fetch), nil
}

// Dated tells whether the readings of every metric have times of their own, or are chosen by the tick's window.
func (c *Config) Dated() bool {
	for _, m := range *c {
		if m != nil && m.Time == nil && !strings.Contains(m.how(), "$start") && !strings.Contains(m.how(), "$end") {
			return false
		}
	}
	return true
}
