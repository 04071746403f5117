package jq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/metric"
	agenttext "github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

// The limits for one metric in one tick.
const (
	maxItems = 2_000_000 // number of items
	maxLabel = 4096      // length of a label value in bytes
)

// source computes all metrics of a job from one document. Metrics with the same items are computed in one pass over the items,
// which is called a walk. Metrics of a walk that have the same labels share the label values.
type source struct {
	fetch     sources.Fetcher
	walks     []*walk
	measured  metric.Readings
	recounts  []bool                  // by the index of the metric: its readings add to totals, but not again if the answer is used again
	rules     []*names                // by the index of the metric; nil = the metric has no name_from
	taken     map[string]*namedMetric // for each series name, the metric with name_from that uses it; nil = a metric with a fixed name uses it
	readings  metric.Readings         // measured, and the metrics with name_from
	arena     []string                // label values of the current tick
	members   []labelMember           // members of the object that labels_from returns for the current item
	more      []metric.Label          // labels that labels_from gives the current item
	evaluator evaluator               // evaluates expressions in the current tick
	window    window                  // window of the current tick
	single    string                  // Document.Single of the current tick

	local map[*metric.Measured][]localTime // readings of the current tick in the hour that comes twice
}

// walk is a pass over the items of one or more metrics.
type walk struct {
	items  *Expr
	root   *pathNode // the node for an item; all expressions of the walk share it
	groups []*labelGroup
}

// begin removes what is left from the previous tick.
func (w *walk) begin() {
	w.root.forget()
	for _, g := range w.groups {
		clear(g.absent)
	}
}

// labelGroup holds the metrics of a walk that have the same labels.
type labelGroup struct {
	labels  []*Expr // in the order of the metrics' label names
	from    *Expr   // labels_from: gives labels whose names come from items; nil = none
	absent  []absence
	metrics []metricPlan
}

// absence counts items without a label, until an item has the label.
type absence struct {
	over  bool   // an item has the label
	items int    // number of items without the label
	first string // a hint for the first item without the label
}

// lacks counts an item that does not have the label with index i.
func (g *labelGroup) lacks(i int, in *item) {
	a := &g.absent[i]
	if a.over {
		return
	}
	if a.items++; a.items == 1 {
		a.first = missingRemedy(g.labels[i].text, in.forJQ())
	}
}

// warnings returns a line for each label that no item has.
func (g *labelGroup) warnings(items *Expr) []string {
	var lines []string
	for i, a := range g.absent {
		switch {
		case a.over || a.items == 0:
		case items == nil:
			lines = append(lines, short(fmt.Sprintf("label %s is missing", g.labels[i]))+a.first)
		default:
			lines = append(lines, short(fmt.Sprintf("label %s is missing in all items of %s (%d)", g.labels[i], items, a.items))+a.first)
		}
	}
	return lines
}

// metricPlan is a metric with its index in the readings.
type metricPlan struct {
	*Metric
	index int
	names *names // nil if the declaration names the metric
}

func newSource(c Config, fetch sources.Fetcher) *source {
	s := &source{fetch: fetch, taken: map[string]*namedMetric{}}
	walks, groups := map[string]*walk{}, map[string]*labelGroup{}
	for at, name := range slices.Sorted(maps.Keys(c)) {
		m := c[name]
		s.measured = append(s.measured, metric.Measured{Desc: m.desc(name), ByName: m.NameFrom != nil})
		rule := s.addNames(name, m, s.measured[at].Desc)
		s.rules = append(s.rules, rule)
		s.recounts = append(s.recounts, s.measured[at].Desc.Accumulates() && m.OnceBy == nil && !m.usesTime())
		items := ""
		if m.Items != nil {
			items = m.Items.text
		}
		w := walks[items]
		if w == nil {
			w = &walk{root: &pathNode{}}
			w.items = m.Items.atNode(w.root)
			walks[items] = w
			s.walks = append(s.walks, w)
		}
		key := items
		var labels []*Expr
		for _, label := range m.labelNames() {
			labels = append(labels, m.Labels[label].atNode(w.root))
			key += "\x00" + m.Labels[label].text
		}
		if m.LabelsFrom != nil {
			key += "\x00from " + m.LabelsFrom.text
		}
		g := groups[key]
		if g == nil {
			g = &labelGroup{labels: labels, from: m.LabelsFrom.atNode(w.root), absent: make([]absence, len(labels))}
			groups[key] = g
			w.groups = append(w.groups, g)
		}
		g.metrics = append(g.metrics, metricPlan{m.atNode(w.root), at, rule})
	}
	return s
}

// addNames returns an empty set for the metrics of a declaration whose items give the names (name_from). For a declaration with a fixed
// name it returns nil, and marks the names of its series as taken.
func (s *source) addNames(name string, m *Metric, d *metric.Desc) *names {
	if m.NameFrom == nil {
		for _, series := range d.SeriesNames() {
			s.taken[series] = nil
		}
		return nil
	}
	n := &names{max: cmp.Or(m.MaxNames, defaultNames), rule: name, known: map[string]*namedMetric{}}
	return n
}

// atNode returns the metric with its expressions compiled for the items of a walk.
func (m *Metric) atNode(p *pathNode) *Metric {
	placed := *m
	placed.Value, placed.OnceBy, placed.Time = m.Value.atNode(p), m.OnceBy.atNode(p), m.Time.atNode(p)
	placed.NameFrom, placed.HelpFrom = m.NameFrom.atNode(p), m.HelpFrom.atNode(p)
	return &placed
}

// Collect fetches the document and computes all metrics.
func (s *source) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	doc, err := s.fetch.Fetch(ctx, tick, sources.Request{})
	if err != nil {
		return nil, err
	}
	s.arena, s.window = s.arena[:0], windowOf(tick)
	s.evaluator.reset(tick)
	s.local = map[*metric.Measured][]localTime{}
	for i := range s.measured {
		m := &s.measured[i]
		m.Rows, m.Err, m.Drops, m.Warnings, m.Elsewhere, m.Answers = m.Rows[:0], nil, nil, nil, 0, nil
	}
	for _, n := range s.rules {
		if n != nil {
			n.begin()
		}
	}
	// The root is converted for gojq when the first expression needs it, so at most once per tick.
	root := &item{value: ofDocument(doc.Root)}
	s.single = doc.Single
	for _, w := range s.walks {
		w.begin()
		err := s.collectWalk(ctx, w, root)
		switch {
		case err != nil:
			s.fail(w, fmt.Errorf("items %s: %s", w.items, short(err.Error())))
		case w.items == nil && doc.Skipped.Items > 0: // the value depends on all items, so it would be wrong without some
			s.fail(w, lacks(doc.Skipped))
		}
	}
	switch {
	case s.evaluator.ended != nil:
		return nil, fmt.Errorf("compute metrics: %w", s.evaluator.ended)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("compute metrics: %w", context.Cause(ctx))
	}
	for _, w := range s.walks {
		s.warn(w, root)
	}
	s.gather(tick, doc)
	return s.readings, nil
}

// gather completes the readings that the walks have computed, and puts the readings of all metrics into s.readings.
func (s *source) gather(tick sources.Tick, doc *sources.Document) {
	s.readings = s.readings[:0]
	for i := range s.measured {
		m, names := &s.measured[i], s.rules[i]
		resolveLocal(m.Rows, s.local[m], tick.Time)
		m.Elsewhere = names.count()
		m.FailIfAllDropped()
		if m.Err == nil && doc.Skipped.Items > 0 && needsAll(m.Desc) {
			m.Err = lacks(doc.Skipped)
		}
		doc.Skipped.Count(m)
		if s.recounts[i] {
			m.Answers = []metric.Answer{{ID: doc.Answer, Rows: len(m.Rows)}}
		}
		s.readings = append(s.readings, *m)
		if names != nil {
			s.gatherNames(names, m, tick)
		}
	}
}

// lacks returns the error of a metric that would be wrong without the items that were skipped.
func lacks(skipped sources.Skipped) error {
	return fmt.Errorf("not computed: the document lacks %d of its items, and this metric needs all of them; the first: %w", skipped.Items, skipped.First)
}

// needsAll reports whether a metric would be wrong without some items, because its readings are added up. A counter without these items
// looks as if it had been reset, and a gauge without labels is about all items. A total that the ledger counts up is different: it merely
// lacks these items.
func needsAll(d *metric.Desc) bool {
	if d.OnDuplicate != metric.DuplicateSum && d.OnDuplicate != metric.DuplicateCount || d.From != metric.Total || d.Once {
		return false
	}
	return d.Type == metric.Counter || d.Type == metric.Gauge && len(d.LabelNames) == 0
}

// gatherNames adds the metrics of a declaration with name_from. All of these metrics get the error of the declaration.
func (s *source) gatherNames(n *names, of *metric.Measured, tick sources.Tick) {
	if of.Err == nil {
		n.end(s.taken)
	}
	for _, m := range n.order {
		resolveLocal(m.Rows, s.local[&m.Measured], tick.Time)
		m.Err = of.Err
		if of.Answers != nil {
			m.Answers = []metric.Answer{{ID: of.Answers[0].ID, Rows: len(m.Rows)}}
		}
		s.readings = append(s.readings, m.Measured)
	}
}

// fail sets the error of all metrics of a walk.
func (s *source) fail(w *walk, err error) {
	for _, g := range w.groups {
		for _, r := range g.metrics {
			s.measured[r.index].Err = err
		}
	}
}

// warn adds warnings for labels that no item of a walk has, since their paths are probably wrong, and for items that are members of a
// single element.
func (s *source) warn(w *walk, root *item) {
	single := s.singleWarning(w, root)
	for _, g := range w.groups {
		lines := g.warnings(w.items)
		if single != "" {
			lines = append(lines, single)
		}
		for _, r := range g.metrics {
			s.measured[r.index].Warnings = lines
		}
	}
}

var errTooMany = fmt.Errorf("more than %d items: select fewer of them in items", maxItems)

// collectWalk computes the metrics of a walk.
func (s *source) collectWalk(ctx context.Context, w *walk, root *item) error {
	if w.items == nil {
		s.collectItem(ctx, w, root)
		return nil
	}
	n := 0
	return w.items.evalAll(ctx, &s.evaluator, root, func(v value) error {
		if n++; n > maxItems {
			return errTooMany
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s.collectItem(ctx, w, &item{value: v, index: n - 1})
		return s.evaluator.ended
	})
}

// item is one item of a walk. It is converted for gojq when the first expression needs that.
type item struct {
	value
	index     int
	converted *any // the item as a value of gojq; nil until it is needed
}

// forJQ returns the item as a value of gojq.
func (i *item) forJQ() any {
	if i.converted == nil {
		data := i.jq()
		i.converted = &data
	}
	return *i.converted
}

// collectItem computes the readings of one item for all metrics of a walk.
func (s *source) collectItem(ctx context.Context, w *walk, in *item) {
	nullItem := w.items != nil && in.isNull()
	for _, g := range w.groups {
		var labels []string
		var absent *Expr
		problem := &itemProblem{metric.Missing, "it is null", nil}
		if !nullItem {
			labels, absent, problem = s.labels(ctx, g, in)
		}
		for _, r := range g.metrics {
			m := &s.measured[r.index]
			if m.Err != nil {
				continue
			}
			row := metric.Reading{Labels: labels}
			p := problem
			s.evaluator.twice = nil
			switch {
			case p != nil:
			case absent != nil && r.Missing == Error:
				p = &itemProblem{metric.Missing, fmt.Sprintf("label %s is missing", absent), &remedy{expr: absent, give: remedyMissing}}
			default:
				p = s.reading(ctx, r.Metric, in, &row)
			}
			if p == nil && r.Time != nil {
				p = r.ownTime(ctx, &s.evaluator, in, s.window, &row)
			}
			into := m
			if p == nil && r.names != nil {
				into, p = s.nameOf(ctx, &r, in)
			}
			if p != nil {
				p.report(m, r.Missing, w.items, in, g, labels)
				continue
			}
			if twice := s.evaluator.twice; twice != nil {
				twice.row = len(into.Rows)
				s.local[into] = append(s.local[into], *twice)
			}
			into.Rows = append(into.Rows, row)
		}
	}
}

// itemProblem is the reason why an item has no reading.
type itemProblem struct {
	reason metric.Reason
	text   string
	remedy *remedy // nil = there is no hint
}

// explain returns the text of the problem with a hint.
func (p *itemProblem) explain(items *Expr, in *item) string {
	return short(p.text) + p.remedy.text(items, in)
}

// report counts the problem as a dropped reading. If a value is missing and the setting "missing" has the value "error", it sets the
// metric's error instead.
func (p *itemProblem) report(m *metric.Measured, missing Missing, items *Expr, in *item, g *labelGroup, labels []string) {
	text := func() string {
		if items == nil {
			return p.explain(items, in)
		}
		return fmt.Sprintf("item %d of %s%s: %s", in.index, items, g.named(labels), p.explain(items, in))
	}
	if p.reason == metric.Missing && missing == Error {
		m.Err = errors.New(text())
		return
	}
	for i := range m.Drops {
		if m.Drops[i].Reason == p.reason {
			m.Drops[i].Count++
			return
		}
	}
	m.Drops = append(m.Drops, metric.Drop{Reason: p.reason, Count: 1, First: text()})
}

// named returns the label values of an item in parentheses, or "" if the item has none. In messages, the label values identify the item,
// since its index is not always its position in the document: to_entries sorts items, and select leaves items out.
func (g *labelGroup) named(labels []string) string {
	var shown []string
	for i, value := range labels[:min(len(labels), len(g.labels))] {
		if value != "" && len(shown) < maxNamed {
			shown = append(shown, fmt.Sprintf("%s: %q", g.labels[i], agenttext.Cut(value, maxMember)))
		}
	}
	if shown == nil {
		return ""
	}
	return " (" + strings.Join(shown, ", ") + ")"
}

// maxText is the maximum length of a message in bytes. It is needed because the error of an expression can contain the whole
// document.
const maxText = 300

// short cuts a message to maxText bytes.
func short(s string) string { return agenttext.Cut(s, maxText) }

// labels returns the label values of an item. A missing label has the value "". If labels are missing, the result "absent" is the
// expression of one of them, since a missing label is an error for some metrics.
func (s *source) labels(ctx context.Context, g *labelGroup, in *item) (values []string, absent *Expr, problem *itemProblem) {
	from := len(s.arena)
	for i, x := range g.labels {
		v, err := x.evalOne(ctx, &s.evaluator, in)
		text, ok := "", true
		switch {
		case err != nil:
			return nil, nil, &itemProblem{metric.Expression, fmt.Sprintf("label %s: %v", x, failed(err)), nil}
		case v.isNull():
			g.lacks(i, in)
			absent = x
		default:
			g.absent[i].over = true
			text, ok = v.label()
		}
		switch {
		case !ok:
			return nil, nil, &itemProblem{metric.NotLabel, fmt.Sprintf("label %s: want a string, got %s", x, v.preview()), &remedy{expr: x, v: v, give: remedyLabel}}
		case !utf8.ValidString(text):
			return nil, nil, &itemProblem{metric.NotLabel, fmt.Sprintf("label %s is not UTF-8", x), nil}
		case len(text) > maxLabel:
			return nil, nil, &itemProblem{metric.LabelTooBig, fmt.Sprintf("label %s has %d bytes, more than %d", x, len(text), maxLabel), nil}
		}
		s.arena = append(s.arena, text)
	}
	if g.from != nil {
		packed, problem := s.moreLabels(ctx, g.from, in)
		if problem != nil {
			return nil, nil, problem
		}
		s.arena = append(s.arena, packed)
	}
	return s.arena[from:len(s.arena):len(s.arena)], absent, nil
}

// reading sets the event ID and the value of a reading.
func (s *source) reading(ctx context.Context, r *Metric, in *item, row *metric.Reading) *itemProblem {
	if r.OnceBy != nil {
		v, err := r.OnceBy.evalOne(ctx, &s.evaluator, in)
		if err != nil {
			return &itemProblem{metric.Expression, fmt.Sprintf("once_by %s: %v", r.OnceBy, failed(err)), nil}
		}
		id, ok := v.id()
		if v.isNull() || !ok || id == "" {
			return &itemProblem{metric.Missing, fmt.Sprintf("once_by %s is missing", r.OnceBy), nil}
		}
		row.Event = id
	}
	if r.Value == nil {
		row.Value = 1
		return nil
	}
	if problem := s.checkCount(r.Value, in); problem != nil {
		return problem
	}
	v, err := r.Value.evalOne(ctx, &s.evaluator, in)
	switch {
	case err != nil:
		return &itemProblem{metric.Expression, fmt.Sprintf("value %s: %v", r.Value, failed(err)), nil}
	case v.isNull() && r.Missing == Zero:
		return nil
	case v.isNull():
		return &itemProblem{metric.Missing, fmt.Sprintf("value %s is missing", r.Value), &remedy{expr: r.Value, give: remedyMissing}}
	case r.Map != nil:
		return r.mapped(v, row)
	}
	number, ok := v.number()
	if !ok {
		return &itemProblem{metric.NotNumber, fmt.Sprintf("value %s: want a number, got %s", r.Value, strings.TrimSpace(v.preview())), &remedy{r.Value, v, remedyNumber, s.singleSetting(r.Value.path)}}
	}
	row.Value = number
	return nil
}

// mapped sets the value of a reading to the number that the setting "map" has for a text.
func (m *Metric) mapped(v value, row *metric.Reading) *itemProblem {
	text, ok := v.label()
	if number, known := m.Map[text]; ok && known {
		row.Value = float64(number)
		return nil
	}
	if m.Default.Drop {
		return &itemProblem{metric.Unmapped, fmt.Sprintf("value %s: %s is not in map", m.Value, v.preview()), nil}
	}
	row.Value = float64(m.Default.Value)
	return nil
}
