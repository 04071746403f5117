package infer

import (
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/document"
)

// over returns true if the list has values over time. If the argument "regular" is true, the times must be at regular distances.
// Otherwise it is enough that they only increase or only decrease.
func (l *listing) over(regular bool) bool {
	if len(l.frame.subs) == 0 && !slices.ContainsFunc(l.columns, func(c *column) bool { return c.role == measure || c.role == flag }) || l.frame.outer != nil && l.frame.outer.n != 1 {
		return false
	}
	for _, c := range l.columns {
		if c.role != moment || !c.own() || slices.ContainsFunc(c.times, time.Time.IsZero) || len(c.times) < 2 {
			continue
		}
		groups := l.groupsOf(c)
		if groups == nil && !rising(c.times) {
			continue
		}
		if regular && (groups != nil || !even(c.times) || l.id != nil && !l.onlyMeasures()) || !regular && (l.id != nil && groups == nil) {
			continue
		}
		l.when, l.groups = c, groups
		return true
	}
	return false
}

// onlyMeasures reports whether the items have only numbers, times and ids.
func (l *listing) onlyMeasures() bool {
	return !slices.ContainsFunc(l.columns, func(c *column) bool { return c.role == label || c.role == naming || c.role == prose || c.role == flag })
}

// groupsOf returns the label that separates the times into several series. It returns nil if there is only one series.
func (l *listing) groupsOf(when *column) []*column {
	if len(when.order) == len(when.cells) {
		return nil
	}
	for _, c := range l.columns {
		if (c.role == label || c.role == naming) && !c.state && c.absent == 0 && len(c.order) <= maxOfOne && len(c.order) < l.n && l.distinguishes([]*column{c, when}) {
			return []*column{c}
		}
	}
	return nil
}

// rising returns true if times only increase, or only decrease.
func rising(times []time.Time) bool {
	up, down := true, true
	for i := 1; i < len(times); i++ {
		up = up && times[i].After(times[i-1])
		down = down && times[i].Before(times[i-1])
	}
	return up || down
}

// even returns true if there are at least three times at roughly equal distances.
func even(times []time.Time) bool {
	if len(times) < 3 || !rising(times) {
		return false
	}
	var gaps []time.Duration
	for i := 1; i < len(times); i++ {
		gaps = append(gaps, times[i].Sub(times[i-1]).Abs())
	}
	slices.Sort(gaps)
	middle := gaps[len(gaps)/2]
	alike := 0
	for _, gap := range gaps {
		if gap >= middle*4/5 && gap <= middle*6/5 {
			alike++
		}
	}
	return 5*alike >= 4*len(gaps)
}

// history proposes metrics of the newest values that are not in the future.
func (l *listing) history() {
	shown := 0
	for _, c := range l.columns {
		if c.role != measure && c.role != flag || c == l.when {
			continue
		}
		if shown++; shown > maxPerList {
			l.leaveOut("%s of %s: a number more", c.path, l.items)
			continue
		}
		condition, pickOne := l.newest()
		if c.guard != "" {
			condition = strings.TrimPrefix(condition+" and "+c.guard, " and ")
		}
		items := "[" + guarded(l.items, condition) + "]"
		series := 1
		labels := slices.Clone(l.outer)
		if len(l.groups) > 0 {
			items += " | group_by(" + l.groups[0].path + ")[]"
			labels = l.labels(l.groups...)
			series = len(l.groups[0].order)
		}
		items += " | " + pickOne + " // empty"
		held := *c
		held.guard = ""
		name := l.columnName(c)
		if c.role == flag {
			l.propose(&drafted{name: name, kind: "gauge", help: "1 if " + c.title() + " is true, else 0.", items: items, value: c.path, labels: labels, score: 60, series: series})
			continue
		}
		l.number(&held, items, name, labels, "", 74, series)
		l.metrics[len(l.metrics)-1].help = "The newest number at " + c.title() + " that is not in the future."
		l.metrics[len(l.metrics)-1].why = ""
	}
	if condition, _ := l.newest(); condition == "" {
		l.note("  all times of %s are in the future: the first one is taken", l.items)
	}
}

// newest returns the condition for items that are not in the future, and the function that picks the newest of them. If all
// are in the future, the condition is empty and the function picks the first one.
func (l *listing) newest() (condition, pickOne string) {
	seconds := l.when.form.of(l.when.path)
	if slices.ContainsFunc(l.when.times, func(t time.Time) bool { return !t.After(l.now()) }) {
		return seconds + " <= now", "max_by" + argument(seconds)
	}
	return "", "min_by" + argument(seconds)
}

// inNewest restricts the lists within the items to those of the newest item. It returns false if it cannot do so.
func (l *listing) inNewest() bool {
	if l.kind != history || len(l.groups) > 0 || l.frame.outer != nil && l.frame.outer.n != 1 {
		return false
	}
	condition, pickOne := l.newest()
	best := -1
	for i, t := range l.when.times {
		switch {
		case condition != "" && t.After(l.now()):
		case best < 0, condition != "" && t.After(l.when.times[best]), condition == "" && t.Before(l.when.times[best]):
			best = i
		}
	}
	l.within(l.items, "["+guarded(l.items, condition)+"] | "+pickOne+" // empty")
	text := l.when.cells[best].text
	for _, sub := range l.frame.subs {
		every := sub.each
		sub.each = func(root document.Value, yield func(*row) bool) {
			every(root, func(r *row) bool {
				return r.outer == nil || l.when.cell(r.outer).text != text || yield(r)
			})
		}
		sub.reload(l.answers)
	}
	return true
}

// reload reads the values of the columns again, and also those of the lists within the items.
func (f *frame) reload(roots []document.Value) {
	for _, c := range f.columns {
		*c = column{keys: c.keys, around: c.around, path: c.path, cell: c.cell, isKey: c.isKey, top: c.top, unnamed: c.unnamed}
	}
	f.load(roots)
	for _, sub := range f.subs {
		sub.reload(roots)
	}
}

func argument(expr string) string {
	if strings.HasPrefix(expr, "(") && strings.HasSuffix(expr, ")") {
		return expr
	}
	return "(" + expr + ")"
}
