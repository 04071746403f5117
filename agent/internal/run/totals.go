package run

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
)

// total is one of the agent's own counters about a job. Its value is the one that was delivered by a process that ran each job once.
type total struct {
	Metric string            `json:"metric"`
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
	Start  int64             `json:"start"` // when the counter was zero, in Unix milliseconds
	Used   int64             `json:"used"`  // when its value changed last, in Unix seconds; 0 = unknown
}

// maxTotals is how many counters of a job are kept. A job has several counters for each host that it asks, so the number of its counters
// can grow.
const maxTotals = 1000

// hostLabel is the label of counters about a host that a job asks.
const hostLabel = "host"

// compareUse orders counters by importance. Counters that are not about a host come first: they are few, and they show how the job does. After
// them come the others, those that were used most recently first. The order of equal counters is the same in every process.
func compareUse(a, b *total) int {
	ofHost := func(t *total) int { return min(len(t.Labels[hostLabel]), 1) }
	return cmp.Or(cmp.Compare(ofHost(a), ofHost(b)), cmp.Compare(b.Used, a.Used), cmp.Compare(key(a.Metric, a.Labels), key(b.Metric, b.Labels)))
}

// totals adds the values of earlier processes to the agent's own counters. With cton once, each run of a job is a new process, whose
// counters begin at zero. The state file keeps the values.
type totals struct {
	agent map[string]string // labels of the agent itself: another shard has other series, which this process keeps and does not deliver

	mu     sync.Mutex                  // guards before while jobs are loaded
	before map[string]map[string]total // by job, and by key of the series
}

// load adds the counters that the state file has for a job.
func (t *totals) load(job string, records [][]byte) error {
	if len(records) == 0 || len(records[len(records)-1]) == 0 {
		return nil
	}
	var all []total
	if err := json.Unmarshal(records[len(records)-1], &all); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before == nil {
		t.before = map[string]map[string]total{}
	}
	t.before[job] = map[string]total{}
	for _, one := range all {
		t.before[job][key(one.Metric, one.Labels)] = one
	}
	return nil
}

// key returns a text that identifies a series. It is the same in all processes.
func key(name string, labels map[string]string) string {
	text := name
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		if labels[label] != "" {
			text += "\x00" + label + "\x00" + labels[label]
		}
	}
	return text
}

// add adds the values of earlier processes to the counters in "readings". If a counter of an earlier process is about one of the given jobs
// and is not in "readings", it is added there.
func (t *totals) add(readings metric.Readings, jobs []JobState) {
	for i := range readings {
		m := &readings[i]
		if t.before == nil || m.Desc.Type != metric.Counter {
			continue
		}
		added := map[string]bool{}
		for k := range m.Rows {
			labels := map[string]string{}
			for n, name := range m.Desc.LabelNames {
				labels[name] = m.Rows[k].Labels[n]
			}
			series := key(m.Desc.Name, labels)
			m.Rows[k].Value += t.before[labels[JobLabel]][series].Value
			added[series] = true
		}
		for _, j := range jobs {
			for _, series := range slices.Sorted(maps.Keys(t.before[j.Name])) {
				if one := t.before[j.Name][series]; !added[series] && t.isOf(m.Desc, &one) {
					m.Rows = append(m.Rows, metric.Reading{Labels: valuesOf(m.Desc.LabelNames, one.Labels), Value: one.Value})
				}
			}
		}
	}
}

// isOf reports whether a counter is a series of a metric that this process delivers.
func (t *totals) isOf(d *metric.Desc, one *total) bool {
	for name, value := range t.agent {
		if one.Labels[name] != value {
			return false
		}
	}
	for name := range one.Labels {
		if !slices.Contains(d.LabelNames, name) {
			return false
		}
	}
	return one.Metric == d.Name
}

// valuesOf returns the values of labels in the order of their names.
func valuesOf(names []string, labels map[string]string) []string {
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = labels[name]
	}
	return values
}

// start sets the start of the counters that earlier processes have begun, and returns these counters. The start is before the time "now",
// even if the clock was set back.
func (t *totals) start(families []metric.Family, now time.Time) (begun []metric.Family) {
	for i := range families {
		if t.before == nil || families[i].Desc.Type != metric.Counter {
			continue
		}
		var known []metric.Series
		for k := range families[i].Series {
			s := &families[i].Series[k]
			labels := s.Labels.Map()
			if one, ok := t.before[labels[JobLabel]][key(families[i].Desc.Name, labels)]; ok {
				s.Start = min(one.Start, now.UnixMilli()-1)
				known = append(known, *s)
			}
		}
		if len(known) > 0 {
			begun = append(begun, metric.Family{Desc: families[i].Desc, Series: known})
		}
	}
	return begun
}

// records returns a record for the state file for each job that has counters. The record also keeps counters of the job that this process
// does not deliver, such as those of other shards. If a job has more than maxTotals counters, some are left out (see compareUse). The
// result "dropped" is the number of these counters by job.
func (t *totals) records(families []metric.Family, now time.Time) (records map[string][]byte, dropped map[string]int) {
	all, kept := map[string][]*total{}, map[string]bool{}
	for i := range families {
		f := &families[i]
		if f.Desc.Type != metric.Counter {
			continue
		}
		for k := range f.Series {
			labels := f.Series[k].Labels.Map()
			if job := labels[JobLabel]; job != "" {
				one, series := &total{f.Desc.Name, labels, f.Series[k].Value, f.Series[k].Start, now.Unix()}, key(f.Desc.Name, labels)
				if before, ok := t.before[job][series]; ok && before.Value == one.Value {
					one.Used = before.Used
				}
				all[job] = append(all[job], one)
				kept[series] = true
			}
		}
	}
	records, dropped = map[string][]byte{}, map[string]int{}
	for job, list := range all {
		for series, one := range t.before[job] {
			if !kept[series] {
				list = append(list, &one)
			}
		}
		slices.SortFunc(list, compareUse)
		if n := len(list) - maxTotals; n > 0 {
			dropped[job], list = n, list[:maxTotals]
		}
		records[job], _ = json.Marshal(list) // cannot fail: no value is NaN or infinite
	}
	return records, dropped
}

// keepTotals writes the agent's own counters in "families" to the state file. It reports whether they are on disk. A counter that was
// delivered and is not kept would step back with the next process.
func (a *Agent) keepTotals(t *totals, families []metric.Family) bool {
	var last *state.Write
	records, dropped := t.records(families, a.clock.Now())
	for job, record := range records {
		last = a.state.Append(ownPrefix+job, record)
	}
	for _, job := range slices.Sorted(maps.Keys(dropped)) {
		a.log.Warn("some totals about the hosts of a job are not kept, and begin at zero in the next run: a job keeps those that were used last",
			"job", job, "kept", maxTotals, "dropped", dropped[job])
	}
	if last == nil {
		return true
	}
	a.state.Flush()
	select {
	case <-last.Done():
		return true
	default:
		a.log.Error("the totals about runs of jobs are not delivered: they cannot be kept in the state file", "error", a.state.Status().Error)
		return false
	}
}
