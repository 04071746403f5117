// Package jq computes the readings of a job's metrics from a document, with jq expressions.
//
// Each expression is compiled once. A simple expression (paths, arithmetic, comparisons, common functions) is evaluated directly on
// the document, with the same result as in jq. All other expressions, and all errors, are left to gojq, for which the document is
// converted. Metrics with the same items are computed in one pass over the items.
//
// To read this package, begin with source.go, which does one tick. expr.go evaluates an expression. compile.go compiles it to steps
// that do not need gojq, and eval.go and value.go run the steps. lookup.go finds the members of objects.
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
	agenttext "github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

//go:embed example.yaml
var example string

// Kind is the entry in the catalogue.
var Kind = sources.Kind[sources.Source]{
	Name:        "metrics",
	Defaults:    func() sources.Config[sources.Source] { return &Config{} },
	Example:     example,
	Expressions: func(c sources.Config[sources.Source]) []sources.Expression { return c.(*Config).expressions() },
}

// Config holds the metrics by name.
type Config map[string]*Metric

// Metric declares a metric and says how to compute its readings.
type Metric struct {
	sources.Declaration `yaml:",inline"`

	Items   *Expr            `yaml:"items"`
	Value   *Expr            `yaml:"value"`
	Labels  map[string]*Expr `yaml:"labels"`
	OnceBy  *Expr            `yaml:"once_by"`
	Map     map[string]Float `yaml:"map"`
	Default *Default         `yaml:"default"`
	Missing Missing          `yaml:"missing"`

	// Settings of metrics whose names come from the items, and of labels whose names come from the items.
	NameFrom   *Expr `yaml:"name_from"`
	HelpFrom   *Expr `yaml:"help_from"`
	MaxNames   int   `yaml:"max_names"` // 0 = 100
	LabelsFrom *Expr `yaml:"labels_from"`

	Time       *Expr      `yaml:"time"`
	TimeFormat TimeFormat `yaml:"time_format"`
	TimeZone   Zone       `yaml:"time_zone"`
}

// Validate checks every metric.
func (c *Config) Validate() error {
	if len(*c) == 0 {
		return setting.Errorf("", "is empty: declare at least one metric, by its name")
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(*c)) {
		m := (*c)[name]
		if m == nil {
			errs = append(errs, setting.Errorf(name, "needs at least a type and a value"))
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
		errs = append(errs, setting.Errorf("value", "is required: a jq expression such as .total"))
	}
	if m.Map != nil && m.Default == nil {
		errs = append(errs, setting.Errorf("map", "needs a default for strings that it does not name: a number, or drop"))
	}
	if m.Map == nil && m.Default != nil {
		errs = append(errs, setting.Errorf("default", "is only valid with map; for a value that is missing set missing"))
	}
	for label, expr := range m.Labels {
		if expr == nil {
			errs = append(errs, setting.Errorf("labels."+label, "is required: a jq expression such as .team"))
		}
	}
	errs = append(errs, m.validateTime(), m.validateNames())
	return errors.Join(append(errs, m.Declaration.Validate(m.checkedName(name), m.labelNames(), m.OnceBy != nil))...)
}

// labelNames returns the names of the labels, sorted.
func (m *Metric) labelNames() []string { return slices.Sorted(maps.Keys(m.Labels)) }

func (m *Metric) desc(name string) *metric.Desc {
	labels := m.labelNames()
	if m.LabelsFrom != nil {
		labels = append(labels, metric.MoreLabels)
	}
	d := m.Desc(name, labels, m.OnceBy != nil)
	d.How, d.OwnTimes = m.fingerprint(), m.Time != nil
	return d
}

// fingerprint returns the text of everything that determines the readings. State that was saved with another fingerprint is not
// used.
func (m *Metric) fingerprint() string {
	how := fmt.Sprint(m.Items, m.Value, m.OnceBy)
	for _, label := range m.labelNames() {
		how += fmt.Sprint(" ", m.Labels[label])
	}
	if m.LabelsFrom != nil {
		how += fmt.Sprint(" labels ", m.LabelsFrom)
	}
	if m.NameFrom != nil {
		how += fmt.Sprint(" named ", m.NameFrom)
	}
	if m.Time != nil {
		how += fmt.Sprintf(" at %s %q %v", m.Time, m.TimeFormat, m.TimeZone)
	}
	return how
}

// usesTime reports whether the readings depend on the time of the tick or its window, so that an answer that is used again can have other
// readings. A string with the word now in an expression counts too.
func (m *Metric) usesTime() bool {
	how := m.fingerprint()
	if strings.Contains(how, "$start") || strings.Contains(how, "$end") {
		return true
	}
	const now = "now"
	for before, rest, found := strings.Cut(how, now); found; before, rest, found = strings.Cut(rest, now) {
		left, right := " "+before, rest+" "
		if !isOfWord(left[len(left)-1]) && !strings.ContainsRune(".$\"", rune(left[len(left)-1])) && !isOfWord(right[0]) {
			return true
		}
	}
	return false
}

// isOfWord reports whether a name in jq can contain the character.
func isOfWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// Declares returns the descriptions of the metrics, except metrics with name_from, whose names are not known before a run.
func (c *Config) Declares() []*metric.Desc {
	var all []*metric.Desc
	for _, name := range slices.Sorted(maps.Keys(*c)) {
		if m := (*c)[name]; m != nil && m.NameFrom == nil {
			all = append(all, m.desc(name))
		}
	}
	return all
}

// AddLabels implements [sources.Labeler].
func (c *Config) AddLabels(labels map[string]string) {
	for _, m := range *c {
		m.Declaration.AddLabels(labels, m.labelNames())
	}
}

// New makes the source. The job must have a fetcher.
func (c *Config) New(env sources.Env) (sources.Source, error) {
	if env.Fetch == nil {
		return nil, errors.New("the job has no fetcher: metrics need one, such as http, exec, file or sql")
	}
	return newSource(*c, env.Fetch), nil
}

// Dated reports whether every metric depends on the tick's window, or has readings with their own timestamps.
func (c *Config) Dated() bool {
	for _, m := range *c {
		if m != nil && m.Time == nil && !strings.Contains(m.fingerprint(), "$start") && !strings.Contains(m.fingerprint(), "$end") {
			return false
		}
	}
	return true
}

// expressions returns the expressions of all metrics, and for each the part that only gojq can evaluate.
func (c *Config) expressions() []sources.Expression {
	var all []sources.Expression
	for _, name := range slices.Sorted(maps.Keys(*c)) {
		m := (*c)[name]
		add := func(setting string, x *Expr, several bool) {
			if x != nil {
				all = append(all, sources.Expression{Setting: name + "." + setting, Text: agenttext.OneLine(x.text), Needs: x.needsJQ(several)})
			}
		}
		add("items", m.Items, true)
		add("value", m.Value, false)
		add("once_by", m.OnceBy, false)
		add("name_from", m.NameFrom, false)
		add("help_from", m.HelpFrom, false)
		add("labels_from", m.LabelsFrom, false)
		for _, label := range m.labelNames() {
			add("labels."+label, m.Labels[label], false)
		}
	}
	return all
}

// needsJQ returns the part of the expression that only gojq can evaluate, or "" if there is none. The parameter "several" says whether the
// expression may return more than one value.
func (x *Expr) needsJQ(several bool) string {
	switch x = x.atNode(&pathNode{}); {
	case x.stages == nil:
		return short(agenttext.OneLine(x.needs))
	case !several && x.step == nil:
		return ".[]"
	}
	return ""
}

// Float is a number in the setting "map".
type Float float64

// UnmarshalText parses a finite number.
func (f *Float) UnmarshalText(text []byte) error {
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || n-n != 0 {
		return errors.New("want a number")
	}
	*f = Float(n)
	return nil
}

// Default is the value for all texts that the setting "map" does not contain. If Drop is true, a reading with such a text is dropped
// instead.
type Default struct {
	Value Float
	Drop  bool
}

// UnmarshalText parses a number or the word drop.
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

// Missing says what to do if the value of a reading is null or absent. Only Error also applies to labels. With Drop and Zero, a label that
// is null or absent is left out.
type Missing uint8

// Drop drops the reading. Error makes the whole metric fail, also if a label is missing. Zero makes the value zero.
const (
	Drop Missing = iota
	Error
	Zero
)

// Words returns all values that the setting can have, for cton explain.
func (Missing) Words() []string { return []string{"drop", "error", "zero"} }

// UnmarshalText parses drop, error or zero.
func (m *Missing) UnmarshalText(text []byte) error {
	i := slices.Index(m.Words(), string(text))
	if i < 0 {
		return errors.New("want drop, error or zero")
	}
	*m = Missing(i)
	return nil
}
