package sources

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
)

// Declaration holds the settings of one metric that are independent of how the metric is computed: its type, and what its readings
// mean. Each kind of source embeds it (inline) in its own settings of a metric.
type Declaration struct {
	Type  metric.Type `yaml:"type"`
	Help  string      `yaml:"help" setting:"verbatim"`
	Unit  string      `yaml:"unit"`
	Const Labels      `yaml:"const_labels"`

	Delta       bool               `yaml:"delta"`
	From        metric.From        `yaml:"from"`
	OnDecrease  metric.OnDecrease  `yaml:"on_decrease"`
	OnDuplicate metric.OnDuplicate `yaml:"on_duplicate"`

	Expect *Expect `yaml:"expect"` // nil = any number of readings is allowed

	FirstRun  metric.FirstRun  `yaml:"first_run"`
	Remember  setting.Duration `yaml:"remember"`
	MaxEvents int              `yaml:"max_events"`

	Buckets   []float64        `yaml:"buckets"`
	Native    bool             `yaml:"native"`
	Quantiles []float64        `yaml:"quantiles"`
	MaxAge    setting.Duration `yaml:"max_age"`
}

// Expect says how many readings a tick must have.
type Expect struct {
	Min int `yaml:"min"` // fewer readings are an error of the metric
}

// Labels maps label names to label values.
type Labels map[string]string

// The default values of settings.
const (
	defaultRemember  = 24 * time.Hour
	defaultMaxEvents = 100_000
	defaultMaxAge    = 10 * time.Minute
)

// defaultBuckets returns the default buckets of client_golang, which are for durations in seconds.
func defaultBuckets() []float64 {
	return []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

// Desc returns the description of the metric for the ledger. The argument "labels" contains the label names of its readings, and "once"
// says whether readings have event IDs. Validate must have returned nil for the declaration.
func (d *Declaration) Desc(name string, labels []string, once bool) *metric.Desc {
	desc := &metric.Desc{
		Name: name, Help: d.Help, Unit: d.Unit, Type: d.Type,
		LabelNames: labels,
		Delta:      d.Delta, From: d.From, OnDecrease: d.OnDecrease, OnDuplicate: d.OnDuplicate,
		Once: once, Remember: time.Duration(d.Remember), MaxEvents: d.MaxEvents, FirstRun: d.FirstRun,
		Buckets: d.Buckets, Native: d.Native, Quantiles: d.Quantiles, MaxAge: time.Duration(d.MaxAge),
	}
	for name, value := range d.Const {
		desc.Const = append(desc.Const, metric.Label{Name: name, Value: value})
	}
	slices.SortFunc(desc.Const, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
	if d.Expect != nil {
		desc.MinReadings = &d.Expect.Min
	}
	if desc.Type == metric.Counter && once {
		desc.From = metric.Events
	}
	if desc.Type == metric.Histogram && desc.Buckets == nil && !desc.Native {
		desc.Buckets = defaultBuckets()
	}
	if desc.Remember == 0 {
		desc.Remember = defaultRemember
	}
	if desc.MaxEvents == 0 {
		desc.MaxEvents = defaultMaxEvents
	}
	if desc.MaxAge == 0 {
		desc.MaxAge = defaultMaxAge
	}
	return desc
}

// Validate checks the declaration of the metric with this name. The argument "labels" contains the label names of its readings, and "once"
// says whether readings have event IDs. The problems name settings of the metric.
func (d *Declaration) Validate(name string, labels []string, once bool) error {
	return errors.Join(
		d.checkName(name),
		d.checkLabels(labels),
		d.checkMeaning(once),
		d.checkShape(),
	)
}

// AddLabels adds the constant labels whose names the metric does not use yet. The argument "own" contains the label names of its readings.
func (d *Declaration) AddLabels(labels map[string]string, own []string) {
	all := Labels{}
	for name, value := range labels {
		if !slices.Contains(own, name) {
			all[name] = value
		}
	}
	maps.Copy(all, d.Const)
	d.Const = all
}

func (d *Declaration) checkName(name string) error {
	base := name
	if d.Type == metric.Counter {
		base = strings.TrimSuffix(name, "_total")
	}
	switch {
	case !model.UTF8Validation.IsValidMetricName(name):
		return setting.Errorf("", "%q is not a valid metric name: it is empty or not UTF-8", name)
	case strings.HasPrefix(name, "cton_"):
		return setting.Errorf("", "names that begin with cton_ are reserved for the agent's own metrics: choose another name")
	case d.Type == metric.Unknown:
		return setting.Errorf("type", "is required: gauge, counter, histogram or summary")
	case d.Type == metric.Counter && !strings.HasSuffix(name, "_total"):
		return setting.Errorf("", "a counter's name ends in _total: call it %s_total, or make it a gauge if its value can fall", name)
	case name == "_total":
		return setting.Errorf("", "the name needs a word before _total")
	case d.Unit != "" && !strings.HasSuffix(base, "_"+d.Unit):
		return setting.Errorf("unit", "the name of a metric with this unit must end in _%s: rename the metric, or remove unit", d.Unit)
	}
	return nil
}

func (d *Declaration) checkLabels(labels []string) error {
	var errs []error
	for _, name := range labels {
		errs = append(errs, d.checkLabel("labels", name))
		if _, both := d.Const[name]; both {
			errs = append(errs, setting.Errorf("const_labels."+name, "is in labels too: remove it from one of them"))
		}
	}
	for name, value := range d.Const {
		errs = append(errs, d.checkLabel("const_labels", name))
		if value == "" {
			errs = append(errs, setting.Errorf("const_labels."+name, "the value is empty: a label without a value does not exist; remove it"))
		}
	}
	return errors.Join(errs...)
}

func (d *Declaration) checkLabel(under, name string) error {
	switch {
	case !model.UTF8Validation.IsValidLabelName(name) || strings.Contains(name, ":"):
		return setting.Errorf(under+"."+name, "%q is not a valid label name: it is empty, has a colon, or is not UTF-8", name)
	case strings.HasPrefix(name, "__"):
		return setting.Errorf(under+"."+name, "names that begin with __ are reserved for Prometheus: choose another name")
	case name == "le" && d.Type == metric.Histogram, name == "quantile" && d.Type == metric.Summary:
		return setting.Errorf(under+"."+name, "the label %s is reserved for the series of a %s: give it another name", name, d.Type)
	}
	return nil
}

// checkMeaning finds settings that have no meaning for the metric's type.
func (d *Declaration) checkMeaning(once bool) error {
	var errs []error
	only := func(set bool, path string, ok bool, goes string) {
		if set && !ok {
			errs = append(errs, setting.Errorf(path, "is only valid %s", goes))
		}
	}
	counter, gauge := d.Type == metric.Counter, d.Type == metric.Gauge
	total := counter && d.From == metric.Total && !once
	observes := d.Type == metric.Histogram || d.Type == metric.Summary
	only(d.Delta, "delta", gauge && d.From == metric.Total || observes && !once,
		"for a gauge without from: increment, or a histogram or summary without once_by; remove it for a counter, whose changes rate() and increase() show")
	only(d.From == metric.Events, "from", counter, "for a counter if it is events; a gauge can only have from: increment, other types have no from")
	only(d.From == metric.Increment, "from", counter || gauge, "for a counter or a gauge")
	only(d.From == metric.Increment, "from", !once, "for a counter without once_by: an event counts once, an increment each time")
	only(d.OnDecrease != metric.DecreaseReset, "on_decrease", total, "for a counter from: total")
	only(d.OnDuplicate != metric.DuplicateError, "on_duplicate", gauge || observes && d.Delta || counter && d.From != metric.Events && !once,
		"for a gauge, a counter from: total or increment, or a metric with delta")
	only(once, "once_by", counter || observes, "for a counter, a histogram or a summary")
	only(d.FirstRun != metric.FirstCount, "first_run", once || d.From != metric.Total, "with once_by, or with from: increment or events")
	only(d.Remember != 0, "remember", once, "with once_by")
	only(d.MaxEvents != 0, "max_events", once, "with once_by")
	only(d.Buckets != nil, "buckets", d.Type == metric.Histogram, "for a histogram")
	only(d.Native, "native", d.Type == metric.Histogram, "for a histogram")
	only(d.Quantiles != nil, "quantiles", d.Type == metric.Summary, "for a summary")
	only(d.MaxAge != 0, "max_age", d.Quantiles != nil, "with quantiles")
	if d.Expect != nil && d.Expect.Min < 0 {
		errs = append(errs, setting.Errorf("expect.min", "want 0 or more: 0 accepts a run without readings, 1 makes it an error"))
	}
	if d.MaxEvents < 0 {
		errs = append(errs, setting.Errorf("max_events", "want a number above 0"))
	}
	return errors.Join(errs...)
}

func (d *Declaration) checkShape() error {
	var errs []error
	for i, bound := range d.Buckets {
		path := fmt.Sprintf("buckets.%d", i)
		switch {
		case math.IsNaN(bound) || math.IsInf(bound, 0):
			errs = append(errs, setting.Errorf(path, "want a finite upper bound; the bucket for +Inf is added by itself"))
		case i > 0 && bound <= d.Buckets[i-1]:
			errs = append(errs, setting.Errorf(path, "want bounds in ascending order: %v comes after %v", bound, d.Buckets[i-1]))
		}
	}
	for i, q := range d.Quantiles {
		path := fmt.Sprintf("quantiles.%d", i)
		switch {
		case !(q > 0 && q < 1):
			errs = append(errs, setting.Errorf(path, "want a number between 0 and 1, such as 0.99"))
		case slices.Contains(d.Quantiles[:i], q):
			errs = append(errs, setting.Errorf(path, "%v is listed twice: remove one", q))
		}
	}
	return errors.Join(errs...)
}
