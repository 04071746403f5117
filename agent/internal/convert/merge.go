package convert

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// merge returns the metrics of a module. Entries with the same name are combined into one metric.
func (x *jsonExporter) merge(all []entry) []*metricOut {
	groups, order := map[string][]entry{}, []string{}
	for _, e := range all {
		if groups[e.metric.name] == nil {
			order = append(order, e.metric.name)
		}
		groups[e.metric.name] = append(groups[e.metric.name], e)
	}
	var out []*metricOut
	for _, name := range order {
		g := groups[name]
		if len(g) == 1 {
			out = append(out, g[0].single())
			continue
		}
		out = append(out, x.merged(g))
	}
	return out
}

// single returns the metric for a name that has only one entry.
func (e entry) single() *metricOut {
	m := e.metric
	if e.each {
		m.items = e.base.jq()
	}
	m.value = e.value
	if !e.fixed {
		m.value = numberText(e.value)
	}
	return m
}

// merged returns one metric for several entries with the same name. The items of the metric are objects that contain the
// value and the labels.
func (x *jsonExporter) merged(g []entry) *metricOut {
	m := g[0].metric.clone()
	m.labels, m.constant = map[string]string{}, commonConstants(g)
	names := map[string]bool{}
	for _, e := range g {
		for l := range e.metric.labels {
			names[l] = true
		}
		for l := range e.metric.constant {
			names[l] = true
		}
		for _, n := range e.metric.notes {
			if !slices.Contains(m.notes, n) {
				m.notes = append(m.notes, n)
			}
		}
		if e.metric.help != m.help {
			x.out.lose(&m.notes, 0, "help", "%s has several; json_exporter then measures nothing; the first is kept", m.name)
		}
		if e.metric.kind != m.kind {
			m.kind = "gauge"
		}
	}
	for l := range m.constant {
		delete(names, l)
	}
	if x.differ(g) {
		x.out.lose(&m.notes, 0, "labels", "%s has entries with different labels; json_exporter then measures nothing; missing ones are empty here", m.name)
	}
	sorted := slices.Sorted(maps.Keys(names))
	parts := make([]string, 0, len(g))
	for _, e := range g {
		parts = append(parts, e.item(sorted))
	}
	m.items, m.value = strings.Join(parts, ", "), numberText(".v")
	for i, l := range sorted {
		m.labels[l] = "." + slot(i, l)
	}
	return m
}

// slot returns the name of the member for a label in an item. The member named v is for the value.
func slot(i int, label string) string {
	if label == "v" {
		return "label" + strconv.Itoa(i)
	}
	return label
}

// item returns the jq expression of the items of an entry.
func (e entry) item(labels []string) string {
	var b strings.Builder
	b.WriteString("{v: (" + e.value + ")")
	for i, l := range labels {
		value := `""`
		if s, ok := e.metric.constant[l]; ok {
			value = quote(s)
		} else if s, ok := e.metric.labels[l]; ok {
			value = "(" + s + ")"
		}
		b.WriteString(", " + slot(i, l) + ": " + value)
	}
	b.WriteString("}")
	if !e.each {
		return b.String() + "?"
	}
	return "(" + cmp.Or(e.baseText, e.base.jq()) + " | " + b.String() + ")?"
}

// commonConstants returns the static labels that have the same value in all entries.
func commonConstants(g []entry) map[string]string {
	common := maps.Clone(g[0].metric.constant)
	for _, e := range g[1:] {
		maps.DeleteFunc(common, func(k, v string) bool { return e.metric.constant[k] != v })
	}
	return common
}

// differ reports whether the entries have different label names, which json_exporter refuses. A static label with an empty
// value counts as a label here.
func (x *jsonExporter) differ(g []entry) bool {
	return slices.ContainsFunc(g[1:], func(e entry) bool { return e.metric.names != g[0].metric.names })
}
