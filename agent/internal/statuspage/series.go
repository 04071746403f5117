package statuspage

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/metric"
)

// pageOfSeries is the maximum number of series that a page shows.
const pageOfSeries = 50

// Number is a value in JSON: a number, or "NaN", "+Inf" or "-Inf".
type Number float64

// String returns the number as in the text format of Prometheus.
func (n Number) String() string { return strconv.FormatFloat(float64(n), 'g', -1, 64) }

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte(`"` + n.String() + `"`), nil
	}
	return []byte(n.String()), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(text []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
	*n = Number(f)
	return err
}

// seriesQuery selects series of a job.
type seriesQuery struct {
	search string // words that must all be in the name or in a label
	sort   string // name, value or change, with - before it for descending order; "" = the order of the job
	offset int    // number of series to leave out at the beginning
}

// found is a series that a query may select. The field "by" is the number by which the series is sorted: its value, or how much the value
// has changed.
type found struct {
	family, index int32
	by            float64 // NaN = not known
}

// seriesOf returns the series of a job that a query selects. From then on, the past values of the returned series are kept.
func (h *History) seriesOf(job string, b metric.Batch, q seriesQuery) SeriesPage {
	h.mu.Lock()
	changes := newChanges(h.job(job).follow.before)
	h.mu.Unlock()
	page := SeriesPage{Total: b.Series(), Search: q.search, Sort: q.sort, Series: []Series{}}
	all := find(b, q, changes)
	page.Matched = len(all)
	page.Offset = min(max(0, q.offset), max(0, (len(all)-1)/pageOfSeries*pageOfSeries))
	end := min(len(all), page.Offset+pageOfSeries)
	if compare := order(b.Families, q.sort); compare != nil {
		all = firsts(all, end, compare)
	}
	shown := all[page.Offset:end]
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(job)
	for _, one := range shown {
		f := &b.Families[one.family]
		s := &f.Series[one.index]
		value := valueOf(s)
		out := Series{Metric: f.Desc.Name, Type: f.Desc.Type.String(), Value: Number(value), Labels: s.Labels.Map()}
		if old, ok := changes.before(f.Desc.Name, int(one.index), s.Labels); ok {
			n := Number(old)
			out.Before = &n
		}
		key, now := seriesKey{f.Desc.Name, s.Labels}, h.now().UnixMilli()
		if i := slices.IndexFunc(j.named, func(n *named) bool { return n.key == key }); i >= 0 {
			n := j.named[i]
			out.Points = n.past.shown(now)
			if out.Before == nil && n.known { // the page of the job is opened for the first time
				before := Number(n.before)
				out.Before = &before
			}
		} else {
			out.Points = j.follow.show(key, now, value)
		}
		page.Series = append(page.Series, out)
	}
	return page
}

// find returns the series that match the words of a query, in the order of the batch. It allocates no memory for each single series,
// because a batch may have millions of them.
func find(b metric.Batch, q seriesQuery, changes changes) []found {
	m := newMatcher(q.search)
	var all []found
	if len(m.words) == 0 {
		all = make([]found, 0, b.Series())
	}
	for i := range b.Families {
		f := &b.Families[i]
		m.begin(f.Desc.Name)
		for k := range f.Series {
			s := &f.Series[k]
			if !m.matches(s.Labels) {
				continue
			}
			one := found{int32(i), int32(k), 0}
			switch strings.TrimPrefix(q.sort, "-") {
			case "value":
				one.by = valueOf(s)
			case "change":
				one.by = math.NaN()
				if old, ok := changes.before(f.Desc.Name, k, s.Labels); ok {
					one.by = math.Abs(valueOf(s) - old)
				}
			}
			all = append(all, one)
		}
	}
	return all
}

// matcher finds series by words. Each word must occur in the name of the metric or in a label, written as name=value. Case does not
// matter.
type matcher struct {
	words [][]byte // in lower case
	left  [][]byte // the words that the name of the metric does not contain
	label []byte   // the label that is searched, in lower case
	in    []bool   // in[i] says whether left[i] was found in a label
}

func newMatcher(search string) *matcher {
	m := &matcher{}
	for _, word := range strings.Fields(strings.ToLower(search)) {
		m.words = append(m.words, []byte(word))
	}
	m.in = make([]bool, len(m.words))
	return m
}

// begin must be called before the series of another metric are matched.
func (m *matcher) begin(name string) {
	m.label, m.left = appendLower(m.label[:0], name), m.left[:0]
	for _, word := range m.words {
		if !bytes.Contains(m.label, word) {
			m.left = append(m.left, word)
		}
	}
}

// matches reports whether each word that is not in the name of the metric is in a label.
func (m *matcher) matches(set *metric.LabelSet) bool {
	left := len(m.left)
	if left == 0 {
		return true
	}
	clear(m.in)
	for l := range set.All() {
		m.label = appendLower(append(appendLower(m.label[:0], l.Name), '='), l.Value)
		for i, word := range m.left {
			if !m.in[i] && bytes.Contains(m.label, word) {
				m.in[i] = true
				left--
			}
		}
		if left == 0 {
			return true
		}
	}
	return false
}

// appendLower appends s in lower case.
func appendLower(to []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			return append(to[:len(to)-i], strings.ToLower(s)...)
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// order returns the comparison for sorting series by name, value or change; nil = the order of the batch. Series whose value or change is
// not known come last. Equal series stay in the order of the batch.
func order(families []metric.Family, by string) func(a, b found) int {
	field, descending := strings.CutPrefix(by, "-")
	sign := 1
	if descending {
		sign = -1
	}
	inBatch := func(a, b found) int { return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.index, b.index)) }
	switch field {
	case "name":
		return func(a, b found) int {
			c := 0
			if a.family != b.family {
				c = strings.Compare(families[a.family].Desc.Name, families[b.family].Desc.Name)
			}
			return cmp.Or(sign*c, inBatch(a, b))
		}
	case "value", "change":
		return func(a, b found) int {
			switch {
			case a.by < b.by:
				return -sign
			case a.by > b.by:
				return sign
			}
			return cmp.Or(boolCompare(math.IsNaN(a.by), math.IsNaN(b.by)), inBatch(a, b))
		}
	}
	return nil
}

// boolCompare orders false before true.
func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// firsts returns the first n series of the slice "all" in sorted order. It reuses the memory of that slice. If n is small, firsts is faster
// than a sort of the whole slice.
func firsts(all []found, n int, compare func(a, b found) int) []found {
	best := all[:0]
	full := false // best was cut to n, so a series after best[n-1] cannot be among the first n
	for _, one := range all {
		if full && compare(one, best[n-1]) > 0 {
			continue
		}
		if best = append(best, one); len(best) >= 2*n {
			slices.SortFunc(best, compare)
			best, full = best[:n], true
		}
	}
	slices.SortFunc(best, compare)
	return best[:n]
}

// changes is used to find the values that series had in the previous run. The key of the map is the name of the metric.
type changes map[string]*formerly

// formerly has the series of a metric in the previous run.
type formerly struct {
	series []metric.Series
	shift  int                          // index in the previous run minus index in this run, of the series that was found last
	index  map[*metric.LabelSet]float64 // values of all series; nil until a series is not found near its expected index
}

// near is the maximum distance from the expected index at which a series is searched for. If it is not found there, the map formerly.index
// is made and used.
const near = 16

func newChanges(before []metric.Family) changes {
	c := make(changes, len(before))
	for i := range before {
		c[before[i].Desc.Name] = &formerly{series: before[i].Series}
	}
	return c
}

// before returns the value that a series had in the previous run. The argument "at" is the index of the series in this run.
func (c changes) before(name string, at int, labels *metric.LabelSet) (float64, bool) {
	f := c[name]
	if f == nil {
		return 0, false
	}
	for by := range 2*near + 1 { // 0, 1, -1, 2, -2, …
		if by%2 == 0 {
			by = -by
		}
		if i := at + f.shift + (by+1)/2; i >= 0 && i < len(f.series) && f.series[i].Labels == labels {
			f.shift = i - at
			return valueOf(&f.series[i]), true
		}
	}
	if f.index == nil {
		f.index = make(map[*metric.LabelSet]float64, len(f.series))
		for i := range f.series {
			f.index[f.series[i].Labels] = valueOf(&f.series[i])
		}
	}
	v, ok := f.index[labels]
	return v, ok
}
