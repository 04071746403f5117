package infer

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/document"
)

// Limits for the proposed metrics.
const (
	maxMetrics = 30
	maxSeries  = 1000 // series of all metrics
	maxOfOne   = 200  // series of one metric
	maxLabels  = 4
	maxPerList = 12 // metrics made from the numbers of one list
)

// drafted is a proposed metric.
type drafted struct {
	name      string
	kind      string // gauge, counter, histogram
	help      string
	unit      string
	items     string
	value     string
	labels    []pick
	duplicate string
	onceBy    string
	mapping   [][2]string
	otherwise string
	buckets   []string
	why       string // comment for the user
	score     int    // how useful the metric is; the least useful metrics are left out first
	series    int
}

// pick is a label of a metric: its name and the jq expression of its value.
type pick struct{ name, expr string }

// guarded returns a jq expression of the items that satisfy a condition.
func guarded(items, condition string) string {
	switch {
	case condition == "":
		return items
	case items == "":
		return "select(" + condition + ")"
	}
	return items + " | select(" + condition + ")"
}

// plan collects the proposed metrics, and descriptions of what is left out.
type plan struct {
	job     string
	metrics []*drafted
	left    []string
	notes   []string // printed on standard error
	names   map[string]bool
	root    *frame
	answers []document.Value
	clock   time.Time
}

// propose adds a metric. If its name is already used, a number is appended to the name.
func (p *plan) propose(m *drafted) {
	if p.names == nil {
		p.names = map[string]bool{}
	}
	if strings.HasPrefix(m.name, "cton_") {
		m.name = "api_" + m.name
	}
	suffix := ""
	if m.kind == "counter" {
		m.name = strings.TrimSuffix(m.name, "_total")
		suffix = "_total"
	}
	if m.unit != "" && !strings.HasSuffix(m.name, "_"+m.unit) {
		m.unit = ""
	}
	base := m.name
	for n := 2; p.names[base+suffix] || p.names[base]; n++ {
		base = m.name + "_" + string(rune('0'+min(n, 9)))
		m.unit = ""
		if n > 9 {
			p.leaveOut("a metric %s: its name is taken", m.name)
			return
		}
	}
	m.name = base + suffix
	p.names[m.name], p.names[base] = true, true
	p.metrics = append(p.metrics, m)
}

// trim keeps the most useful metrics within the limits. It keeps their order.
func (p *plan) trim() {
	order := slices.Clone(p.metrics)
	slices.SortStableFunc(order, func(a, b *drafted) int { return cmp.Compare(b.score, a.score) })
	series := 0
	kept := map[*drafted]bool{}
	for _, m := range order {
		if len(kept) < maxMetrics && series+m.series <= maxSeries {
			kept[m] = true
			series += m.series
		}
	}
	var all []*drafted
	for _, m := range p.metrics {
		if kept[m] {
			all = append(all, m)
			continue
		}
		p.leaveOut("%s: %s", m.name, cmp.Or(m.items, ".")+" | "+m.value)
	}
	p.metrics = all
}
