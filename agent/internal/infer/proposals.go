package infer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The metrics that are proposed for a list: counts of its items, how long the items have lasted, and their values.

// counting returns the labels by which items are counted, the most useful label first. Each has few values, and no two have
// the same meaning.
func (l *listing) counting() []*column {
	var all []*column
	for _, c := range l.columns {
		several := len(c.order) > 1 || c.absent > 0 || c.state
		near := c.own() || len(c.scope()) > len(c.last()) || has(c.last(), "status", "state", "phase", "type", "brand")
		if c.role == label && several && len(c.order) > 0 && near {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b *column) int { return cmp.Compare(scopeRank(a.scope()), scopeRank(b.scope())) })
	var out []*column
	for _, c := range all {
		if slices.ContainsFunc(out, func(o *column) bool { return sameText(o, c) }) {
			continue
		}
		if next := append(slices.Clone(out), c); len(out) < maxLabels && l.combinations(next) <= maxOfOne/2 {
			out = next
		} else {
			l.leaveOut("%s of %s: a label more%s", c.path, l.items, c.about())
		}
	}
	return out
}

// combinations returns the number of different combinations of values in the columns.
func (l *listing) combinations(columns []*column) int {
	seen := map[string]bool{}
	for i := range l.n {
		key := ""
		for _, c := range columns {
			key += "\x00" + c.cells[i].text
		}
		seen[key] = true
	}
	return len(seen)
}

// sameText reports whether two columns have the same meaning with different words.
func sameText(a, b *column) bool {
	related := len(a.keys) > 1 && len(b.keys) > 1 && a.keys[0] == b.keys[0] || has(a.last(), b.last()...)
	if len(a.order) != len(b.order) || len(a.order) < 2 || !related && len(a.cells) < 20 {
		return false
	}
	there, back := map[string]string{}, map[string]string{}
	for i, v := range a.cells {
		w := b.cells[i]
		if other, known := there[v.text]; known && other != w.text {
			return false
		}
		if other, known := back[w.text]; known && other != v.text {
			return false
		}
		there[v.text], back[w.text] = w.text, v.text
	}
	return true
}

// count proposes the number of items, separately for each value of the columns.
func (l *listing) count(score int, columns []*column) {
	name := join(pluralOf(l.noun))
	if l.frame.outer != nil {
		name = join(l.outerNoun(), pluralOf(l.noun))
	}
	m := &drafted{name: name, kind: "gauge", help: "How many there are.", score: score, series: max(1, l.combinations(columns)) * max(1, l.outerRows())}
	if len(columns) == 0 && l.frame.outer == nil && l.list != "" {
		m.value = l.list + " | length"
		m.series = 1
	} else {
		m.items, m.value, m.duplicate = l.items, "1", "count"
		m.labels = l.labels(columns...)
	}
	l.propose(m)
}

func (l *listing) outerNoun() string {
	if l.frame.outer != nil {
		return l.frame.outer.noun
	}
	return ""
}

func (l *listing) outerRows() int {
	if l.frame.outer != nil {
		return l.frame.outer.n
	}
	return 1
}

// columnName returns the name of the metric for a column.
func (l *listing) columnName(c *column) string {
	if c.isKey || len(c.name()) == 0 {
		return join(l.outerNoun(), l.noun)
	}
	w := c.name()
	if len(w) == 1 && w[0] == "count" {
		w = []string{"counted"} // the metric for the number of items already has the name with count
	}
	if len(w) == 1 && has(w, "value", "values", "data", "number", "result") {
		w = nil
	}
	return join(append([]string{l.outerNoun(), l.noun}, w...)...)
}

// things proposes one metric for each number that the items have, with one series for each item.
func (l *listing) things() {
	labels := l.labels(append(slices.Clone(l.identity), l.context...)...)
	score, shown := 70-10*(l.depth-1), 0
	for _, c := range l.columns {
		if slices.Contains(l.identity, c) || slices.Contains(l.context, c) {
			continue
		}
		name := l.columnName(c)
		switch c.role {
		case measure:
			if shown++; shown <= maxPerList {
				l.number(c, l.items, name, labels, "", score, l.n)
				if len(c.words) > 0 {
					l.wordsOf(c, name, labels)
				}
			} else {
				l.leaveOut("%s of %s: a number more", c.path, l.items)
			}
		case flag:
			l.propose(&drafted{name: name, kind: "gauge", help: "1 if " + c.path + " is true, else 0.", items: guarded(l.items, c.guard), value: c.path, labels: labels, score: score - 10, series: l.n})
		case moment:
			l.age(c, l.items, name, labels, l.n)
		case label:
			if c.state && !slices.Contains(l.context, c) {
				l.stateOf(c, l.items, name, labels, l.n)
			}
		}
	}
	if columns := l.overview(); len(columns) > 0 || shown == 0 {
		l.count(score+4, columns)
	}
}

// wordsOf proposes a metric for the states of a column whose values are mostly numbers. The states are the texts among these numbers,
// such as on and off.
func (l *listing) wordsOf(c *column, name string, labels []pick) {
	state := *c
	state.order, state.absent = slices.DeleteFunc(slices.Clone(c.words), isNone), 0
	if len(state.order) > 0 {
		l.stateOf(&state, guarded(l.items, "["+c.path+" | tonumber?] == []"), name, labels, l.n)
	}
}

// overview returns the labels by which items are counted. It leaves out labels with which each group would be a single item, because
// there is a series for each item already.
func (l *listing) overview() []*column {
	columns := l.counting()
	for len(columns) > 1 && l.combinations(columns) == l.n {
		columns = columns[:len(columns)-1]
	}
	if len(columns) == 1 && slices.Contains(l.identity, columns[0]) {
		return nil
	}
	return columns
}

// counted proposes the number of items, the sums of their numbers, and the durations of events.
func (l *listing) counted() {
	columns := l.counting()
	l.count(90-10*(l.depth-1), columns)
	labels := l.labels(columns...)
	if l.to != nil && l.id != nil && l.kind == events {
		l.duration()
	} else if l.to != nil {
		l.leaveOut("the time from %s to %s of %s: no id to count an event once", l.from.path, l.to.path, l.items)
	}
	for _, c := range l.columns {
		if c.role != measure {
			continue
		}
		name := l.columnName(c)
		switch {
		case l.kind == events && l.sequence(c):
			l.propose(&drafted{name: name, kind: "gauge", help: "The largest number at " + c.title() + ".", value: "[" + l.items + " | " + c.path + "] | max", score: 64, series: 1})
		case few01(c):
			l.number(c, l.items, join(pluralOf(l.noun), strings.Join(c.name(), "_")), labels, "sum", 50, l.combinations(columns))
		case l.n > 2 && len(c.order) == 1 && l.id != nil && l.kind == events && !isAdditive(c.last()):
			l.leaveOut("%s of %s: the same in each", c.path, l.items)
		case c.unit.name == "seconds" && l.id != nil || l.id != nil && !isAdditive(c.last()) && l.kind == events:
			l.observed(c, name)
		case isAdditive(c.last()) || c.unit.name == "bytes":
			l.number(c, l.items, join(pluralOf(l.noun), strings.Join(c.name(), "_")), labels, "sum", 62, l.combinations(columns))
		default:
			l.leaveOut("%s of %s: a number of items that have no name", c.path, l.items)
		}
	}
	for _, c := range l.columns {
		if c.role == flag {
			l.propose(&drafted{name: join(pluralOf(l.noun), strings.Join(c.name(), "_")), kind: "gauge", help: "How many have " + c.path + " true.", items: "", value: "[" + l.items + " | select(" + c.path + ")] | length", score: 50, series: 1})
		}
	}
}

// lasted returns the labels for the histogram of an event. These are labels that do not change.
func (l *listing) lasted() []pick {
	var still []*column
	for _, c := range l.counting() {
		if !c.state && len(still) < 2 {
			still = append(still, c)
		}
	}
	return l.labels(still...)
}

// duration proposes the time between the start and the end of events.
func (l *listing) duration() {
	var seconds []float64
	for i, end := range l.to.times {
		if !end.IsZero() && !l.from.times[i].IsZero() {
			seconds = append(seconds, end.Sub(l.from.times[i]).Seconds())
		}
	}
	condition := l.to.path
	if l.from.absent > 0 {
		condition += " and " + l.from.path
	}
	items := guarded(l.items, condition)
	if l.to.absent == 0 && l.from.absent == 0 {
		items = l.items
	}
	l.used[l.id] = true
	l.propose(&drafted{
		name: join(l.noun, "duration") + "_seconds", kind: "histogram", unit: "seconds", help: "Seconds from " + l.from.path + " to " + l.to.path + ".", items: items, onceBy: l.id.path,
		value: l.to.form.of(l.to.path) + " - " + l.from.form.of(l.from.path), labels: l.lasted(), buckets: buckets(seconds, true), score: 85, series: 10,
	})
}

// observed proposes a histogram of a number that events have.
func (l *listing) observed(c *column, name string) {
	numbers := slices.Clone(c.numbers)
	l.used[l.id] = true
	before := len(l.metrics)
	l.number(c, l.items, name, l.lasted(), "", 64, 10)
	if len(l.metrics) == before {
		return
	}
	m := l.metrics[len(l.metrics)-1]
	m.kind, m.onceBy, m.why = "histogram", l.id.path, ""
	for i := range numbers {
		numbers[i] *= factorOf(c.unit.factor)
	}
	m.buckets = buckets(numbers, c.unit.name == "seconds")
	if slices.ContainsFunc(numbers, func(n float64) bool { return n < 0 }) || c.counter {
		l.metrics = l.metrics[:before]
		l.leaveOut("%s of %s: a number of events", c.path, l.items)
	}
}

// sequence reports whether the numbers of a column are consecutive, such as the heights of blocks. Such numbers only number the items.
func (l *listing) sequence(c *column) bool {
	if c.absent > 0 || l.n < 5 || l.frame.outer != nil || c.expr != c.path || allTexts(c) || isAdditive(c.last()) {
		return false
	}
	step := c.numbers[1] - c.numbers[0]
	for i := 1; i < len(c.numbers); i++ {
		if c.numbers[i]-c.numbers[i-1] != step || math.Abs(step) != 1 {
			return false
		}
	}
	return c.numbers[0] > float64(l.n)
}

// few01 reports whether all numbers are 0 or 1 and at least one is 0.
func few01(c *column) bool {
	return slices.Contains(c.order, "0") && !slices.ContainsFunc(c.order, func(s string) bool { return s != "0" && s != "1" })
}

func factorOf(factor string) float64 {
	var op string
	var n float64
	if _, err := fmt.Sscan(factor, &op, &n); err != nil || n == 0 {
		return 1
	}
	if op == "/" {
		return 1 / n
	}
	return n
}
