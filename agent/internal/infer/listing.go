package infer

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/document"
)

// listing is a list for which metrics are proposed.
type listing struct {
	*plan
	*frame
	noun     string
	outer    []pick // labels of the outer items
	kind     kindOf
	identity []*column // columns that identify the items
	context  []*column // columns that are further labels of each item
	when     *column   // for history: the times of the values
	groups   []*column // for history: labels; each of their different values has a series of its own
	from, to *column   // for events: when an event begins and ends
	id       *column   // for events: the column that identifies an event
	used     map[*column]bool
}

// recognize decides which kind of list this is.
func (l *listing) recognize() {
	l.parallelUnits(l.frame)
	l.used = map[*column]bool{}
	l.from, l.to = l.lasting()
	l.id = l.eventID()
	named := l.named()
	regular := l.over(true)
	switch {
	case regular && (named == nil || !named.isKey && nameRank(named.last()) == nameRank(nil)):
		l.kind = history
	case l.to != nil && l.frame.outer == nil && !named.isKeyed():
		l.kind = events
	case named != nil && l.n <= maxOfOne:
		l.kind, l.identity = things, []*column{named}
	case l.over(false):
		l.kind = history
	case l.id != nil && l.hasBirth():
		l.kind = events
	case l.id != nil && l.n <= maxOfOne && l.humanID() != nil:
		l.kind, l.identity = things, []*column{l.humanID()}
	case l.id != nil && l.n == 1 && !isRandom(l.id.order[0]) && !isNumber(l.id.order[0]):
		l.kind, l.identity = things, []*column{l.id}
	case l.n <= maxOfOne && l.combined():
		l.kind = things
	case l.n <= maxOfOne && l.ordinal():
		l.kind = things
	case l.positional():
		l.kind = things
	default:
		l.kind = sums
	}
	if l.kind == things {
		l.context = l.scopes()
	}
}

func (c *column) isKeyed() bool { return c != nil && c.isKey }

// hasAmounts reports whether a text is an amount with a unit, such as "1.8 l": amounts change, so they identify nothing.
func (c *column) hasAmounts() bool {
	return slices.ContainsFunc(c.order, func(text string) bool {
		m := amount().FindStringSubmatch(text)
		return m != nil && strings.TrimSpace(m[1]+m[3]) != ""
	})
}

// machine returns true if most names look like ids made by a program.
func machine(names []string) bool {
	made := 0
	for _, name := range names {
		digits := 0
		for _, r := range name {
			if r >= '0' && r <= '9' {
				digits++
			}
		}
		if isRandom(name) || digits >= 4 {
			made++
		}
	}
	return 2*made > len(names)
}

// own returns true if a column describes the item itself, and not a thing within the item.
func (c *column) own() bool {
	for _, key := range c.keys[:max(len(c.keys)-1, 0)] {
		if !isGeneric(key) && !has([]string{strings.ToLower(key)}, "info", "device", "spec", "details", "general", "metric", "tags", "labels", "dimensions", "period", "timeperiod", "timeinterval") {
			return false
		}
	}
	return true
}

// named returns the column that best names the items, or nil if there is none.
func (l *listing) named() *column {
	var best *column
	rank := func(c *column) int {
		if c.isKey && machine(c.order) {
			return 1 // a column with names is better
		}
		if c.isKey {
			return -1
		}
		return nameRank(c.last())
	}
	for _, c := range l.columns {
		if c.role != naming && c.role != label || !l.distinguishes([]*column{c}) || !c.own() || isProse(c.last()) {
			continue
		}
		if rank(c) == nameRank(nil) && (l.n == 1 && c.role != naming || l.humanID() != nil || c.hasAmounts() || c.role != naming && scopeRank(c.scope()) == len(scopes()) || isStateName(c.last()) || l.hasBirth()) {
			continue
		}
		if best == nil || rank(c) < rank(best) {
			best = c
		}
	}
	return best
}

// humanID returns a column of ids that people use, such as WEB-1A, or nil if there is none.
func (l *listing) humanID() *column {
	for _, c := range l.columns {
		made := slices.ContainsFunc(c.order, func(s string) bool { return isRandom(s) || isNumber(s) })
		if c.role == identity && !made && len(c.order) > 1 && len(c.keys) == 1 && l.distinguishes([]*column{c}) && !has(c.last(), "slug", "hash", "sha", "etag", "token", "ref") {
			return c
		}
	}
	return nil
}

// distinguishes reports whether these columns identify the items: no two items have the same values in all of them. If the
// items have outer items, only items of the same outer item are compared.
func (l *listing) distinguishes(columns []*column) bool {
	seen := map[string]bool{}
	for i := range l.n {
		key := l.outerKey(i)
		for _, c := range columns {
			if i >= len(c.cells) || c.cells[i].kind == document.Null {
				return false
			}
			key += "\x00" + c.cells[i].text
		}
		if seen[key] {
			return false
		}
		seen[key] = true
	}
	return l.n > 0
}

// outerKey returns a text that identifies the outer item of a row.
func (l *listing) outerKey(i int) string {
	if i < len(l.frame.outerOf) {
		return l.frame.outerOf[i]
	}
	return ""
}

// combined finds two labels that together identify the items. It returns true if there are two such labels, or if the labels of the outer
// items are enough.
func (l *listing) combined() bool {
	var all []*column
	for _, c := range l.columns {
		if (c.role == naming || c.role == label) && !isProse(c.last()) && c.absent == 0 && !c.state {
			all = append(all, c)
		}
	}
	if len(all) > 12 {
		all = all[:12]
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			if l.distinguishes([]*column{a, b}) {
				l.identity = []*column{a, b}
				return true
			}
		}
	}
	return len(l.outer) > 0 && l.n > 0 && l.distinguishes(nil)
}

// ordinal uses a column of small numbers, such as the port of a switch, to identify the items. It returns false if there is
// no such column.
func (l *listing) ordinal() bool {
	for _, c := range l.columns {
		whole := !slices.ContainsFunc(c.order, func(s string) bool { return len(s) > 3 || !isNumber(s) || strings.ContainsAny(s, ".-") })
		named := has(c.last(), "port", "index", "slot", "channel", "id", "number", "position", "core", "cpu", "bay", "phase", "zone", "unit", "fan", "line")
		if whole && named && c.own() && len(c.order) <= 64 && l.distinguishes([]*column{c}) && (l.frame.outer != nil || !l.hasBirth()) {
			l.identity = []*column{c}
			return true
		}
	}
	return false
}

// maxPlaces is the maximum number of items that get their position in the list as a label.
const maxPlaces = 8

// positional uses the positions of the items to identify them. The list must be short, and its items must have only numbers and states,
// such as the meters of a switch. The items then get a member named position. positional returns false if the positions cannot be used.
func (l *listing) positional() bool {
	if l.frame.outer != nil || l.n > maxPlaces || l.elem == nil || !l.elem.is(document.Object) || l.id != nil || l.hasBirth() || !strings.HasSuffix(strings.TrimSuffix(l.items, "?"), "[]") || l.elem.byKey["position"] != nil || l.self != "" {
		return false
	}
	measures := 0
	for _, c := range l.columns {
		switch {
		case len(c.then) > 0 && len(c.then) != len(c.cells):
			return false
		case c.role == measure || c.role == flag || c.state:
			measures++
		case (c.role == label || c.role == naming || c.role == prose) && len(c.order) > 1:
			return false
		}
	}
	if measures == 0 {
		return false
	}
	before := l.items
	l.items = l.list + " | to_entries[]" + strings.TrimPrefix(before, strings.TrimSuffix(before, "?")) + " | {position: .key} + .value"
	l.within(before, l.items)
	c := &column{keys: []string{l.noun}, path: ".position", isKey: true, role: naming}
	for i := range l.n {
		c.cells, c.order = append(c.cells, cell{document.Number, strconv.Itoa(i)}), append(c.order, strconv.Itoa(i))
	}
	l.columns = append(l.columns, c)
	l.identity = []*column{c}
	return true
}

// within replaces the expression of the outer items in the expressions of all lists inside these items: "before" is the old expression,
// "after" the new one.
func (f *frame) within(before, after string) {
	for _, sub := range f.subs {
		if rest, ok := strings.CutPrefix(sub.items, before); ok {
			sub.items = after + rest
		}
		sub.within(before, after)
	}
}

// hasBirth reports whether the items have a time at which they were created or happened.
func (l *listing) hasBirth() bool {
	return slices.ContainsFunc(l.columns, func(c *column) bool {
		return c.role == moment && len(c.order) > 1 && c.own() && !has(c.last(), "last", "updated", "modified", "seen", "expires", "heartbeat", "pushed", "checked")
	})
}

// eventID returns the column whose ids are used to count each event only once, or nil if there is none.
func (l *listing) eventID() *column {
	var found *column
	for _, c := range l.columns {
		if c.role == identity && c.own() && l.distinguishes([]*column{c}) && !has(c.last(), "hash", "sha", "etag", "token", "ref") && (found == nil || len(c.keys) < len(found.keys)) {
			found = c
		}
	}
	return found
}

// lasting returns the columns of the start and the end of an event, or nil if there are none.
func (l *listing) lasting() (from, to *column) {
	begins := []string{"started", "start", "begin", "begins", "began", "triggered", "created", "opened", "queued", "submitted", "received", "from"}
	ends := []string{"resolved", "closed", "finished", "completed", "completion", "ended", "end", "stopped", "merged", "done"}
	find := func(list []string) *column {
		for _, word := range list {
			for _, c := range l.columns {
				if c.role == moment && c.own() && has(c.last(), word) && !has(c.last(), "expected", "planned", "scheduled", "due", "period", "last") {
					return c
				}
			}
		}
		return nil
	}
	from, to = find(begins), find(ends)
	if from == nil || to == nil || from == to {
		return nil, nil
	}
	pairs := 0
	for i, end := range to.times {
		if end.IsZero() || from.times[i].IsZero() {
			continue
		}
		pairs++
		if end.Before(from.times[i]) || end.After(l.now().Add(time.Minute)) {
			return nil, nil
		}
	}
	if pairs == 0 || l.adjoin(from, to) {
		return nil, nil
	}
	return from, to
}

// adjoin returns true if each item begins when another item ends, like the hours of a day. Such items are not events.
func (l *listing) adjoin(from, to *column) bool {
	starts := map[int64]bool{}
	for _, t := range from.times {
		starts[t.Unix()] = true
	}
	touching := 0
	for _, t := range to.times {
		if !t.IsZero() && starts[t.Unix()] {
			touching++
		}
	}
	return l.n > 1 && 2*touching >= l.n-1
}

// scopes returns labels that group the things. Such a label has few values, and its values do not change.
func (l *listing) scopes() []*column {
	var all []*column
	for _, c := range l.columns {
		if c.role == label && !c.state && !slices.Contains(l.identity, c) && scopeRank(c.scope()) < len(scopes()) && len(c.order) > 1 && len(all) < 2 && c.cells[0].kind == document.String {
			all = append(all, c)
		}
	}
	return all
}

// labelName returns the name of the label for a column.
func (l *listing) labelName(c *column) string {
	w := c.name()
	if len(c.keys) > 2 {
		w = c.scope()
	}
	if n := len(w); n > 1 && has(w[n-1:], "name", "id", "key", "title", "label", "login") {
		w = w[:n-1]
	}
	if slices.Contains(l.identity, c) && c.own() && (has(c.last(), "name", "shortname", "displayname", "id", "key", "uid", "uuid", "label") || c.isKey) {
		switch {
		case isStateName([]string{l.noun}):
			return "name"
		case c.keys[0] == "index":
			return "index"
		case l.frame.by != "":
			return l.frame.by
		case l.onlyValues() && c.isKey && !slices.ContainsFunc(c.order, func(s string) bool { return len(s) != 3 || !isCode(s) || strings.ContainsAny(s, "0123456789") }):
			return "currency"
		case l.onlyValues():
			return "name"
		case l.noun != "":
			return join(l.noun)
		}
	}
	return join(w...)
}

// onlyValues reports whether the items are plain values, not objects.
func (l *listing) onlyValues() bool {
	return !slices.ContainsFunc(l.columns, func(c *column) bool {
		return !slices.Contains(l.identity, c) && slices.ContainsFunc(c.keys, func(key string) bool { return !isGeneric(key) })
	})
}

// labels returns the labels of the outer items and of the columns.
func (l *listing) labels(columns ...*column) []pick {
	all := slices.Clone(l.outer)
	for _, c := range columns {
		name := l.labelName(c)
		if slices.ContainsFunc(all, func(p pick) bool { return p.name == name }) {
			name = join(l.noun, name)
		}
		if slices.ContainsFunc(all, func(p pick) bool { return p.name == name }) || strings.HasPrefix(name, "__") {
			continue
		}
		l.used[c] = true
		expr := c.path
		if c.absent > 0 {
			expr += ` // "none"`
		}
		all = append(all, pick{name, cmp.Or(expr, ".")})
	}
	return all
}
