package run

import (
	"testing"

	"github.com/collectington/collectington/agent/metric"
)

// TestTotals checks that a process continues the counters of the one before: their values, their starts, and those that it does not
// count itself, also if another shard ran the job.
func TestTotals(t *testing.T) {
	runs := &metric.Desc{Name: "cton_job_runs_total", Type: metric.Counter, LabelNames: []string{JobLabel, "result", "shard"}}
	up := &metric.Desc{Name: "cton_job_up", Type: metric.Gauge, LabelNames: []string{JobLabel, "shard"}}
	family := func(series ...metric.Series) []metric.Family { return []metric.Family{{Desc: runs, Series: series}} }
	set := func(result, shard string) *metric.LabelSet { return runs.LabelSet([]string{"a", result, shard}) }

	before := totals{agent: map[string]string{"shard": "0"}}
	records := before.records(family(
		metric.Series{Labels: set("success", "0"), Value: 7, Start: 1000}, metric.Series{Labels: set("error", "0"), Value: 2, Start: 2000}))

	after := totals{agent: map[string]string{"shard": "1"}}
	if err := after.load("a", [][]byte{[]byte("old"), records["a"]}); err != nil {
		t.Fatal(err)
	}
	readings := metric.Readings{
		{Desc: up, Rows: []metric.Reading{{Labels: []string{"a", "1"}, Value: 1}}},
		{Desc: runs, Rows: []metric.Reading{{Labels: []string{"a", "success", "1"}, Value: 1}, {Labels: []string{"b", "success", "1"}, Value: 4}}},
	}
	after.add(readings, []JobState{{Name: "a"}, {Name: "b"}})
	got := map[string]float64{}
	for _, m := range readings {
		for _, row := range m.Rows {
			got[m.Desc.Name+m.Desc.LabelSet(row.Labels).String()] = row.Value
		}
	}
	for series, want := range map[string]float64{
		`cton_job_up{cton_job="a",shard="1"}`:                          1,
		`cton_job_runs_total{cton_job="a",result="success",shard="1"}`: 8,
		`cton_job_runs_total{cton_job="a",result="error",shard="1"}`:   2,
		`cton_job_runs_total{cton_job="b",result="success",shard="1"}`: 4,
	} {
		if got[series] != want {
			t.Errorf("%s is %v, want %v (all: %v)", series, got[series], want, got)
		}
	}
	next := family(metric.Series{Labels: set("success", "1"), Value: 8, Start: 0}, metric.Series{Labels: set("partial", "1"), Value: 1})
	after.start(next)
	if s := next[0].Series; s[0].Start != 1000 || s[1].Start != 0 {
		t.Errorf("the counters start at %d and %d, want 1000 and 0", s[0].Start, s[1].Start)
	}
	if err := after.load("a", [][]byte{[]byte("{")}); err == nil {
		t.Error("a record that is not valid has no error")
	}
}
