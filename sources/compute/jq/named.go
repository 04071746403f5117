package jq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	agenttext "github.com/collectington/collectington/agent/text"
)

// Bounds on the names, labels and helps that items give.
const (
	defaultNames = 100    // default of max_names
	maxNames     = 10_000 // maximum of max_names
	maxName      = 200    // bytes of the name of a metric or label
	maxMore      = 100    // labels that labels_from gives an item
	maxHelp      = 500    // bytes of a help
)

// validateNames checks the settings for names that come from the items of a metric: name_from, help_from and max_names.
func (m *Metric) validateNames() error {
	var errs []error
	bad := func(path, format string, args ...any) { errs = append(errs, setting.Errorf(path, format, args...)) }
	switch {
	case m.NameFrom == nil && m.HelpFrom != nil:
		bad("help_from", "is only valid with name_from; without it write help")
	case m.NameFrom == nil && m.MaxNames != 0:
		bad("max_names", "is only valid with name_from")
	case m.NameFrom != nil && !(m.Type == metric.Gauge || m.Type == metric.Counter && m.From == metric.Total && m.OnceBy == nil):
		bad("name_from", "is only valid for a gauge, or a counter with from: total; for other counters write one metric for each name")
	}
	if m.MaxNames < 0 || m.MaxNames > maxNames {
		bad("max_names", "want 1 to %d", maxNames)
	}
	return errors.Join(errs...)
}

// checkedName returns the name with which the declaration is checked. With name_from it is a made-up valid name, since the names are
// known only when the job runs.
func (m *Metric) checkedName(name string) string {
	if m.NameFrom == nil {
		return name
	}
	name = "name"
	if m.Unit != "" {
		name += "_" + m.Unit
	}
	if m.Type == metric.Counter {
		name += "_total"
	}
	return name
}

// names has the metrics of a declaration with name_from.
type names struct {
	max    int                     // max_names
	rule   string                  // key of the declaration in the configuration
	known  map[string]*namedMetric // metric by name
	order  []*namedMetric          // the metrics in the order in which they came
	active int                     // number of metrics that have a reading in the current tick
}

// namedMetric is a metric whose name an item has given.
type namedMetric struct {
	metric.Measured
	rule *names
}

// begin removes the readings of the previous tick.
func (n *names) begin() {
	n.active = 0
	for _, m := range n.order {
		m.Measured = metric.Measured{Desc: m.Desc, Rows: m.Rows[:0]}
	}
}

// count returns the number of readings of the current tick.
func (n *names) count() (rows int) {
	if n == nil {
		return 0
	}
	for _, m := range n.order {
		rows += len(m.Rows)
	}
	return rows
}

// end forgets the metrics that have no reading in the tick, and removes their names from the map "taken".
func (n *names) end(taken map[string]*namedMetric) {
	n.order = slices.DeleteFunc(n.order, func(m *namedMetric) bool {
		if len(m.Rows) > 0 {
			return false
		}
		delete(n.known, m.Desc.Name)
		for _, series := range m.Desc.SeriesNames() {
			delete(taken, series)
		}
		return true
	})
}

// nameOf returns the metric with the name that name_from computes from an item. It creates the metric if the name is new.
func (s *source) nameOf(ctx context.Context, r *metricPlan, in *item) (*metric.Measured, *itemProblem) {
	v, err := r.NameFrom.evalOne(ctx, &s.evaluator, in)
	switch {
	case err != nil:
		return nil, &itemProblem{metric.Expression, fmt.Sprintf("name_from %s: %v", r.NameFrom, failed(err)), nil}
	case v.isNull():
		return nil, &itemProblem{metric.Missing, fmt.Sprintf("name_from %s is missing", r.NameFrom), &remedy{expr: r.NameFrom, give: remedyMissing}}
	case !v.isText():
		return nil, &itemProblem{metric.Unnamed, fmt.Sprintf("name_from %s: want a string, got %s", r.NameFrom, v.preview()), nil}
	}
	name, n := v.text(), r.names
	m := n.known[name]
	if m == nil || len(m.Rows) == 0 {
		if n.active == n.max {
			return nil, &itemProblem{metric.TooMany, fmt.Sprintf("the name %.80q is one more than max_names (%d)", name, n.max), nil}
		}
		if m == nil {
			var problem *itemProblem
			if m, problem = s.newName(ctx, r, strings.Clone(name), in); problem != nil {
				return nil, problem
			}
		}
	}
	if len(m.Rows) == 0 {
		n.active++
	}
	return &m.Measured, nil
}

// newName creates a metric of a declaration with the name that an item has given. It refuses invalid names and names that are already used.
func (s *source) newName(ctx context.Context, r *metricPlan, name string, in *item) (*namedMetric, *itemProblem) {
	unnamed := func(format string, args ...any) (*namedMetric, *itemProblem) {
		return nil, &itemProblem{metric.Unnamed, fmt.Sprintf(format, args...), nil}
	}
	switch {
	case len(name) > maxName:
		return unnamed("the name %.40q… has %d bytes, more than %d", name, len(name), maxName)
	case !model.LegacyValidation.IsValidMetricName(name):
		return unnamed(`the name %.80q has other characters than letters, digits, _ and : (gsub("[^a-zA-Z0-9_:]"; "_") replaces them), or begins with a digit`, name)
	}
	if err := r.Declaration.Validate(name, r.labelNames(), false); err != nil {
		return unnamed("the name %.80q: %s", name, short(strings.TrimPrefix(err.Error(), ": ")))
	}
	d := *s.measured[r.index].Desc
	d.Name, d.MinReadings = name, nil // expect.min counts the readings of all names together
	if r.HelpFrom != nil {
		v, err := r.HelpFrom.evalOne(ctx, &s.evaluator, in)
		if err != nil {
			return nil, &itemProblem{metric.Expression, fmt.Sprintf("help_from %s: %v", r.HelpFrom, failed(err)), nil}
		}
		if v.isText() && utf8.ValidString(v.text()) {
			d.Help = strings.Clone(agenttext.Cut(v.text(), maxHelp))
		}
	}
	m := &namedMetric{Measured: metric.Measured{Desc: &d}, rule: r.names}
	series := d.SeriesNames()
	for _, name := range series {
		if other, used := s.taken[name]; used {
			by := "this job"
			if other != nil {
				by = other.rule.rule + ", which takes its name from items too"
			}
			return unnamed("the name %.80q is also used by a metric of %s", d.Name, by)
		}
	}
	for _, name := range series {
		s.taken[name] = m
	}
	r.names.known[name], r.names.order = m, append(r.names.order, m)
	return m, nil
}

// moreLabels returns the labels that labels_from computes from an item, packed by metric.PackLabels. In a name, each character that
// Prometheus 2 does not allow is replaced by _, as Prometheus does in label names of its service discovery.
func (s *source) moreLabels(ctx context.Context, x *Expr, in *item) (string, *itemProblem) {
	v, err := x.evalOne(ctx, &s.evaluator, in)
	if err != nil {
		return "", &itemProblem{metric.Expression, fmt.Sprintf("labels_from %s: %v", x, failed(err)), nil}
	}
	bad := func(reason metric.Reason, format string, args ...any) (string, *itemProblem) {
		return "", &itemProblem{reason, fmt.Sprintf("labels_from %s: ", x) + fmt.Sprintf(format, args...), nil}
	}
	all, ok := members(v, s.members[:0])
	s.members = all
	switch {
	case v.isNull():
		return "", nil
	case !ok:
		return bad(metric.NotLabel, "want an object, got %s", v.preview())
	case len(all) > maxMore:
		return bad(metric.NotLabel, "has %d labels, more than %d", len(all), maxMore)
	}
	labels := s.more[:0]
	changed := false // a name differs from its key, so two labels may have the same name
	for i, m := range all {
		key, value, name := m.key, m.value, labelName(m.key)
		if value.isNull() {
			continue
		}
		changed = changed || name != key
		if changed {
			for _, other := range all[:i] {
				if !other.value.isNull() && labelName(other.key) == name {
					return bad(metric.Unnamed, "%.80q and %.80q both become the label %s: leave one of them out", other.key, key, name)
				}
			}
		}
		text, ok := value.label()
		switch {
		case len(key) > maxName, name == "", strings.HasPrefix(name, "__"), name == "le", name == "quantile":
			return bad(metric.Unnamed, "%.80q cannot be the name of a label", key)
		case !ok:
			return bad(metric.NotLabel, "%.80q: want a string, got %s", key, value.preview())
		case !utf8.ValidString(text):
			return bad(metric.NotLabel, "%.80q is not UTF-8", key)
		case len(text) > maxLabel:
			return bad(metric.LabelTooBig, "%.80q has %d bytes, more than %d", key, len(text), maxLabel)
		}
		labels = append(labels, metric.Label{Name: name, Value: text})
	}
	s.more = labels
	return metric.PackLabels(labels), nil
}

// labelMember is a member of an object of labels.
type labelMember struct {
	key   string
	value value
}

// members appends the members of an object to dst, and sorts them by key. dst must be empty. If several members have the same key, only the
// final one is kept. It returns false if v is not an object.
func members(v value, dst []labelMember) ([]labelMember, bool) {
	byKey := func(a, b labelMember) int { return strings.Compare(a.key, b.key) }
	if v.form == formDoc && v.doc().Kind() == document.Object {
		for key, one := range v.doc().Members {
			dst = append(dst, labelMember{key, ofDocument(one)})
		}
		slices.SortStableFunc(dst, byKey)
		last := dst[:0]
		for i := range dst {
			if i+1 == len(dst) || dst[i].key != dst[i+1].key {
				last = append(last, dst[i])
			}
		}
		return last, true
	}
	object, ok := v.jq().(map[string]any)
	for key, one := range object {
		dst = append(dst, labelMember{key, ofJQ(one)})
	}
	slices.SortFunc(dst, byKey)
	return dst, ok
}

// labelName converts a text to a valid label name: it replaces each character that is not allowed by _, and puts _ before a leading digit.
func labelName(s string) string {
	valid := func(i int, c rune) bool {
		return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9'
	}
	isOther := func(c rune) bool { return !valid(1, c) }
	if s == "" || strings.IndexFunc(s, isOther) < 0 && valid(0, rune(s[0])) {
		return s
	}
	var b strings.Builder
	for i, c := range s {
		switch {
		case valid(i, c):
			b.WriteRune(c)
		case i == 0 && c >= '0' && c <= '9':
			b.WriteString("_" + string(c))
		default:
			b.WriteByte('_')
		}
	}
	return b.String()
}
