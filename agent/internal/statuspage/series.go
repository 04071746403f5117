package statuspage

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

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

// found is a series that matches a query.
type found struct {
	family int // index of its family in the batch
	index  int // index of the series in the family
	value  float64
	change float64 // NaN = not known
}

// seriesOf returns the series of a job that a query selects. From then on, the past values of the returned series are kept.
func (h *History) seriesOf(job string, b metric.Batch, q seriesQuery) SeriesPage {
	h.mu.Lock()
	before := h.job(job).follow.before
	h.mu.Unlock()
	page := SeriesPage{Total: b.Series(), Search: q.search, Sort: q.sort, Series: []Series{}}
	words := strings.Fields(strings.ToLower(q.search))
	changes := newChanges(before)
	var all []found
	for i := range b.Families {
		f := &b.Families[i]
		inName := len(words) > 0 && containsAll(strings.ToLower(f.Desc.Name), words)
		for k := range f.Series {
			s := &f.Series[k]
			if len(words) > 0 && !inName && !matches(f.Desc.Name, s.Labels, words) {
				continue
			}
			one := found{family: i, index: k, value: valueOf(s), change: math.NaN()}
			if strings.HasSuffix(q.sort, "change") {
				if old, ok := changes.before(f.Desc.Name, k, s.Labels); ok {
					one.change = one.value - old
				}
			}
			all = append(all, one)
		}
	}
	page.Matched = len(all)
	order(all, b.Families, q.sort)
	page.Offset = min(max(0, q.offset), max(0, (len(all)-1)/pageOfSeries*pageOfSeries))
	shown := all[page.Offset:min(len(all), page.Offset+pageOfSeries)]
	h.mu.Lock()
	defer h.mu.Unlock()
	follow := &h.job(job).follow
	for _, one := range shown {
		f := &b.Families[one.family]
		s := &f.Series[one.index]
		out := Series{Metric: f.Desc.Name, Type: f.Desc.Type.String(), Value: Number(one.value), Labels: labelsOf(s.Labels)}
		if old, ok := changes.before(f.Desc.Name, one.index, s.Labels); ok {
			n := Number(old)
			out.Before = &n
		}
		for _, p := range follow.show(seriesKey{f.Desc.Name, s.Labels}, h.now().UnixMilli(), one.value) {
			out.Points = append(out.Points, Point{time.UnixMilli(p.At).UTC(), Number(p.Value)})
		}
		page.Series = append(page.Series, out)
	}
	return page
}

func labelsOf(set *metric.LabelSet) map[string]string {
	var labels map[string]string
	for l := range set.All() {
		if labels == nil {
			labels = map[string]string{}
		}
		labels[l.Name] = l.Value
	}
	return labels
}

// matches reports whether every word is in the name of the metric or in a label.
func matches(name string, set *metric.LabelSet, words []string) bool {
	var b strings.Builder
	b.WriteString(name)
	for l := range set.All() {
		b.WriteByte(' ')
		b.WriteString(l.Name)
		b.WriteByte('=')
		b.WriteString(l.Value)
	}
	return containsAll(strings.ToLower(b.String()), words)
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// order sorts series by name, value or size of change. Values and changes that are NaN come last.
func order(all []found, families []metric.Family, by string) {
	field, descending := strings.CutPrefix(by, "-")
	value := func(f *found) float64 { return f.value }
	switch field {
	case "change":
		value = func(f *found) float64 { return math.Abs(f.change) }
	case "value":
	case "name":
		slices.SortStableFunc(all, func(a, b found) int {
			c := strings.Compare(families[a.family].Desc.Name, families[b.family].Desc.Name)
			if descending {
				return -c
			}
			return c
		})
		return
	default:
		return
	}
	slices.SortStableFunc(all, func(a, b found) int {
		x, y := value(&a), value(&b)
		switch {
		case math.IsNaN(x) || math.IsNaN(y):
			return boolCompare(math.IsNaN(x), math.IsNaN(y))
		case descending:
			return cmp.Compare(y, x)
		}
		return cmp.Compare(x, y)
	})
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// changes finds the values that series had in the previous run.
type changes struct {
	families map[string]*metric.Family
	index    map[seriesKey]float64 // previous values, for the families in indexed
	indexed  map[string]bool       // names of families whose series have changed their order since the previous run
}

func newChanges(before []metric.Family) *changes {
	c := &changes{families: map[string]*metric.Family{}, index: map[seriesKey]float64{}, indexed: map[string]bool{}}
	for i := range before {
		c.families[before[i].Desc.Name] = &before[i]
	}
	return c
}

// before returns the value that a series had in the previous run, false if there is none. At is the index that the series has now:
// usually it had the same index.
func (c *changes) before(name string, at int, labels *metric.LabelSet) (float64, bool) {
	f := c.families[name]
	if f == nil {
		return 0, false
	}
	if at < len(f.Series) && f.Series[at].Labels == labels {
		return valueOf(&f.Series[at]), true
	}
	if !c.indexed[name] {
		c.indexed[name] = true
		for k := range f.Series {
			c.index[seriesKey{name, f.Series[k].Labels}] = valueOf(&f.Series[k])
		}
	}
	v, ok := c.index[seriesKey{name, labels}]
	return v, ok
}
