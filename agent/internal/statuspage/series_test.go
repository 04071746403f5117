package statuspage

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
)

// shuffledBatches returns two batches of a job with many values that are equal or NaN. The second batch lacks some series of the first,
// has new series, and has another order.
func shuffledBatches(random *rand.Rand) (before, now metric.Batch) {
	for _, name := range []string{"zeta_total", "alpha", "mid"} {
		d := &metric.Desc{Name: name, Type: metric.Gauge, LabelNames: []string{"host", "zone"}}
		f := metric.Family{Desc: d}
		for i := range 300 {
			value := float64(random.IntN(40))
			if value == 7 {
				value = math.NaN()
			}
			f.Series = append(f.Series, metric.Series{Labels: d.LabelSet([]string{fmt.Sprintf("Host-%03d", i), []string{"ÄRA one", "NORTH-A", "x=Y"}[i%3]}), Value: value})
		}
		was := metric.Family{Desc: d, Series: slices.Clone(f.Series[:280])}
		for i := range was.Series {
			was.Series[i].Value = float64(random.IntN(5))
		}
		if name == "mid" {
			random.Shuffle(len(was.Series), func(i, k int) { was.Series[i], was.Series[k] = was.Series[k], was.Series[i] })
		}
		f.Series = f.Series[10:]
		before.Families, now.Families = append(before.Families, was), append(now.Families, f)
	}
	return before, now
}

// slowly returns what a query selects. It finds the series in the simplest way.
func slowly(before, now metric.Batch, q seriesQuery) []string {
	old := map[string]float64{}
	for _, f := range before.Families {
		for i := range f.Series {
			old[f.Desc.Name+labelsInWords(f.Series[i].Labels.Map())] = f.Series[i].Value
		}
	}
	type row struct {
		family, name string
		by           float64
	}
	var rows []row
	for _, f := range now.Families {
		for i := range f.Series {
			s := &f.Series[i]
			text := f.Desc.Name
			for l := range s.Labels.All() {
				text += " " + l.Name + "=" + l.Value
			}
			if !containsAll(strings.ToLower(text), strings.Fields(strings.ToLower(q.search))) {
				continue
			}
			r := row{family: f.Desc.Name, name: f.Desc.Name + labelsInWords(s.Labels.Map()), by: s.Value}
			if strings.HasSuffix(q.sort, "change") {
				r.by = math.NaN()
				if v, ok := old[r.name]; ok {
					r.by = math.Abs(s.Value - v)
				}
			}
			rows = append(rows, r)
		}
	}
	descending := strings.HasPrefix(q.sort, "-")
	slices.SortStableFunc(rows, func(a, b row) int {
		c := cmp.Compare(a.by, b.by)
		switch {
		case q.sort == "":
			return 0
		case strings.HasSuffix(q.sort, "name"):
			c = strings.Compare(a.family, b.family)
		case math.IsNaN(a.by) || math.IsNaN(b.by):
			return -c
		}
		if descending {
			return -c
		}
		return c
	})
	var all []string
	for _, r := range rows {
		all = append(all, r.name)
	}
	return all
}

// TestFind checks that searches and sort orders return the same as the function "slowly".
func TestFind(t *testing.T) {
	before, now := shuffledBatches(rand.New(rand.NewPCG(1, 2)))
	h := NewHistory()
	h.look("j")
	for _, b := range []metric.Batch{before, now} {
		h.Ran(run.Ended{Job: "j", Start: time.Now(), Result: run.Succeeded, Families: b.Families})
	}
	for _, search := range []string{"", "alpha", "ALPHA north-a", "host-1", "host=host-01 zeta ära", "one ÄRA", "x=y", "zone=x=y 2", "none at all", "a o t"} {
		for _, sort := range []string{"", "name", "-name", "value", "-value", "change", "-change"} {
			want := slowly(before, now, seriesQuery{search: search, sort: sort})
			for _, offset := range []int{0, 50, 350, 5000, -1} {
				got := h.seriesOf("j", now, seriesQuery{search, sort, offset})
				from := min(max(0, offset), max(0, (len(want)-1)/pageOfSeries*pageOfSeries))
				var names []string
				for _, s := range got.Series {
					names = append(names, s.String())
				}
				if part := want[from:min(len(want), from+pageOfSeries)]; got.Matched != len(want) || got.Offset != from || !slices.Equal(names, part) {
					t.Fatalf("search %q, sort %q, offset %d: %d matched, from %d: %v\nwant %d, from %d: %v", search, sort, offset, got.Matched, got.Offset, names, len(want), from, part)
				}
			}
		}
	}
}

// TestSearchAllocates checks that a search does not allocate memory for series that do not match.
func TestSearchAllocates(t *testing.T) {
	b := batchOf("j", 10_000)
	if n := testing.AllocsPerRun(5, func() { find(b, seriesQuery{search: "host-x items"}, nil) }); n > 20 {
		t.Errorf("%v allocations", n)
	}
}
