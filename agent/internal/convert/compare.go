package convert

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Page is what an exporter exposes: series, and the types of metrics.
type Page struct {
	series map[string]sample // by name and labels
	types  map[string]string // by metric name
}

type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// NewPage returns a page without series.
func NewPage() *Page { return &Page{series: map[string]sample{}, types: map[string]string{}} }

// Read adds the series of a text in Prometheus' format. It leaves out metrics that a program exposes about itself.
func (p *Page) Read(text io.Reader) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return fmt.Errorf("not in Prometheus' text format: %w", err)
	}
	for name, f := range families {
		if ownSeries(name) {
			continue
		}
		p.types[name] = strings.ToLower(f.GetType().String())
		for _, m := range f.GetMetric() {
			p.add(name, m)
		}
	}
	return nil
}

// ownSeries reports whether a metric is about the program that exposes it.
func ownSeries(name string) bool {
	if name == "up" {
		return true
	}
	return slices.ContainsFunc([]string{
		"go_", "process_", "promhttp_", "scrape_", "cton_", "json_exporter_", "sql_exporter_", "script_exporter_", "net_conntrack_", "prometheus_",
	}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// add adds the series of a metric.
func (p *Page) add(name string, m *dto.Metric) {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		if l.GetValue() != "" {
			labels[l.GetName()] = l.GetValue()
		}
	}
	one := func(suffix string, value float64, more ...string) {
		s := sample{name + suffix, maps.Clone(labels), value}
		if len(more) == 2 {
			s.labels[more[0]] = more[1]
		}
		p.series[s.String()] = s
	}
	switch {
	case m.Histogram != nil:
		for _, b := range m.GetHistogram().GetBucket() {
			one("_bucket", float64(b.GetCumulativeCount()), "le", shown(b.GetUpperBound()))
		}
		one("_sum", m.GetHistogram().GetSampleSum())
		one("_count", float64(m.GetHistogram().GetSampleCount()))
	case m.Summary != nil:
		for _, q := range m.GetSummary().GetQuantile() {
			one("", q.GetValue(), "quantile", shown(q.GetQuantile()))
		}
		one("_sum", m.GetSummary().GetSampleSum())
		one("_count", float64(m.GetSummary().GetSampleCount()))
	default:
		one("", m.GetGauge().GetValue()+m.GetCounter().GetValue()+m.GetUntyped().GetValue())
	}
}

func shown(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// String returns the name and the labels of the series.
func (s sample) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(s.labels)) {
		parts = append(parts, k+"="+strconv.Quote(s.labels[k]))
	}
	if len(parts) == 0 {
		return s.name
	}
	return s.name + "{" + strings.Join(parts, ", ") + "}"
}

// Comparison is the result of comparing two pages.
type Comparison struct {
	Same        int
	Differences []string
}

// Compare compares what the old exporter exposed with what cton exposes now. The arguments "before" and "after" are the old exporter's
// pages from before and after cton's run. The value that cton has for a series must be between the values of this series on these two
// pages. The labels job and instance, which a scrape adds, are ignored unless the old pages have them.
func Compare(before, after, now *Page) Comparison {
	var c Comparison
	for _, name := range []string{"job", "instance"} {
		if !before.has(name) {
			now = now.without(name)
		}
	}
	var gone, added []sample
	for _, key := range slices.Sorted(maps.Keys(before.series)) {
		old := before.series[key]
		got, ok := now.series[key]
		if !ok {
			gone = append(gone, old)
			continue
		}
		late := old
		if s, ok := after.series[key]; ok {
			late = s
		}
		if !between(got.value, old.value, late.value) {
			c.differ("value of %s: %s, cton %s", key, shown(old.value), shown(got.value))
			continue
		}
		c.Same++
	}
	for _, key := range slices.Sorted(maps.Keys(now.series)) {
		if _, ok := before.series[key]; !ok {
			added = append(added, now.series[key])
		}
	}
	c.pairs(gone, added)
	for _, name := range slices.Sorted(maps.Keys(before.types)) {
		old, got := before.types[name], now.types[name]
		if got != "" && old != got && old != "untyped" {
			c.differ("type of %s: %s, cton %s", name, old, got)
		}
	}
	return c
}

func (c *Comparison) differ(format string, args ...any) {
	c.Differences = append(c.Differences, fmt.Sprintf(format, args...))
}

// between reports whether v is between a and b, or equal to one of them.
func between(v, a, b float64) bool {
	if math.IsNaN(v) {
		return math.IsNaN(a) || math.IsNaN(b)
	}
	return v >= min(a, b) && v <= max(a, b) || v == a || v == b
}

func (p *Page) has(label string) bool {
	for _, s := range p.series {
		if s.labels[label] != "" {
			return true
		}
	}
	return false
}

// without returns a copy of the page without a label.
func (p *Page) without(label string) *Page {
	q := NewPage()
	q.types = p.types
	for _, s := range p.series {
		s.labels = maps.Clone(s.labels)
		delete(s.labels, label)
		q.series[s.String()] = s
	}
	return q
}

// pairs looks for series that only one side has, and adds them to the differences. It reports two series together, one of each side, if
// they have the same name and similar labels.
func (c *Comparison) pairs(gone, added []sample) {
	const most = 2000 // with more series, no pairs are searched
	for _, old := range gone {
		best, distance := -1, math.MaxInt
		if len(gone)+len(added) <= most {
			for i, s := range added {
				if d := len(differing(old, s)); s.name == old.name && (d < distance || d == distance && s.value == old.value) {
					best, distance = i, d
				}
			}
		}
		if best < 0 || distance > max(1, len(old.labels)/2) {
			c.differ("series %s: only the old exporter shows it, with %s", old, shown(old.value))
			continue
		}
		s := added[best]
		added = slices.Delete(added, best, best+1)
		for _, label := range differing(old, s) {
			c.differ("label %s of %s: %s, cton %s", label, old, quoted(old.labels[label]), quoted(s.labels[label]))
		}
		if s.value != old.value {
			c.differ("value of %s: %s, cton %s", old, shown(old.value), shown(s.value))
		}
	}
	for _, s := range added {
		c.differ("series %s: only cton gives it, with %s", s, shown(s.value))
	}
}

func quoted(value string) string {
	if value == "" {
		return "absent"
	}
	return strconv.Quote(value)
}

// differing returns the sorted names of the labels whose values differ between two series.
func differing(a, b sample) []string {
	var names []string
	for name, value := range a.labels {
		if b.labels[name] != value {
			names = append(names, name)
		}
	}
	for name := range b.labels {
		if _, ok := a.labels[name]; !ok {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}
