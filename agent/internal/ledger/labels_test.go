package ledger

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/collectington/collectington/agent/metric"
)

// hostGauge returns a declaration with the labels host and disk.
func hostGauge(name string) *metric.Desc {
	return &metric.Desc{Name: name, Type: metric.Gauge, LabelNames: []string{"host", "disk"}}
}

// hostRows returns a measurement with a reading for each host number n with from ≤ n < to.
func hostRows(d *metric.Desc, from, to int) metric.Measured {
	m := metric.Measured{Desc: d}
	for i := from; i < to; i++ {
		m.Rows = append(m.Rows, metric.Reading{Labels: []string{fmt.Sprint("host-", i), "sda"}, Value: float64(i)})
	}
	return m
}

// TestMetricsShareLabelSets checks that series with the same labels have the same label set, even if they belong to different metrics of
// a job. The series are old or new, declared alike or not, restored or inherited.
func TestMetricsShareLabelSets(t *testing.T) {
	used, free := hostGauge("used"), hostGauge("free")
	swapped := &metric.Desc{Name: "swapped", Type: metric.Gauge, LabelNames: []string{"disk", "none", "host"}}
	constant := &metric.Desc{Name: "constant", Type: metric.Gauge, LabelNames: []string{"host"}, Const: []metric.Label{{Name: "disk", Value: "sda"}}}
	other := &metric.Desc{Name: "other", Type: metric.Gauge, LabelNames: []string{"Host", "disk"}}
	readings := func(n int) metric.Readings {
		all := metric.Readings{hostRows(used, 0, n), hostRows(free, 0, n), {Desc: swapped}, {Desc: constant}, {Desc: other}}
		for _, row := range all[0].Rows {
			all[2].Rows = append(all[2].Rows, metric.Reading{Labels: []string{"sda", "", row.Labels[0]}})
			all[3].Rows = append(all[3].Rows, metric.Reading{Labels: row.Labels[:1]})
			all[4].Rows = append(all[4].Rows, row)
		}
		return all
	}
	at := epoch()
	tick := func(l *Ledger, n int) *Result {
		t.Helper()
		at = at.Add(time.Minute)
		r := mustApply(t, l, at, readings(n)...)
		if len(r.Families) != 5 {
			t.Fatalf("%d families", len(r.Families))
		}
		for i := range n {
			set := r.Families[0].Series[i].Labels
			for k, f := range r.Families {
				if got := f.Series[i].Labels; (got == set) != (k < 4) {
					t.Fatalf("%d series: label set %p of %s%s, %p of used", n, got, f.Desc.Name, got, set)
				}
			}
		}
		return r
	}
	l := New(For(time.Hour), 1000)
	l.Journal(false)
	before := tick(l, 10)
	for range 2 * maxIdle { // the index is dropped meanwhile
		checkLabelSets(t, []*Result{before}, tick(l, 10))
	}
	tick(l, 30)
	heir := New(For(time.Hour), 1000)
	heir.Journal(false)
	heir.Inherit(l)
	before = tick(heir, 30)
	checkLabelSets(t, []*Result{before}, tick(heir, 60))
	restored := New(For(time.Hour), 1000)
	if err := restored.Restore(heir.Changes(true)); err != nil {
		t.Fatal(err)
	}
	tick(restored, 60)
	tick(restored, 90)
}

// TestLabelSetsAreFreed checks that the label sets of ended series are freed: those still in memory are at most a quarter of the number of
// series. Metrics that the limit leaves out leave no label sets behind.
func TestLabelSetsAreFreed(t *testing.T) {
	const series = 400
	used, free := hostGauge("used"), hostGauge("free")
	l := New(For(time.Hour), 2*series)
	sets := map[weak.Pointer[metric.LabelSet]]bool{}
	tick := func(from int) {
		t.Helper()
		at := epoch().Add(time.Duration(from) * time.Minute)
		r := mustApply(t, l, at, hostRows(used, from, from+series), hostRows(free, from, from+series))
		for _, s := range r.Families[0].Series {
			sets[weak.Make(s.Labels)] = true
		}
	}
	alive := func() (n int) {
		runtime.GC()
		for p := range sets {
			if p.Value() != nil {
				n++
			}
		}
		return n
	}
	for from := range 500 {
		tick(from) // each time, one host is replaced by another
	}
	if n := alive(); n < series || n > series+series/4+1 {
		t.Errorf("%d of %d label sets are in memory for %d label sets in use", n, len(sets), series)
	}
	if r, err := apply(l, epoch().Add(1000*time.Minute), metric.Readings{hostRows(used, 0, 10*series), hostRows(free, 0, 10*series), {Desc: hostGauge("other")}}); err != nil || len(r.Problems) != 2 {
		t.Fatalf("metrics with too many series were measured: %v", err)
	}
	if len(l.sets.slots) > 8*series {
		t.Errorf("metrics that are not measured leave %d slots", len(l.sets.slots))
	}
	mustApply(t, l, epoch().Add(1001*time.Minute), hostRows(used, 0, 1))
	if n := alive(); n > 1 {
		t.Errorf("%d label sets are in memory for one series", n)
	}
}

// TestOneMetricNeedsNoIndex checks that no index is made if only one metric has series.
func TestOneMetricNeedsNoIndex(t *testing.T) {
	used, free := hostGauge("used"), hostGauge("free")
	l := New(For(time.Hour), 1000)
	for tick := range 3 {
		mustApply(t, l, epoch().Add(time.Duration(tick)*time.Minute), hostRows(used, tick, tick+100), metric.Measured{Desc: free})
		if l.sets.slots != nil {
			t.Errorf("tick %d: the index has %d slots", tick, len(l.sets.slots))
		}
	}
}
