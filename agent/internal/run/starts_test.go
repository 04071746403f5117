package run

import (
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

func TestStarts(t *testing.T) {
	runs := &metric.Desc{Name: "cton_job_runs_total", Type: metric.Counter, LabelNames: []string{"cton_job"}}
	up := &metric.Desc{Name: "cton_job_up", LabelNames: []string{"cton_job"}, Type: metric.Gauge}
	a, b, g := runs.LabelSet([]string{"a"}), runs.LabelSet([]string{"b"}), up.LabelSet([]string{"a"})
	s := starts{last: time.UnixMilli(1000)}
	report := func(at int64, series ...metric.Series) (got []int64) {
		families := []metric.Family{{Desc: up, Series: []metric.Series{{Labels: g}}}, {Desc: runs, Series: series}}
		s.set(families, time.UnixMilli(at))
		if start := families[0].Series[0].Start; start != 0 {
			t.Errorf("a gauge starts at %d", start)
		}
		for _, c := range series {
			got = append(got, c.Start)
		}
		return got
	}
	want := func(got []int64, want ...int64) {
		t.Helper()
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("starts %v, want %v", got, want)
			}
		}
	}
	want(report(2000, metric.Series{Labels: a}), 1000)
	want(report(3000, metric.Series{Labels: a}, metric.Series{Labels: b}), 1000, 2000)
	want(report(4000, metric.Series{Labels: a, Start: 3999}, metric.Series{Labels: b}), 3999, 2000) // the ledger saw a reset
	want(report(5000, metric.Series{Labels: a, Start: 3999}), 3999)
	want(report(6000, metric.Series{Labels: a, Start: 3999}, metric.Series{Labels: b}), 3999, 5000) // gone, and there again
}
