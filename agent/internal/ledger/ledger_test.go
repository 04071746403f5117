package ledger

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// of returns a measurement that has one reading for each value. The readings have no labels.
func of(d *metric.Desc, values ...float64) metric.Measured {
	m := metric.Measured{Desc: d}
	for _, v := range values {
		m.Rows = append(m.Rows, metric.Reading{Value: v})
	}
	return m
}

// TestSummaryWindowIsBounded checks that quantiles cover at most the last maxWindow observations, and that older observations take no
// memory.
func TestSummaryWindowIsBounded(t *testing.T) {
	d := &metric.Desc{Name: "took", Type: metric.Summary, Quantiles: []float64{0, 1}, MaxAge: time.Hour}
	l := New(For(time.Minute), 10)
	n := 0
	for tick := range 10 {
		var values []float64
		for range 1000 {
			n++
			values = append(values, float64(n))
		}
		r := mustApply(t, l, epoch().Add(time.Duration(tick)*time.Second), of(d, values...))
		s := r.Families[0].Series[0].Summary()
		lowest := float64(max(1, n-maxWindow+1))
		if s.Count != uint64(n) || s.Quantiles[0] != lowest || s.Quantiles[1] != float64(n) {
			t.Fatalf("of %d observations got count %d, quantiles %v, want the lowest %v", n, s.Count, s.Quantiles, lowest)
		}
	}
	if window := l.order[0].entries[0].observed.window; len(window) != maxWindow || cap(window) > 2*maxWindow {
		t.Errorf("the window holds %d observations in room for %d", len(window), cap(window))
	}
	r := mustApply(t, l, epoch().Add(2*time.Hour), of(d))
	if s := show(r.Families)[0]; !strings.HasSuffix(s, "quantiles [NaN NaN] since -1ms") {
		t.Errorf("after max_age got %s", s)
	}
}

// TestRefusedMetricFreesItsMemory checks a metric that has too many series. Its new series take no memory after the tick was refused.
func TestRefusedMetricFreesItsMemory(t *testing.T) {
	d := &metric.Desc{Name: "hits", Type: metric.Counter, From: metric.Events, LabelNames: []string{"x"}, Once: true, Remember: time.Hour, MaxEvents: 1 << 20}
	l := New(For(time.Minute), 10)
	mustApply(t, l, epoch(), metric.Measured{Desc: d, Rows: []metric.Reading{{Labels: []string{"a"}, Value: 1, Event: "e"}}})
	flood := metric.Measured{Desc: d}
	for i := range 10_000 {
		flood.Rows = append(flood.Rows, metric.Reading{Labels: []string{fmt.Sprint(i)}, Value: 1, Event: fmt.Sprint(i)})
	}
	if _, err := apply(l, epoch().Add(time.Minute), metric.Readings{flood}); err == nil {
		t.Fatal("10,000 series were taken, max_series is 10")
	}
	table := l.tables[d]
	if cap(table.entries) > 100 || len(table.slots) > 100 || len(table.events.known) != 1 {
		t.Errorf("kept room for %d entries, %d slots, and %d event ids", cap(table.entries), len(table.slots), len(table.events.known))
	}
}

// TestCloseToMaxSeries checks that a job gets a warning when it reaches 80 percent of max_series, and keeps the warning until it has
// fewer than 75 percent. The text is always the same. A tick with too many series that the source itself has made is refused.
func TestCloseToMaxSeries(t *testing.T) {
	few, many := hostGauge("few"), hostGauge("many")
	l := New(For(time.Hour), 100)
	texts := map[string]bool{}
	for tick, step := range []struct {
		series int
		warns  bool
	}{{50, false}, {78, false}, {79, true}, {76, true}, {90, true}, {73, false}, {78, false}} {
		r := mustApply(t, l, epoch().Add(time.Duration(tick)*time.Minute), hostRows(few, 0, 1), hostRows(many, 0, step.series))
		if len(r.Warnings) > 0 != step.warns {
			t.Errorf("%d series: %v", step.series+1, r.Warnings)
		}
		for _, w := range r.Warnings {
			texts[w.Metric+": "+w.Text] = w.Limit
		}
	}
	if len(texts) != 1 || !texts["many: the job is close to max_series (100), and this metric has most of its series: use labels with fewer values, or raise max_series"] {
		t.Errorf("got %v", texts)
	}
	passed := metric.Measured{Desc: &metric.Desc{Name: "scraped"}, Series: make([]metric.Series, 101)}
	if r, err := apply(l, epoch().Add(time.Hour), metric.Readings{passed}); err == nil {
		t.Errorf("101 series were taken, max_series is 100: %v", r.Series)
	}
}

// TestMetricsNotMeasuredAreRemoved checks that a source which makes new declarations in each tick does not leak memory.
func TestMetricsNotMeasuredAreRemoved(t *testing.T) {
	l := New(For(time.Minute), 10)
	for tick := range 100 {
		kinds := []*metric.Desc{
			{Name: "temp", Type: metric.Gauge},
			{Name: "opened", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Minute, MaxEvents: 5},
		}
		r := mustApply(t, l, epoch().Add(time.Duration(tick)*time.Minute), of(kinds[0], 1), of(kinds[1]))
		if len(r.Families) != 1 || len(l.tables) > 4 || len(l.order) != len(l.tables) {
			t.Fatalf("tick %d: %d families, %d metrics known", tick, len(r.Families), len(l.tables))
		}
	}
}

// TestDump checks the text of the state for each type of metric.
func TestDump(t *testing.T) {
	l := New(For(time.Minute), 100)
	dump := func() string {
		var b strings.Builder
		l.Dump(&b)
		return b.String()
	}
	if got := dump(); got != "(empty)\n" {
		t.Errorf("got %q", got)
	}
	measured := metric.Readings{
		of(&metric.Desc{Name: "temp", Type: metric.Gauge}, 21.5),
		of(&metric.Desc{Name: "stock", Type: metric.Gauge, Delta: true}, 100),
		of(&metric.Desc{Name: "took", Type: metric.Histogram}, 1, 2),
		of(&metric.Desc{Name: "size", Type: metric.Summary}, 4),
		{
			Desc: &metric.Desc{Name: "opened", Type: metric.Counter, From: metric.Events, Once: true, Remember: time.Hour, MaxEvents: 5, LabelNames: []string{"team"}},
			Rows: []metric.Reading{{Labels: []string{"a"}, Event: "e1", Value: 1}, {Labels: []string{"b"}, Event: "e2", Value: 2}},
		},
	}
	mustApply(t, l, epoch(), measured...)
	first := `temp 21.5
stock no change known yet, upstream 100
took count 2 sum 3 since 2026-03-14T09:25:59Z
size count 1 sum 4 since 2026-03-14T09:25:59Z
opened{team="a"} 1 since 2026-03-14T09:25:59Z
opened{team="b"} 2 since 2026-03-14T09:25:59Z
opened: 2 event ids remembered
`
	if got := dump(); got != first {
		t.Errorf("got\n%s", got)
	}
	measured[1].Rows[0].Value = 95
	mustApply(t, l, epoch().Add(time.Minute), measured...)
	if got := dump(); !strings.Contains(got, "stock -5, upstream 95\n") {
		t.Errorf("got\n%s", got)
	}
}

// TestApplyAllocatesNothingPerReading checks that known series cost no allocation in a tick.
func TestApplyAllocatesNothingPerReading(t *testing.T) {
	gauge := metric.Measured{Desc: &metric.Desc{Name: "temp", Type: metric.Gauge, LabelNames: []string{"x"}}}
	opened := metric.Measured{Desc: &metric.Desc{
		Name: "opened", Type: metric.Counter, From: metric.Events, LabelNames: []string{"x"}, Once: true, Remember: time.Hour, MaxEvents: 1000,
	}}
	for i := range 1000 {
		row := metric.Reading{Labels: []string{fmt.Sprint(i)}, Value: 1, Event: fmt.Sprint(i)}
		gauge.Rows, opened.Rows = append(gauge.Rows, row), append(opened.Rows, row)
	}
	readings := metric.Readings{gauge, opened}
	l := New(For(time.Minute), 10_000)
	at := epoch()
	tick := func() {
		at = at.Add(time.Minute)
		if _, err := l.Apply(at, readings); err != nil {
			t.Fatal(err)
		}
	}
	tick()
	if n := testing.AllocsPerRun(10, tick); n > 12 {
		t.Errorf("%v allocations for 2,000 readings", n)
	}
}

// TestLastTimesAreBounded checks series that are gone. The last times of at most maxGone of them are remembered. Old readings of the
// others are used again.
func TestLastTimesAreBounded(t *testing.T) {
	const more = 10
	d := &metric.Desc{Name: "temp", Type: metric.Gauge, LabelNames: []string{"x"}}
	m := metric.Measured{Desc: d}
	for i := range maxGone + more {
		m.Rows = append(m.Rows, metric.Reading{Labels: []string{fmt.Sprint(i)}, Value: 1, Time: milli(-time.Minute)})
	}
	l := New(For(time.Hour), 2*maxGone)
	var r *Result
	for i, shown := range []metric.Measured{m, {Desc: d}, m} {
		var err error
		if r, err = l.Apply(epoch().Add(time.Duration(i)*time.Minute), metric.Readings{shown}); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.Drops) != 1 || r.Drops[0].Reason != metric.NotNewer || r.Drops[0].Count != maxGone || r.Readings != more {
		t.Errorf("%d readings are taken, dropped are %v", r.Readings, r.Drops)
	}
}

// TestReadyMade checks that ready-made series are passed on unchanged, and that the ledger does not remember them.
func TestReadyMade(t *testing.T) {
	l := New(For(time.Hour), 3)
	up := &metric.Desc{Name: "up", Type: metric.Gauge}
	load := &metric.Desc{Name: "load", Type: metric.Gauge}
	ready := func(n int) metric.Measured {
		m := metric.Measured{Desc: up, Series: make([]metric.Series, n)}
		for i := range m.Series {
			m.Series[i] = metric.Series{Labels: &metric.LabelSet{}, Value: float64(i)}
		}
		return m
	}
	broken := ready(2)
	broken.Err = errors.New("a target is down")
	broken.Drops = []metric.Drop{{Reason: metric.Duplicate, Count: 4}}
	r, err := l.Apply(epoch(), metric.Readings{broken, {Desc: load, Rows: []metric.Reading{{Value: 7}}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Families) != 2 || r.Families[0].Desc != up || &r.Families[0].Series[0] != &broken.Series[0] || r.Series != 3 || r.Readings != 3 {
		t.Errorf("got %+v", r)
	}
	if len(r.Problems) != 1 || r.Problems[0].Metric != "up" || r.Problems[0].Err != broken.Err || len(r.Drops) != 1 || r.Drops[0].Count != 4 {
		t.Errorf("problems %v, drops %v", r.Problems, r.Drops)
	}
	if _, err := l.Apply(epoch().Add(time.Minute), metric.Readings{ready(3), {Desc: load, Rows: []metric.Reading{{Value: 7}}}}); err == nil || err.Error() != "4 series are more than max_series (3): use labels with fewer values, or raise max_series" {
		t.Errorf("with too many series, got %v", err)
	}
	r, err = l.Apply(epoch().Add(2*time.Minute), metric.Readings{ready(0), {Desc: load, Rows: []metric.Reading{{Value: 8}}}})
	if err != nil || len(r.Families) != 1 || r.Families[0].Desc != load || r.Series != 1 {
		t.Errorf("series that are gone remain: %+v, %v", r, err)
	}
}
