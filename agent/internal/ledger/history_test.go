package ledger

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent/metric"
)

// TestHistories compares the ledger with the model over random histories.
func TestHistories(t *testing.T) {
	for seed := range uint64(250) {
		code := make([]byte, 2000)
		rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(code)
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { play(t, code, nil) }) {
			return
		}
	}
}

// TestHistoriesWithCollidingHashes checks the same as TestHistories, with the same hash for all label sets or for many.
func TestHistoriesWithCollidingHashes(t *testing.T) {
	for seed := range uint64(40) {
		code := make([]byte, 2000)
		rand.NewChaCha8([32]byte{byte(seed), 1, 1}).Read(code)
		hash := func([]byte) uint32 { return 7 }
		if seed%2 == 1 {
			hash = func(encoded []byte) uint32 { return uint32(len(encoded)) }
		}
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { play(t, code, hash) }) {
			return
		}
	}
}

func FuzzHistory(f *testing.F) {
	f.Add([]byte("a history is read from these bytes"))
	f.Fuzz(func(t *testing.T, code []byte) { play(t, code[:min(len(code), 4000)], nil) })
}

// play reads a history from bytes: some metrics, then ticks until the bytes end. After each tick the ledger must show what the
// model shows. At the end, no earlier result must have changed.
func play(t *testing.T, code []byte, hash func([]byte) uint32) {
	s := &script{code: code}
	descs := s.descs()
	validFor := time.Duration(1+s.pick(3)) * time.Minute
	maxSeries := []int{1000, 1000, 25, 12}[s.pick(4)]
	l, m := New(For(validFor), maxSeries), newModel(validFor, maxSeries)
	if hash != nil {
		l.sets.hash = hash
	}
	at := epoch()
	var shown []*Result
	var texts [][]string
	for tick := 0; len(s.code) > 0; tick++ {
		at = at.Add([]time.Duration{time.Minute, time.Minute, time.Second, 7 * time.Minute, 0}[s.pick(5)])
		readings := s.readings(descs, at)
		r, err := apply(l, at, readings)
		var want *modelResult
		m, want = m.apply(at, readings)
		if (err != nil) != (want == nil) {
			t.Fatalf("tick %d: error %v, want one: %v", tick, err, want == nil)
		}
		if want == nil {
			continue
		}
		if diff := compare(r, want); diff != "" {
			t.Fatalf("tick %d at %s (-want +got):\n%s", tick, since(at), diff)
		}
		checkLabelSets(t, shown, r)
		shown, texts = append(shown, r), append(texts, show(r.Families))
	}
	for i, r := range shown {
		if now := show(r.Families); !slices.Equal(texts[i], now) {
			t.Fatalf("the result of an earlier tick has changed (-then +now):\n%s", cmp.Diff(texts[i], now))
		}
	}
}

func compare(r *Result, want *modelResult) string {
	got := modelResult{families: map[string]metric.Family{}, drops: map[string]int{}, readings: r.Readings, resets: r.Resets}
	series := 0
	for _, f := range r.Families {
		got.families[f.Desc.Name] = f
		series += len(f.Series)
	}
	if len(got.families) != len(r.Families) || series != r.Series {
		return fmt.Sprintf("%d families, %d series, said %d", len(r.Families), series, r.Series)
	}
	for _, p := range r.Problems {
		got.problems = append(got.problems, p.Metric)
	}
	slices.Sort(got.problems)
	for _, d := range r.Drops {
		if d.First == "" {
			return "a drop has no description"
		}
		got.drops[d.Metric+" "+string(d.Reason)] += d.Count
	}
	if slices.Equal(want.lines(), got.lines()) {
		return ""
	}
	return cmp.Diff(want.lines(), got.lines())
}

func (r *modelResult) lines() []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(r.families)) {
		lines = append(lines, show([]metric.Family{r.families[name]})...)
	}
	return append(lines, fmt.Sprintf("%d readings, %d resets, problems %v, drops %v", r.readings, r.resets, r.problems, r.drops))
}

// checkLabelSets checks that a series keeps its label set from tick to tick, and that all series of a tick with the same labels share one
// label set.
func checkLabelSets(t *testing.T, before []*Result, now *Result) {
	t.Helper()
	last, shared := map[string]*metric.LabelSet{}, map[string]*metric.LabelSet{}
	if len(before) > 0 {
		for _, f := range before[len(before)-1].Families {
			for _, s := range f.Series {
				last[f.Desc.Name+s.Labels.String()] = s.Labels
			}
		}
	}
	for _, f := range now.Families {
		for _, s := range f.Series {
			labels := s.Labels.String()
			if old := last[f.Desc.Name+labels]; old != nil && old != s.Labels {
				t.Fatalf("%s%s has another label set than in the last tick", f.Desc.Name, labels)
			}
			if other := shared[labels]; other != nil && other != s.Labels {
				t.Fatalf("%s%s does not share the label set of another metric", f.Desc.Name, labels)
			}
			shared[labels] = s.Labels
		}
	}
}

// script is the rest of a history's bytes.
type script struct{ code []byte }

// pick returns a number below n. After the end of the history, it returns 0.
func (s *script) pick(n int) int {
	if len(s.code) == 0 {
		return 0
	}
	b := int(s.code[0])
	s.code = s.code[1:]
	return b % n
}

func (s *script) descs() []*metric.Desc {
	var list []*metric.Desc
	for i := range 2 + s.pick(4) {
		d := &metric.Desc{
			Name: fmt.Sprintf("m%d", i), Type: []metric.Type{metric.Gauge, metric.Counter, metric.Counter, metric.Histogram, metric.Summary}[s.pick(5)],
			LabelNames:  [][]string{{"b", "a"}, {"a", "b"}, {"x"}}[s.pick(3)],
			OnDuplicate: []metric.OnDuplicate{metric.DuplicateError, metric.DuplicateSum, metric.DuplicateLast, metric.DuplicateMax, metric.DuplicateMin, metric.DuplicateCount}[s.pick(6)],
			OnDecrease:  []metric.OnDecrease{metric.DecreaseReset, metric.DecreaseIgnore, metric.DecreaseError, metric.DecreaseAdd}[s.pick(4)],
		}
		if s.pick(2) == 0 {
			d.Const = []metric.Label{{Name: "aa", Value: "const"}}
		}
		switch d.Type {
		case metric.Gauge:
			switch s.pick(3) {
			case 0:
				d.Delta = true
			case 1:
				d.From = metric.Increment
			}
		case metric.Counter:
			d.From = []metric.From{metric.Total, metric.Total, metric.Increment, metric.Events}[s.pick(4)]
		case metric.Histogram:
			d.Buckets = [][]float64{nil, {1, 4, 5}, {-2, 0, 100}}[s.pick(3)]
			d.Native = s.pick(2) == 0
		case metric.Summary:
			d.Quantiles = [][]float64{nil, {0.5}, {0, 0.25, 0.75, 1}}[s.pick(3)]
			d.MaxAge = []time.Duration{time.Minute, time.Hour}[s.pick(2)]
		}
		if d.Accumulates() {
			d.Once = d.Type != metric.Gauge && s.pick(2) == 0
			d.Delta = d.Observes() && !d.Once && s.pick(2) == 0
			d.FirstRun = []metric.FirstRun{metric.FirstCount, metric.FirstCount, metric.FirstSkip}[s.pick(3)]
			d.Remember = []time.Duration{time.Minute, 10 * time.Minute}[s.pick(2)]
			d.MaxEvents = []int{3, 6, 1000}[s.pick(3)]
		}
		list = append(list, d)
	}
	return list
}

// readings returns a tick's readings. Some metrics fail or are absent. Labels and events appear, disappear, collide and come
// back. Totals mostly increase.
func (s *script) readings(descs []*metric.Desc, at time.Time) metric.Readings {
	readings := metric.Readings{}
	for _, d := range descs {
		m := metric.Measured{Desc: d}
		switch s.pick(10) {
		case 0:
			m.Err = errors.New("503 Service Unavailable")
		case 1:
			continue
		case 2:
			m.Drops = []metric.Drop{{Reason: metric.Missing, Count: 2, First: "no .id"}}
		}
		m.Rows = s.rows(d, at)
		readings = append(readings, m)
	}
	return readings
}

func (s *script) rows(d *metric.Desc, at time.Time) []metric.Reading {
	var rows []metric.Reading
	skip := s.pick(4) // a label set is left out about once in 1+2*skip times
	for i := range []int{0, 3, 6, 8}[s.pick(4)] {
		if skip > 0 && s.pick(1+skip*2) == 0 {
			continue
		}
		row := metric.Reading{Value: float64(s.pick(8)) + math.Floor(at.Sub(epoch()).Minutes())*float64(s.pick(2)*5)}
		for j := range d.LabelNames {
			row.Labels = append(row.Labels, []string{"", "a", "b", "ab"}[(i>>(2*j)+s.pick(20)/17)%4])
		}
		if len(d.LabelNames) == 1 && s.pick(8) > 0 { // an API that shows the past few minutes
			row.Time = at.Truncate(time.Minute).UnixMilli() - int64(s.pick(6))*60_000
		}
		switch s.pick(30) {
		case 0:
			row.Value = math.NaN()
		case 1:
			row.Value = math.Inf(1 - 2*s.pick(2))
		case 2:
			row.Value = 0 - row.Value
		case 3:
			row.Value *= 1e10
		case 4:
			row.Time = at.UnixMilli() + int64(s.pick(256)-200)*60_000
		case 5:
			row.Time = at.UnixMilli() - int64(s.pick(256))
		}
		if d.Once {
			row.Event = []string{"", "a", "b", "c", "d", "e", "f", "g", "h"}[min(8, s.pick(20))]
			if s.pick(3) == 0 {
				row.Event = fmt.Sprintf("%s%d", d.Name, at.Unix()/300)
			}
		}
		rows = append(rows, row)
	}
	if s.pick(3) == 0 {
		slices.Reverse(rows)
	}
	return rows
}
