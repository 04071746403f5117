package run

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// TestTotals checks that a process continues the counters of the previous process: their values, their starts, and also counters that this
// process does not count itself. Counters of another shard are other series: they are kept for that shard, and not added to those of this
// shard.
func TestTotals(t *testing.T) {
	runs := &metric.Desc{Name: "cton_job_runs_total", Type: metric.Counter, LabelNames: []string{JobLabel, "result", "shard"}}
	up := &metric.Desc{Name: "cton_job_up", Type: metric.Gauge, LabelNames: []string{JobLabel, "shard"}}
	family := func(series ...metric.Series) []metric.Family { return []metric.Family{{Desc: runs, Series: series}} }
	set := func(result, shard string) *metric.LabelSet { return runs.LabelSet([]string{"a", result, shard}) }

	before := totals{agent: map[string]string{"shard": "0"}}
	records, _ := before.records(family(
		metric.Series{Labels: set("success", "0"), Value: 7, Start: 1000}, metric.Series{Labels: set("error", "0"), Value: 2, Start: 2000}), time.UnixMilli(3000))

	after := totals{agent: map[string]string{"shard": "0"}}
	if err := after.load("a", [][]byte{[]byte("old"), records["a"]}); err != nil {
		t.Fatal(err)
	}
	readings := metric.Readings{
		{Desc: up, Rows: []metric.Reading{{Labels: []string{"a", "0"}, Value: 1}}},
		{Desc: runs, Rows: []metric.Reading{{Labels: []string{"a", "success", "0"}, Value: 1}, {Labels: []string{"b", "success", "0"}, Value: 4}}},
	}
	after.add(readings, []JobState{{Name: "a"}, {Name: "b"}})
	got := map[string]float64{}
	for _, m := range readings {
		for _, row := range m.Rows {
			got[m.Desc.Name+m.Desc.LabelSet(row.Labels).String()] = row.Value
		}
	}
	for series, want := range map[string]float64{
		`cton_job_up{cton_job="a",shard="0"}`:                          1,
		`cton_job_runs_total{cton_job="a",result="success",shard="0"}`: 8,
		`cton_job_runs_total{cton_job="a",result="error",shard="0"}`:   2,
		`cton_job_runs_total{cton_job="b",result="success",shard="0"}`: 4,
	} {
		if got[series] != want {
			t.Errorf("%s is %v, want %v (all: %v)", series, got[series], want, got)
		}
	}
	next := family(metric.Series{Labels: set("success", "0"), Value: 8, Start: 0}, metric.Series{Labels: set("partial", "0"), Value: 1})
	after.start(next, time.UnixMilli(5000))
	if s := next[0].Series; s[0].Start != 1000 || s[1].Start != 0 {
		t.Errorf("the counters start at %d and %d, want 1000 and 0", s[0].Start, s[1].Start)
	}
	after.start(next, time.UnixMilli(700)) // the clock was set back
	if s := next[0].Series; s[0].Start != 699 {
		t.Errorf("the counter starts at %d, want 699: before its sample", s[0].Start)
	}

	other := totals{agent: map[string]string{"shard": "1"}}
	if err := other.load("a", [][]byte{records["a"]}); err != nil {
		t.Fatal(err)
	}
	moved := metric.Readings{{Desc: runs, Rows: []metric.Reading{{Labels: []string{"a", "success", "1"}, Value: 1}}}}
	other.add(moved, []JobState{{Name: "a"}})
	if rows := moved[0].Rows; len(rows) != 1 || rows[0].Value != 1 {
		t.Errorf("after the job has moved to another shard: %v, want one row of 1", rows)
	}
	back := totals{agent: map[string]string{"shard": "0"}}
	records, _ = other.records(family(metric.Series{Labels: set("success", "1"), Value: 1, Start: 3000}), time.UnixMilli(4000))
	if err := back.load("a", [][]byte{records["a"]}); err != nil {
		t.Fatal(err)
	}
	again := metric.Readings{{Desc: runs, Rows: []metric.Reading{{Labels: []string{"a", "success", "0"}, Value: 1}}}}
	back.add(again, []JobState{{Name: "a"}})
	if rows := again[0].Rows; len(rows) != 2 || rows[0].Value != 8 || rows[1].Value != 2 {
		t.Errorf("after the job has moved back: %v, want 8 and 2", rows)
	}
	if err := after.load("a", [][]byte{[]byte("{")}); err == nil {
		t.Error("a record that is not valid has no error")
	}
}

// TestMostTotals checks which counters are kept if a job has too many of them: those that are not about a host, and of the others those
// that were used most recently. The number of counters that are not kept is logged.
func TestMostTotals(t *testing.T) {
	synctest.Test(t, mostTotals)
}

func mostTotals(t *testing.T) {
	runs := &metric.Desc{Name: "cton_job_runs_total", Type: metric.Counter, LabelNames: []string{JobLabel}}
	requests := &metric.Desc{Name: "cton_job_requests_total", Type: metric.Counter, LabelNames: []string{JobLabel, hostLabel}}
	file, _ := openFaulty(t, filepath.Join(t.TempDir(), "state"), slog.New(slog.DiscardHandler))
	defer file.Close()
	log := &lockedBuffer{}
	agent := New(Options{Log: slog.New(slog.NewTextHandler(log, nil)), State: file})
	// process continues the counters of the previous process. It asks the hosts with the numbers from "first" to last-1. It returns the
	// numbers of the hosts whose counters are kept, and how many counters are kept.
	process := func(first, last int) (hosts []int, counters int) {
		saved, err := file.Latest(ownPrefix + "a")
		if err != nil {
			t.Fatal(err)
		}
		own := &totals{}
		if err := own.load("a", saved); err != nil {
			t.Fatal(err)
		}
		families := []metric.Family{{Desc: requests}, {Desc: runs, Series: []metric.Series{{Labels: runs.LabelSet([]string{"a"}), Value: 1}}}}
		for _, n := range rand.Perm(2000) {
			labels := requests.LabelSet([]string{"a", strconv.Itoa(n)})
			before, known := own.before["a"][key(requests.Name, labels.Map())]
			if asked := n >= first && n < last; asked || known {
				s := metric.Series{Labels: labels, Value: before.Value}
				if asked {
					s.Value++
				}
				families[0].Series = append(families[0].Series, s)
			}
		}
		if !agent.keepTotals(own, families) {
			t.Error("not kept")
		}
		if saved, err = file.Latest(ownPrefix + "a"); err != nil {
			t.Fatal(err)
		}
		return hostsOf(t, saved[len(saved)-1])
	}
	process(0, 800)
	time.Sleep(time.Minute)
	hosts, counters := process(700, 1000)
	if counters != maxTotals || len(hosts) != maxTotals-1 || hosts[len(hosts)-300] != 700 {
		t.Errorf("%d counters and these hosts are kept, want %d, and the last 300 hosts: %v", counters, maxTotals, hosts)
	}
	time.Sleep(time.Minute)
	hosts, counters = process(1000, 1700)
	if counters != maxTotals || hosts[0] < 700 || hosts[len(hosts)-700] != 1000 {
		t.Errorf("%d counters and these hosts are kept, want %d, the last 700 hosts, and those of the run before: %v", counters, maxTotals, hosts)
	}
	for _, dropped := range []int{1, 700} {
		if n := strings.Count(log.String(), fmt.Sprintf(" job=a kept=1000 dropped=%d\n", dropped)); n != 1 {
			t.Errorf("dropped=%d is logged %d times:\n%s", dropped, n, log.String())
		}
	}
}

// hostsOf returns the numbers of the hosts in a record of counters, sorted, and the number of all its counters.
func hostsOf(t *testing.T, record []byte) (hosts []int, counters int) {
	t.Helper()
	var kept []total
	if err := json.Unmarshal(record, &kept); err != nil {
		t.Fatal(err)
	}
	for _, one := range kept {
		if n, err := strconv.Atoi(one.Labels[hostLabel]); err == nil {
			hosts = append(hosts, n)
		}
	}
	slices.Sort(hosts)
	return hosts, len(kept)
}

// TestTotalsAfterRun checks a single run after cton run, which has delivered the same series from zero. The single run does not continue
// the counters from before cton run: a receiver would count them twice.
func TestTotalsAfterRun(t *testing.T) {
	if folded, err := FoldSaved(ownPrefix+"a", [][]byte{[]byte("[]"), nil}); folded != nil || err != nil {
		t.Errorf("the mark is folded to %q, %v, want nothing", folded, err)
	}
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		runs := &metric.Desc{Name: "cton_job_runs_total", Type: metric.Counter, LabelNames: []string{JobLabel}}
		process := func(single bool) float64 {
			file, _ := openFaulty(t, path, slog.New(slog.DiscardHandler))
			defer file.Close()
			agent := New(Options{Log: slog.New(slog.DiscardHandler), State: file, Self: func(s State) metric.Readings {
				rows := []metric.Reading{}
				for _, j := range s.Jobs {
					rows = append(rows, metric.Reading{Labels: []string{j.Name}, Value: float64(j.Ticks[Succeeded])})
				}
				return metric.Readings{{Desc: runs, Rows: rows}}
			}})
			last := 0.0
			out := &shelf{judge: func(b metric.Batch) error {
				if b.Job == Self {
					last = b.Families[0].Series[0].Value
				}
				return nil
			}}
			plan := Plan{Concurrency: 1, Jobs: []Job{planJob(t, "a", "@every 10s", newScripted(nil))}, Sinks: []Sink{planSink("out", out)}}
			if single {
				if _, err := agent.Once(t.Context(), plan, Drain); err != nil {
					t.Error(err)
				}
			} else {
				stop := start(t, agent, plan, nil)
				time.Sleep(15 * time.Second)
				if err := stop(); err != nil {
					t.Error(err)
				}
			}
			return last
		}
		for i, want := range []struct {
			single bool
			runs   float64
		}{{true, 1}, {true, 2}, {false, 2}, {true, 1}, {true, 2}} {
			if got := process(want.single); got != want.runs {
				t.Errorf("process %d delivers %v runs, want %v", i+1, got, want.runs)
			}
		}
	})
}
