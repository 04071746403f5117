package infer

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/document"
)

// role says what the values of a column can be used for.
type role int

// The roles of columns.
const (
	nothing  role = iota // nothing: always null, or values of several kinds
	measure              // numbers to measure
	flag                 // true and false
	moment               // points in time
	label                // texts with few different values, usable as a label
	naming               // texts that identify the items; usable as a label if there are few items
	identity             // ids: used to count each event once, but not as a label
	address              // URLs, addresses, paths, hashes
	prose                // free text
	place                // coordinates
	paging               // page numbers and limits of the API
	unitName             // name of the unit of another column
)

func (r role) String() string {
	return [...]string{"nothing", "number", "true or false", "time", "label", "name", "id", "address", "free text", "place", "page", "unit"}[r]
}

// column is a field of the items of a frame.
type column struct {
	keys    []string
	around  []string // for parallel lists (see sideBySide): keys of the object that contains them
	path    string   // path within a value that the frame's items expression returns
	cell    func(*row) cell
	isKey   bool
	top     bool // it is a field of the document, not of an item
	unnamed bool // the column has no name, only a position

	cells, then []cell // values by row: "cells" has those of the final answer, "then" has those of the answer before it
	role        role
	why         string // why the column is not a label, or why it is a counter
	expr        string // jq expression of the number
	guard       string // condition for select that leaves out items without the number; "" = every item has the number
	unit        unit
	form        timeForm
	times       []time.Time // by row; zero where there is no time
	numbers     []float64   // by row; NaN where there is no number
	distinct    map[string]int
	order       []string // the distinct texts, in the order in which they first occur
	words       []string // distinct texts among the numbers of a measure, such as on and off
	absent      int      // number of values that are null or missing
	counter     bool
	moved       bool
	state       bool
}

// name returns the words of the column's keys, without generic words such as value.
func (c *column) name() []string {
	var out []string
	for i, key := range c.keys {
		if i < len(c.keys)-1 && has([]string{strings.ToLower(key)}, "labels", "tags") {
			continue
		}
		if i == len(c.keys)-2 && has([]string{strings.ToLower(key)}, "docs", "documents", "objects", "records", "nodes", "pages") && has(words(c.keys[i+1]), "count", "total", "deleted", "failed", "size") {
			out = append(out, words(key)...) // the key names what is counted
			continue
		}
		if isGeneric(key) && (i < len(c.keys)-1 || i > 0 && has(words(key), "value", "values")) || i < len(c.keys)-3 {
			continue
		}
		out = append(out, words(key)...)
	}
	return out
}

// last returns the words of the column's own key. If that key is generic, such as value, it returns the words of the nearest
// key above it that is not generic.
func (c *column) last() []string {
	for i := len(c.keys) - 1; i >= 0; i-- {
		w := words(c.keys[i])
		if i > 0 && len(w) == 1 && w[0] == "text" && isStateName(words(c.keys[i-1])) {
			continue
		}
		if len(w) > 0 && (!isGeneric(c.keys[i]) || i == 0 || isStateName(w)) {
			return w
		}
	}
	return nil
}

// title returns the path of a column in the document, for messages.
func (c *column) title() string {
	if len(c.around) > 0 || strings.HasPrefix(c.path, ".[") && len(c.keys) > 0 && !c.unnamed {
		return pathOf("", slices.Concat(c.around, c.keys))
	}
	return oneLine(cmp.Or(c.path, "."))
}

// scope returns the words that say what a label means: the words of its key, and for a key such as "name" also those of the key above it.
func (c *column) scope() []string {
	w := c.last()
	if n := len(c.keys); n > 1 && has(words(c.keys[n-1]), "name", "id", "title", "login", "label", "value", "key", "display") {
		w = append(words(c.keys[n-2]), w...)
	}
	return w
}

// load reads the values of all columns and classifies the columns.
func (f *frame) load(roots []document.Value) {
	for answer, root := range roots {
		f.n, f.outerOf = 0, nil
		numbers := map[*row]string{}
		f.each(root, func(r *row) bool {
			f.n++
			if r.outer != nil {
				if numbers[r.outer] == "" {
					numbers[r.outer] = strconv.Itoa(len(numbers) + 1)
				}
				f.outerOf = append(f.outerOf, numbers[r.outer])
			}
			for _, c := range f.columns {
				v := c.cell(r)
				if answer == len(roots)-1 {
					c.cells = append(c.cells, v)
				} else {
					c.then = append(c.then, v)
				}
			}
			return true
		})
	}
	for _, c := range f.columns {
		c.classify()
	}
	f.moving()
	f.spans()
}

// moving gives the role "measure" to all columns with coordinates if the values of one of these columns differ between the two answers:
// the things move.
func (f *frame) moving() {
	if !slices.ContainsFunc(f.columns, func(c *column) bool { return c.role == place && c.hasMoved() }) {
		return
	}
	for _, c := range f.columns {
		if c.role != place || !isPlace(c.last()) {
			continue
		}
		c.role, c.expr, c.why = measure, c.path, ""
		if c.absent > 0 {
			c.guard = c.path + " != null"
		}
		c.readNumbers()
	}
}

// spans joins numbers that together are one duration, as in {"days": 2, "hours": 3}.
func (f *frame) spans() {
	parts := map[string][]*column{}
	for _, c := range f.columns {
		if n := len(c.keys); n > 1 && c.role == measure && c.absent == 0 && c.expr == c.path && has([]string{strings.ToLower(c.keys[n-1])}, "days", "hours", "minutes", "seconds") {
			parent := strings.Join(c.keys[:n-1], "\x00")
			parts[parent] = append(parts[parent], c)
		}
	}
	for _, columns := range parts {
		if len(columns) < 2 {
			continue
		}
		whole := columns[0]
		var terms []string
		for i, c := range columns {
			terms = append(terms, c.path+c.unit.factor)
			for row, n := range c.numbers {
				if n *= factorOf(c.unit.factor); i == 0 {
					whole.numbers[row] = n
				} else {
					whole.numbers[row] += n
				}
			}
			if i > 0 {
				c.role, c.why = nothing, "a part of a duration"
			}
		}
		last := len(whole.keys) - 1
		whole.path = strings.TrimSuffix(whole.path, "."+whole.keys[last])
		whole.keys = whole.keys[:last]
		whole.expr, whole.unit, whole.counter = strings.Join(terms, " + "), unit{name: "seconds"}, false
	}
}

// classify sets the role of a column.
func (c *column) classify() {
	kinds := [7]int{}
	c.distinct = map[string]int{}
	for _, v := range c.cells {
		kinds[v.kind]++
		if v.kind == document.Null {
			c.absent++
			continue
		}
		if c.distinct[v.text]++; c.distinct[v.text] == 1 {
			c.order = append(c.order, v.text)
		}
	}
	for _, v := range c.then {
		kinds[v.kind]++
	}
	bools, present := kinds[document.True]+kinds[document.False], len(c.cells)-c.absent
	switch {
	case present == 0:
		c.why = "always null"
	case bools > 0 && c.top && isPaging(c.keys):
		c.role, c.why = paging, "about pages"
	case bools > 0 && kinds[document.Number]+kinds[document.String] == 0:
		c.role, c.expr = flag, c.path
		if c.absent > 0 {
			c.guard = c.path + " != null"
		}
	case bools > 0 || kinds[document.Array]+kinds[document.Object] > 0:
		c.why = "values of several kinds"
	case kinds[document.String] == 0:
		c.classifyNumbers()
	default:
		c.classifyTexts()
	}
	if c.role == measure {
		c.readNumbers()
	}
}

// hasMoved reports whether values differ between the two answers.
func (c *column) hasMoved() bool {
	return len(c.then) == len(c.cells) && !slices.Equal(c.then, c.cells)
}

// classifyNumbers decides whether numbers are times, ids, codes or numbers to measure.
func (c *column) classifyNumbers() {
	w := c.last()
	if (namesTime(w) || c.inTime() || c.unnamed && len(c.order) == len(c.cells) && len(c.cells) > 1) && c.timesOfNumbers() {
		return
	}
	integers := !slices.ContainsFunc(c.order, func(s string) bool { return strings.ContainsAny(s, ".eE") })
	switch {
	case c.isKey && integers:
		c.role = naming
	case isID(w) && integers:
		c.role, c.why = identity, "an id"
	case isPlace(w):
		c.role, c.why = place, "a place"
	case c.top && isPaging(c.keys):
		c.role, c.why = paging, "about pages"
	case isCodeName(w) && integers && len(c.order) <= maxValues:
		c.role = label
	case isFixed(w), isCodeName(w) && integers && len(c.order) > maxValues || has(w, "code"):
		c.role, c.why = nothing, "fixed"
	default:
		c.role, c.expr = measure, c.path
		if c.absent > 0 {
			c.guard = c.path + " != null"
		}
	}
}

// inTime reports whether the column has a key such as "absolute", and the key above it names a time.
func (c *column) inTime() bool {
	n := len(c.keys)
	return n > 1 && has(words(c.keys[n-1]), "absolute", "unix", "epoch", "raw") && namesTime(words(c.keys[n-2]))
}

// timesOfNumbers reports whether all values are Unix times. If they are, it sets the role and the times of the column.
func (c *column) timesOfNumbers() bool {
	form := noTime
	times := make([]time.Time, len(c.cells))
	for i, v := range c.cells {
		if v.kind == document.Null || v.text == "0" {
			continue
		}
		n, ok := document.ParseNumber(v.text)
		t, f := numberTime(n)
		if !ok || f == noTime || form != noTime && f != form {
			return false
		}
		form, times[i] = f, t
	}
	if form == noTime {
		return false
	}
	c.role, c.form, c.times = moment, form, times
	return true
}

// classifyTexts decides whether texts are numbers, times, names, labels or free texts.
func (c *column) classifyTexts() {
	w := c.last()
	switch {
	case c.numbersInTexts(w), c.timesInTexts(), c.amountsInTexts(w):
		return
	}
	longest, spaces, addresses, machine := 0, 0, 0, 0
	for _, text := range c.order {
		longest = max(longest, len(text))
		if strings.Count(text, " ") > 3 || strings.ContainsAny(text, "\n\r") {
			spaces++
		}
		if looksURL().MatchString(text) {
			addresses++
		}
		if isRandom(text) {
			machine++
		}
		if elapsed().MatchString(text) {
			spaces++ // like free text, such a text changes all the time, so it is no label
		}
	}
	most := func(n int) bool { return 2*n > len(c.order) }
	present := len(c.cells) - c.absent
	few := len(c.order) <= maxValues && (2*len(c.order) <= present || present <= 10 && len(c.order) < present || isLabelName(c.scope()))
	switch {
	case c.isKey:
		c.role = naming
	case looksIP().MatchString(c.order[0]):
		c.role, c.why = naming, "addresses"
	case has(w, "platform", "gate", "bits", "bitmask", "functionbitmask") && !slices.ContainsFunc(c.order, func(text string) bool { return !isNumber(text) }):
		c.role, c.why = nothing, "fixed"
	case most(addresses) || has(w, "url", "uri", "href", "link", "avatar", "email", "sha", "hash", "md5", "etag", "path", "icon", "logo"):
		c.role, c.why = address, "addresses"
	case isID(w) && !few || most(machine):
		c.role, c.why = identity, "ids"
	case longest > 60 || most(spaces) || isProse(w) && !few:
		c.role, c.why = prose, "free text"
	case isID(w):
		c.role, c.why = identity, "ids"
	case few && !isProse(w):
		c.role, c.state = label, isStateName(w)
	default:
		c.role, c.why = naming, "texts"
	}
}

// numbersInTexts reports whether the texts are numbers, except for texts that mean "no value" and for a few words, such as on and off. If
// they are, it sets the role of the column.
func (c *column) numbersInTexts(w []string) bool {
	numbers, none := 0, 0
	for _, text := range c.order {
		switch {
		case isNumber(text):
			numbers++
		case isNone(text):
			none++
		default:
			c.words = append(c.words, text)
		}
	}
	if len(c.words) > 0 && (numbers < 2 || 3*numbers < len(c.order) || !has(w, "state", "value", "reading", "measurement")) {
		c.words = nil
		return false
	}
	none += len(c.words)
	if isFixed(w) && !slices.ContainsFunc(c.order, func(s string) bool { return strings.Contains(s, ".") }) || numbers == 0 || isID(w) || isVersion(w) || isCodeName(w) || c.isKey || isProse(w) {
		return false
	}
	if namesTime(w) && none == 0 && c.timesOfNumbers() {
		c.form = timeForm(strings.Replace("| tonumber"+strings.TrimPrefix(string(c.form), "."), "| tonumber", ". | tonumber", 1))
		return true
	}
	if isPlace(w) || c.top && isPaging(c.keys) {
		c.role, c.why = place, "a place"
		return true
	}
	c.role, c.expr = measure, c.path
	switch {
	case none > 0:
		c.guard = "(" + c.path + " | tonumber?)"
	case c.absent > 0:
		c.guard = c.path + " != null"
	}
	return true
}

// timesInTexts reports whether all texts are times in the same format. If they are, it sets the role and the times of the column.
func (c *column) timesInTexts() bool {
	form := noTime
	times := make([]time.Time, len(c.cells))
	for i, v := range c.cells {
		if v.kind == document.Null || v.text == "" {
			continue
		}
		t, f := textTime(v.text)
		if f == noTime || form != noTime && f != form {
			return false
		}
		form, times[i] = f, t
	}
	if form == noTime {
		return false
	}
	c.role, c.form, c.times = moment, form, times
	return true
}

// amountsInTexts reports whether all texts are numbers with the same unit, such as "-53 dBm", or durations such as "3d 4h".
func (c *column) amountsInTexts(w []string) bool {
	if isID(w) || isVersion(w) || isProse(w) || c.isKey || has(w, "icon", "image") {
		return false
	}
	if c.cores() {
		return true
	}
	if isFixed(w) && !slices.ContainsFunc(c.order, func(text string) bool { return !isNumber(text) }) {
		return false
	}
	allSpans, allAmounts, some, none, plain := true, true, 0, 0, true
	base := ""
	for _, text := range c.order {
		if isNone(text) {
			none++
			continue
		}
		allSpans = allSpans && spans().MatchString(strings.ToLower(text))
		m := amount().FindStringSubmatch(text)
		if m == nil || some > 0 && base != m[1]+baseUnit(m[3]) || !isUnit(text, m[3]) {
			allAmounts = false
		} else {
			base = m[1] + baseUnit(m[3])
			plain = plain && m[1] == "" && !strings.Contains(m[2], ",")
		}
		some++
	}
	switch {
	case some == 0:
		return false
	case allSpans, allAmounts && base == timeUnit:
		c.expr = c.path + " | duration"
		c.unit = unit{name: "seconds"}
	case allAmounts && base == smallBytes && has(w, "size", "store", "memory", "mem", "disk", "heap", "bytes", "used", "free", "cache", "swap", "storage"):
		c.expr = c.path + ` | ascii_upcase | quantity("B"; 1024)`
		c.unit = unit{name: "bytes"}
	case allAmounts && base == binaryPrefix:
		c.expr = c.path + ` | quantity("")`
		c.unit = unit{name: "bytes"}
	case allAmounts && plain:
		c.expr = c.path + " | quantity(" + quote(base) + ")"
		c.unit = unitOfText(base)
	case allAmounts:
		c.expr = c.path + ` | gsub(","; "") | capture("(?<n>-?[0-9]*[.]?[0-9]+)").n | tonumber`
		c.unit = unitOfText(base)
	default:
		return false
	}
	c.role = measure
	switch {
	case none > 0:
		c.guard = "(" + c.path + ` // "" | test("[0-9]"))`
	case c.absent > 0:
		c.guard = c.path + " != null"
	}
	return true
}

// cores reports whether all texts are numbers of processors as Kubernetes writes them, such as "250m" and "2". If they are, it sets the
// role of the column.
func (c *column) cores() bool {
	if !has(c.name(), "cpu", "cpus", "cores") || slices.ContainsFunc(c.order, func(text string) bool { return !coreCount().MatchString(text) }) {
		return false
	}
	c.role, c.expr = measure, c.path+` | quantity("")`
	if c.absent > 0 {
		c.guard = c.path + " != null"
	}
	return true
}

// readNumbers reads the numbers, and decides from their changes between two answers whether they are a counter.
func (c *column) readNumbers() {
	c.numbers = numbersOf(c.cells)
	before := numbersOf(c.then)
	rose, fell := 0, 0
	if len(before) == len(c.numbers) {
		for i, n := range c.numbers {
			switch {
			case n > before[i]:
				rose++
			case n < before[i]:
				fell++
			}
		}
	}
	c.moved = rose+fell > 0
	whole, negative := true, false
	for _, n := range c.numbers {
		if n < 0 || n != math.Trunc(n) {
			whole = whole && math.IsNaN(n)
		}
		negative = negative || n < 0
	}
	w := c.name()
	switch {
	case rose > 0 && fell == 0 && !negative && isEnergyTotal(w) && !isGaugeName(w):
		c.counter, c.why = true, "its name is that of a total, and it only rose from one answer to the next"
	case !whole || fell > 0 || isGaugeName(w):
	case isCounterName(w) && (rose > 0 || !has(w, "download", "upload")):
		c.counter, c.why = true, "its name is that of a counter"
	case rose > 0 && has(c.last(), "total"):
		c.counter, c.why = true, "its name ends in total, and it only rose from one answer to the next"
	case rose > 0 && isEventName(w):
		c.counter, c.why = true, "it only rose from one answer to the next"
	}
	if c.unit.name == "" {
		c.unit = unitOfName(c.last())
	}
}

func numbersOf(cells []cell) []float64 {
	out := make([]float64, len(cells))
	for i, v := range cells {
		if coreCount().MatchString(v.text) && v.kind == document.String {
			v.text = strings.TrimRight(v.text, "mun")
		}
		n, ok := document.ParseNumber(strings.TrimSpace(v.text))
		if m := amount().FindStringSubmatch(v.text); !ok && m != nil {
			n, ok = document.ParseNumber(strings.ReplaceAll(m[2], ",", ""))
		}
		if !ok {
			n = math.NaN()
		}
		out[i] = n
	}
	return out
}

// about returns a short description of the values.
func (c *column) about() string {
	out := ""
	if n := len(c.order); n > 1 {
		out = ", " + strconv.Itoa(n) + " values"
	}
	if c.absent > 0 {
		out += ", null " + strconv.Itoa(c.absent) + "x"
	}
	return out
}
