package infer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/document"
)

func (p *plan) leaveOut(format string, args ...any) {
	p.left = append(p.left, oneLine(fmt.Sprintf(format, args...)))
}

func (p *plan) note(format string, args ...any) {
	p.notes = append(p.notes, oneLine(fmt.Sprintf(format, args...)))
}

// kindOf is the kind of a list.
type kindOf int

const (
	things  kindOf = iota // things that last, each with a name: one series for each
	events                // things that happen: each is counted and observed once
	history               // values over time: the newest is used
	sums                  // items without a name: only their number and sums are used
)

// frame proposes the metrics of a frame, and of the lists within its items.
func (p *plan) frame(f *frame, outer []pick, outerSeries int) {
	if f.items == "" {
		p.document(f)
		for _, sub := range f.subs {
			p.frame(sub, nil, 1)
		}
		return
	}
	if f.empty || len(f.columns) == 0 && len(f.subs) == 0 {
		p.length(f)
		return
	}
	if f.n == 0 {
		p.length(f)
		return
	}
	if f.outer != nil && len(f.columns) == 1 && len(f.columns[0].keys) == 0 && f.columns[0].role != measure {
		return // a list of texts within an item
	}
	l := &listing{plan: p, frame: f, outer: outer}
	l.noun = cmp.Or(f.noun, singularOf(p.job))
	l.recognize()
	l.describe()
	switch l.kind {
	case things:
		l.things()
	case history:
		l.history()
	default:
		l.counted()
	}
	for _, c := range f.columns {
		if c.why != "" && c.role != measure && !l.used[c] && c.role != nothing && c.role != paging {
			p.leaveOut("%s of %s: %s%s", c.path, f.items, c.why, c.about())
		}
	}
	newest := l.inNewest()
	for _, sub := range f.subs {
		if !newest && f.n != 1 && (l.kind != things || len(l.identity) == 0) {
			p.leaveOut("%s: a list in a list whose items have no name", sub.items)
			continue
		}
		var labels []pick
		for _, c := range l.identity {
			labels = append(labels, pick{l.labelName(c), f.outerExpr(c.path)})
		}
		for _, o := range outer {
			labels = append(labels, pick{o.name, f.outerExpr(o.expr)})
		}
		p.frame(sub, labels, f.n)
	}
}

// outerExpr returns the path of one of f's columns, as seen from the items of a list that is inside f's items.
func (f *frame) outerExpr(path string) string {
	if f.outer == nil {
		return "." + f.noun + path
	}
	return path
}

// length proposes the length of a list. This is possible even if nothing else is known of the list.
func (p *plan) length(f *frame) {
	if f.outer != nil || f.list == "" || isGeneric(lastKey(f.keys)) && len(f.keys) > 1 && f.noun == "" {
		return
	}
	p.propose(&drafted{
		name: join(pluralOf(cmp.Or(f.noun, p.job))), kind: "gauge", help: "Items in the list " + f.list + ".", value: f.list + " | length", score: 40, series: 1,
	})
}

func lastKey(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	return keys[len(keys)-1]
}

func singularOf(name string) string {
	w := words(name)
	if len(w) == 0 {
		return "item"
	}
	w[len(w)-1] = singular(w[len(w)-1])
	return strings.Join(w, "_")
}

func pluralOf(noun string) string {
	for _, pair := range irregulars() {
		if before, ok := strings.CutSuffix(noun, pair[0]); ok && (before == "" || strings.HasSuffix(before, "_")) {
			return before + pair[1]
		}
	}
	switch {
	case strings.HasSuffix(noun, "s"), strings.HasSuffix(noun, "data"):
		return noun
	case strings.HasSuffix(noun, "y") && len(noun) > 2 && !strings.ContainsAny(noun[len(noun)-2:len(noun)-1], "aeiou"):
		return noun[:len(noun)-1] + "ies"
	case strings.HasSuffix(noun, "x") && !strings.HasSuffix("_"+noun, "_tx") && !strings.HasSuffix("_"+noun, "_rx"), strings.HasSuffix(noun, "ch"), strings.HasSuffix(noun, "sh"):
		return noun + "es"
	}
	return noun + "s"
}

// document proposes the metrics of the fields of the document that are not in a list.
func (p *plan) document(f *frame) {
	p.parallelUnits(f)
	for _, c := range f.columns {
		name := join(append([]string{p.job}, c.name()...)...)
		if text := join(c.keys[max(len(c.keys)-1, 0):]...); len(f.subs) > 0 && c.role == measure && has([]string{text}, "total", "count", "total_count", "total_elements", "total_results", "total_items", "total_records", "totalcount", "num_found", "number_of_results") && p.isLength(f, c) {
			name = p.allName(f)
		}
		switch {
		case c.role == measure:
			p.number(c, f.items, name, nil, "", 80, 1)
		case c.role == flag:
			p.propose(&drafted{name: name, kind: "gauge", help: "1 if " + c.path + " is true, else 0.", items: guarded("", c.guard), value: c.path, score: 60, series: 1})
		case c.role == moment:
			p.age(c, f.items, name, nil, 1)
		case len(c.order) > 0 && isStateName(c.last()) && c.role != prose && c.cells[0].kind == document.String && c.order[0] != "":
			p.stateOf(c, f.items, name, nil, 1)
		case c.role == paging, c.role == unitName, c.role == nothing:
		default:
			p.leaveOut("%s: %s", c.path, c.role)
		}
	}
	if f.truncated > 0 {
		p.leaveOut("%d fields that are nested too deep, of several kinds, or too many", f.truncated)
	}
}

// isLength reports whether a number can be the length of the longest list on all pages.
func (p *plan) isLength(f *frame, c *column) bool {
	n := longestOf(f).n
	return !slices.ContainsFunc(c.numbers, func(x float64) bool { return x != math.Trunc(x) || x < float64(n) })
}

// longestOf returns the longest list of a document.
func longestOf(f *frame) *frame {
	longest := f.subs[0]
	for _, sub := range f.subs {
		if sub.n > longest.n {
			longest = sub
		}
	}
	return longest
}

// allName returns the metric name for the total number of items on all pages.
func (p *plan) allName(f *frame) string {
	return join(pluralOf(cmp.Or(longestOf(f).noun, p.job)), "all")
}

// number proposes a metric of a number. It is a gauge, or if c.counter is true, a counter.
func (p *plan) number(c *column, items, name string, labels []pick, duplicate string, score, series int) {
	m := &drafted{kind: "gauge", items: guarded(items, c.guard), value: c.expr + c.unit.factor, labels: labels, duplicate: duplicate, score: score, series: series}
	if c.unit.factor != "" && strings.Contains(c.expr, "|") {
		m.value = "(" + c.expr + ")" + c.unit.factor
	} else if c.unit.factor != "" && c.expr == c.path && len(c.cells) > 0 && allTexts(c) {
		m.value = "(" + c.expr + " | tonumber)" + c.unit.factor
	}
	m.name = gaugeName(name)
	if c.counter {
		m.name = name
	}
	if c.unit.name != "" {
		w := words(m.name)
		for _, drop := range c.unit.drop {
			if n := len(w); n > 1 && w[n-1] == drop {
				w = w[:n-1]
			}
		}
		if n := len(w); n > 1 && w[n-1] == "in" {
			w = w[:n-1]
		}
		if n := len(w); n > 0 && w[n-1] == "per" {
			m.value, m.name = c.expr, name // a price for a unit of something has another unit
		} else {
			m.name, m.unit = joinUnit(strings.Join(w, "_"), c.unit.name), c.unit.name
		}
	}
	if c.unit.name == "" {
		m.name = spanFirst(m.name)
	}
	m.help = "The number at " + c.title() + "."
	switch {
	case c.counter:
		m.kind, m.why = "counter", "a counter: "+c.why
		m.score += 5
	case c.moved:
		m.score += 5
	case c.unit.name == "celsius" && slices.ContainsFunc(c.numbers, func(n float64) bool { return n > 150 && n == math.Trunc(n) }):
		m.why = "so hot? If the API counts in tenths of a degree, divide by 10"
	}
	if c.unit.name != "" {
		m.score += 2
	}
	if c.unit.factor != "" {
		m.help = "The number at " + c.title() + ", in " + c.unit.name + "."
	}
	p.propose(m)
}

// spanFirst moves a span of time from the end of a name to the front, such as in wh_last_seven_days. A name that ends in
// "days" would say that its unit is days.
func spanFirst(name string) string {
	w := words(name)
	n := len(w)
	if n < 3 || !has(w[n-1:], "days", "hours", "minutes", "seconds") {
		return name
	}
	at := slices.IndexFunc(w, func(word string) bool { return has([]string{word}, "last", "past", "previous", "recent", "rolling") })
	switch {
	case at > 1:
		return strings.Join(slices.Concat(w[:1], w[at:], w[1:at]), "_")
	case at >= 0:
		return name + "_number"
	}
	return name
}

// gaugeName returns a name without the endings that Prometheus reserves for counters, histograms and summaries.
func gaugeName(name string) string {
	w := words(name)
	n := len(w)
	if n < 2 {
		return name
	}
	switch w[n-1] {
	case "total":
		if n == 2 || isGeneric(w[n-2]) {
			w[n-1] = "all"
			return strings.Join(slices.DeleteFunc(w[:n-1], isGeneric), "_") + "_all"
		}
		return strings.Join(slices.Insert(w[:n-1], n-2, "total"), "_")
	case "count", "sum", "bucket":
		if has(w[n-2:n-1], "active", "inactive", "open", "closed", "running", "pending", "failed", "queued", "waiting", "idle", "online", "offline", "connected", "unread") {
			return strings.Join(w[:n-1], "_")
		}
		if w[n-2] == "total" {
			return gaugeName(strings.Join(w[:n-1], "_"))
		}
		return pluralOf(strings.Join(w[:n-1], "_"))
	}
	return name
}

func allTexts(c *column) bool {
	return !slices.ContainsFunc(c.cells, func(v cell) bool { return v.kind == document.Number })
}

func joinUnit(name, unit string) string {
	if strings.HasSuffix("_"+name, "_"+unit) {
		return name
	}
	return join(name) + "_" + unit
}

// age proposes a metric for a column of times: the seconds since each time, or until it.
func (p *plan) age(c *column, items, name string, labels []pick, series int) {
	latest := c.newest()
	w := c.last()
	if latest.IsZero() {
		return
	}
	m := &drafted{kind: "gauge", unit: "seconds", items: items, labels: labels, score: 45, series: series}
	if slices.ContainsFunc(c.times, time.Time.IsZero) || c.absent > 0 {
		m.items = guarded(items, c.path)
		if c.form == unix || c.form == unixMillis {
			m.items = guarded(items, c.path+" != null and "+c.path+" != 0")
		}
	}
	seconds := c.form.of(c.path)
	if latest.After(p.now()) || has(w, "expires", "expiry", "expiration", "deadline", "due", "until", "next", "eta") && !has(w, "last") {
		m.name, m.value, m.help = name+"_remaining_seconds", seconds+" - now", "Seconds until "+c.title()+"."
	} else {
		m.name, m.value, m.help = name+"_age_seconds", "now - "+seconds, "Seconds since "+c.title()+"."
	}
	if has(w, "last", "updated", "seen", "heartbeat", "expires", "expiry", "checked", "modified", "pushed", "sync", "backup", "checkin") {
		m.score = 58
	}
	p.propose(m)
}

// newest returns the latest time in the column.
func (c *column) newest() time.Time {
	var latest time.Time
	for _, t := range c.times {
		if t.After(latest) {
			latest = t
		}
	}
	return latest
}

// stateOf proposes a metric of a state. If all states in the answer are known, its value is 1 for a good state and 0 otherwise. If some
// state is not known, its value is always 1, and the state is a label.
func (p *plan) stateOf(c *column, items, name string, labels []pick, series int) {
	m := &drafted{kind: "gauge", items: items, labels: labels, score: 72, series: series}
	if c.absent > 0 {
		m.items = guarded(items, c.path+" != null")
	}
	all := len(c.order) <= maxValues && !has(c.last(), "mode")
	for _, text := range c.order {
		good, known := isGood(text)
		all = all && known
		number := "0"
		if good {
			number = "1"
		}
		m.mapping = append(m.mapping, [2]string{text, number})
	}
	if all && len(c.order) > 0 {
		m.name, m.value, m.otherwise = name+"_ok", c.path, "0"
		m.help = "1 if " + c.title() + " is a good state, else 0."
		m.why = "which states are good is a guess"
	} else {
		m.mapping = nil
		m.name, m.value = name, "1"
		m.labels = append(slices.Clone(labels), pick{join(c.last()...), c.path})
		m.help = "1 for the current state at " + c.title() + "."
	}
	p.propose(m)
}

// parallelUnits sets the units of columns from fields next to them, such as hourly_units, units, or unit in {value, unit}.
func (p *plan) parallelUnits(f *frame) {
	units := map[string]string{}
	for _, source := range []*frame{p.root, f} {
		if source == nil {
			continue
		}
		for _, c := range source.columns {
			if len(c.order) == 1 && len(c.order[0]) <= 24 && c.cells[0].kind == document.String && !isNumber(c.order[0]) && inUnits(c.keys) {
				units[strings.Join(c.keys, "\x00")] = c.order[0]
				c.role = unitName
			}
		}
	}
	measures := 0
	for _, c := range f.columns {
		if c.role == measure {
			measures++
		}
	}
	for _, c := range f.columns {
		if len(c.keys) == 0 || c.role != measure && c.role != label {
			continue
		}
		keys := slices.Concat(c.around, c.keys)
		key, before := keys[len(keys)-1], keys[:len(keys)-1]
		var tries [][]string
		around := ""
		if len(before) > 0 {
			around = before[len(before)-1]
			up := before[:len(before)-1]
			tries = append(tries, with(up, around+"_units", key), with(up, around+"Units", key), with(up, "units", key), with(up, "units", around, key), with(up, around+"_unit"))
		}
		tries = append(tries, with(before, key+"_unit"), with(before, key+"_units"), with(before, key+"Unit"), with(before, "units", key), with(before, "unit", key))
		if measures == 1 || isGeneric(key) || len(before) > 0 && has(words(key), "value", "reading", "current", "measurement") {
			tries = append(tries, with(before, "unit"), with(before, "Unit"), with(before, "@unit"), with(before, "units"), with(before, "uom"), with(before, "unit_of_measurement"), with(before, "unitCode"))
		}
		for _, try := range tries {
			text, found := units[strings.Join(try, "\x00")]
			if i := strings.LastIndex(text, ":"); i >= 0 {
				text = text[i+1:] // wmoUnit:degC becomes degC
			}
			if !found {
				continue
			}
			if has(words(text), "code") {
				break
			}
			if u := unitOfText(text); u.name != "" && c.role == measure {
				c.unit = u
			}
			break
		}
	}
}

func with(keys []string, more ...string) []string { return slices.Concat(keys, more) }

// inUnits reports whether a path contains a key for units.
func inUnits(keys []string) bool {
	return slices.ContainsFunc(keys, isUnitKey)
}

// buckets returns a few round upper bounds that fit the numbers.
func buckets(numbers []float64, times bool) []string {
	least, largest := math.Inf(1), 0.0
	for _, n := range numbers {
		if n > 0 && !math.IsInf(n, 0) {
			least, largest = min(least, n), max(largest, n)
		}
	}
	ladder := []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 86400, 3 * 86400, 7 * 86400, 30 * 86400, 365 * 86400}
	if !times {
		ladder = nil
		for e := -6; e <= 12; e++ {
			for _, d := range []float64{1, 2.5, 5} {
				n, _ := strconv.ParseFloat(fmt.Sprintf("%ge%d", d, e), 64)
				ladder = append(ladder, n)
			}
		}
	}
	var out []string
	for i, bound := range ladder {
		below := i+1 < len(ladder) && ladder[i+1] < least
		if !below && len(out) < 12 {
			out = append(out, strconv.FormatFloat(bound, 'f', -1, 64))
		}
		if bound >= largest {
			break
		}
	}
	return out
}

func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff
	}), " ")
}
